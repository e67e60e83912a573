"""The HTTP filters of a connection manager, in the order in which a request meets them."""

from __future__ import annotations

from datetime import timedelta

from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
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

from meshd.envoy.dns_cache import dns_cache_config
from meshd.envoy.route_filters import CORS, EXPONENTIAL_DELAYS, FAULT, GRPC_FAULT
from meshd.envoy.wire import packed
from meshd.plan import HttpChain

TIMEOUT_HEADER = "x-envoy-upstream-rq-timeout-ms"
_KEPT = "x-meshd-rq-timeout-ms"


def http_filters(chain: HttpChain, dns_refresh_rate: timedelta) -> list[HttpFilter]:
    """gRPC-Web first, so that an injected gRPC status is translated for the browser like any other."""
    filters = [_filter("envoy.filters.http.grpc_web", GrpcWeb())] if chain.grpc_web else []
    if chain.exponential_delays:
        filters += [_filter(name, HTTPFault(), disabled=True) for name in EXPONENTIAL_DELAYS]
    filters += [_filter(FAULT, HTTPFault()), _filter(GRPC_FAULT, HTTPFault()), _filter(CORS, Cors())]
    if _keeps_timeout_header(chain):
        filters.append(_filter("envoy.filters.http.header_mutation", _restored_timeout()))
    if chain.dynamic_dns:
        lookup = HostLookup(dns_cache_config=dns_cache_config(dns_refresh_rate))
        filters.append(_filter("envoy.filters.http.dynamic_forward_proxy", lookup))
    # Envoy's own response headers (`x-envoy-upstream-service-time`) stay, as in Istio: operators look for them.
    return [*filters, _filter("envoy.filters.http.router", Router())]


def early_mutations(chain: HttpChain) -> list[TypedExtensionConfig]:
    """Puts the caller's timeout where Envoy, which strips it from untrusted callers, does not look (spec 7.3)."""
    if not _keeps_timeout_header(chain):
        return []
    saved = early.HeaderMutation(mutations=[_removed(_KEPT), _copied(TIMEOUT_HEADER, to=_KEPT)])
    name = "envoy.http.early_header_mutation.header_mutation"
    return [TypedExtensionConfig(name=name, typed_config=packed(saved))]


def _keeps_timeout_header(chain: HttpChain) -> bool:
    """Only the host's own applications have a say in how long their requests may take."""
    return chain.keep_timeout_header and chain.side == "outbound"


def _restored_timeout() -> late.HeaderMutation:
    return late.HeaderMutation(
        mutations=late.Mutations(request_mutations=[_copied(_KEPT, to=TIMEOUT_HEADER), _removed(_KEPT)])
    )


def _filter(name: str, settings: Message, *, disabled: bool = False) -> HttpFilter:
    return HttpFilter(name=name, typed_config=packed(settings), disabled=disabled)


def _removed(header: str) -> HeaderMutation:
    return HeaderMutation(remove=header)


def _copied(header: str, *, to: str) -> HeaderMutation:
    """A header that is not there is not copied: its empty value is not kept."""
    return HeaderMutation(
        append=HeaderValueOption(
            header=HeaderValue(key=to, value=f"%REQ({header})%"),
            append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
            keep_empty_value=False,
        )
    )
