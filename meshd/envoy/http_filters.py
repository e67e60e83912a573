"""The HTTP filters of a connection manager, in the order in which a request meets them."""

from __future__ import annotations

from datetime import timedelta

from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import (
    FilterConfig as HostLookup,
)
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2 as late
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2 as early
from google.protobuf.message import Message

from meshd.envoy.circles import Itself, unless_circular_request
from meshd.envoy.dns_cache import dns_cache_config
from meshd.envoy.header_overrides import COPIED, FAULTS_COPIED, FORGOTTEN, KEPT, TIMEOUT, copied, removed
from meshd.envoy.led_on import request_filters
from meshd.envoy.route_filters import (
    ABORT_ASKED,
    ABORT_UNASKED,
    CORS,
    DELAY_ASKED,
    DELAY_UNASKED,
    EXPONENTIAL_DELAYS,
    FAULT,
    GRPC_FAULT,
)
from meshd.envoy.wire import packed
from meshd.plan import HttpChain


def http_filters(chain: HttpChain, dns_refresh_rate: timedelta, place: Itself | None = None) -> list[HttpFilter]:
    """gRPC-Web first, so that an injected gRPC status is translated for the browser like any other.

    `place`: where requests must not be sent again.
    """
    filters = [_filter("envoy.filters.http.grpc_web", GrpcWeb())] if chain.grpc_web else []
    filters += [*_faults(chain), _filter(CORS, Cors()), *_late_mutations(chain)]
    if chain.dynamic_dns:
        lookup = HostLookup(
            dns_cache_config=dns_cache_config(dns_refresh_rate), save_upstream_address=place is not None
        )
        filters.append(_filter("envoy.filters.http.dynamic_forward_proxy", lookup))
        filters += [unless_circular_request(place)] if place else []
    filters += request_filters(chain.tells)
    # Envoy's own response headers (`x-envoy-upstream-service-time`) stay, as in Istio: operators look for them.
    return [*filters, _filter("envoy.filters.http.router", Router())]


def _faults(chain: HttpChain) -> list[HttpFilter]:
    """Delays before aborts. What only few routes ask for is off unless they do."""
    filters = []
    if chain.header_overrides:
        filters.append(_filter(FAULTS_COPIED, late.HeaderMutation(), disabled=True))
    if chain.exponential_delays:
        filters += [_filter(name, HTTPFault(), disabled=True) for name in EXPONENTIAL_DELAYS]
    if chain.header_overrides:
        filters += [_filter(name, HTTPFault(), disabled=True) for name in (DELAY_ASKED, DELAY_UNASKED)]
    filters.append(_filter(FAULT, HTTPFault()))
    if chain.header_overrides:
        filters += [_filter(name, HTTPFault(), disabled=True) for name in (ABORT_ASKED, ABORT_UNASKED)]
    return [*filters, _filter(GRPC_FAULT, HTTPFault())]


def early_mutations(chain: HttpChain) -> list[TypedExtensionConfig]:
    """Puts the caller's timeout where Envoy, which strips it from untrusted callers, does not look (spec 7.3)."""
    kept = _kept(chain)
    if not kept:
        return []
    mutations = [each for header in kept for each in (removed(KEPT[header]), copied(header, to=KEPT[header]))]
    saved = early.HeaderMutation(mutations=mutations)
    name = "envoy.http.early_header_mutation.header_mutation"
    return [TypedExtensionConfig(name=name, typed_config=packed(saved))]


def _keeps_timeout_header(chain: HttpChain) -> bool:
    """Only the host's own applications have a say in how long their requests may take."""
    return chain.keep_timeout_header and chain.side == "outbound"


def _kept(chain: HttpChain) -> tuple[str, ...]:
    """Somebody may call a header of overrides by the name of Envoy's own."""
    if chain.header_overrides:
        return tuple(KEPT)
    return (TIMEOUT,) if _keeps_timeout_header(chain) else ()


def _late_mutations(chain: HttpChain) -> list[HttpFilter]:
    """What a route says of its requests' headers wins over what holds for all; then nothing is kept any longer."""
    restored = [copied(KEPT[TIMEOUT], to=TIMEOUT)] if _keeps_timeout_header(chain) else []
    forgotten = [removed(KEPT[header]) for header in _kept(chain)]
    if chain.header_overrides:
        return [
            *([_mutating("envoy.filters.http.header_mutation", restored)] if restored else []),
            _filter(COPIED, late.HeaderMutation(), disabled=True),
            _mutating(FORGOTTEN, forgotten),
        ]
    return [_mutating("envoy.filters.http.header_mutation", [*restored, *forgotten])] if restored else []


def _mutating(name: str, mutations: list[HeaderMutation]) -> HttpFilter:
    return _filter(name, late.HeaderMutation(mutations=late.Mutations(request_mutations=mutations)))


def _filter(name: str, settings: Message, *, disabled: bool = False) -> HttpFilter:
    return HttpFilter(name=name, typed_config=packed(settings), disabled=disabled)
