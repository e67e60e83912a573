"""Clusters whose endpoints are internal listeners: how these learn whom a connection is for.

That is state of the filters, which a connection has from the request or connection that opened it, and which the
internal listener finds again. Envoy shares connections only among those that tell the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLogFilter, ResponseFlagFilter
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption, Metadata, TransportSocket
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.common.set_filter_state.v3.value_pb2 import FilterStateValue
from envoy.extensions.filters.http.header_to_metadata.v3 import header_to_metadata_pb2 as header_to_metadata
from envoy.extensions.filters.http.set_filter_state.v3 import set_filter_state_pb2 as of_requests
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2 as of_connections
from envoy.extensions.transport_sockets.internal_upstream.v3.internal_upstream_pb2 import InternalUpstreamTransport
from envoy.type.matcher.v3.regex_pb2 import RegexMatchAndSubstitute, RegexMatcher
from google.protobuf.struct_pb2 import Struct, Value

from meshd.envoy.formats import text_format
from meshd.envoy.wire import packed
from meshd.plan import Told

HOST: Final = "meshd.host"
"""Without a port."""
AUTHORITY: Final = "meshd.authority"
_ADDRESS: Final = "meshd.address"
_ORIGINAL_DESTINATION: Final = "envoy.filters.listener.original_dst.local_ip"
"""What the internal listener takes for the address that the client dialled."""
_SOURCE: Final = "meshd.source"
_ORIGINAL_SOURCE: Final = "envoy.filters.listener.original_dst.remote_ip"
"""What it takes for the address of the client."""

_NAMESPACE: Final = "meshd"
_VIA: Final = "via"
_REASON: Final = "x-meshd-reason"

# How Envoy calls it that nobody answered: its connection failed or was closed, nobody is well, nobody was in time.
_UNANSWERED: Final = ("UF", "UC", "UH", "UR", "UT")

_NAME: Final = r"\[[^\]]*\]|[^:]+"
_WITHOUT_PORT: Final = (rf"^({_NAME})(:[0-9]*)?$", r"\1")
_WITH_PORT: Final = (rf"^({_NAME})$", r"\1:80")


def led_on(inner: TransportSocket) -> TransportSocket:
    """What the connection learned is passed on inside the proxy; no byte of it goes over the wire."""
    socket = InternalUpstreamTransport(transport_socket=inner)
    return TransportSocket(name="envoy.transport_sockets.internal_upstream", typed_config=packed(socket))


def connection_filters(tells: Told | None, *, ends: bool = False) -> list[Filter]:
    """`ends`: both addresses of the connection too, which stay its own inside."""
    values = _of_connection(tells) if tells else []
    if ends:
        values += [*(_dialled() if tells != "address" else ()), *_came_from()]
    return [network_state(*values)] if values else []


def network_state(*values: FilterStateValue) -> Filter:
    settings = of_connections.Config(on_new_connection=values)
    return Filter(name="envoy.filters.network.set_filter_state", typed_config=packed(settings))


def request_filters(tells: Iterable[Told]) -> list[hcm.HttpFilter]:
    told = frozenset(tells)
    if not told:
        return []
    values = [
        _shared(HOST, "%DYNAMIC_METADATA(meshd:host)%"),
        _shared(AUTHORITY, "%DYNAMIC_METADATA(meshd:authority)%"),
    ]
    values += _dialled() if "address" in told else []
    state = of_requests.Config(on_request_headers=values)
    return [
        hcm.HttpFilter(name="envoy.filters.http.header_to_metadata", typed_config=packed(_of_host())),
        hcm.HttpFilter(name="envoy.filters.http.set_filter_state", typed_config=packed(state)),
    ]


def local_replies(tells: Iterable[Told]) -> hcm.LocalReplyConfig | None:
    """Who is told 503 by his own proxy shall know that there is another one behind it."""
    if not tuple(tells):
        return None
    unanswered = AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=_UNANSWERED))
    reason = HeaderValueOption(
        header=HeaderValue(key=_REASON, value=f"%CLUSTER_METADATA({_NAMESPACE}:{_VIA})%"),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        keep_empty_value=False,
    )
    return hcm.LocalReplyConfig(mappers=[hcm.ResponseMapper(filter=unanswered, headers_to_add=[reason])])


def way(via: str) -> Metadata | None:
    """What a cluster says of itself, for `local_replies`."""
    if not via:
        return None
    reason = Value(string_value=f"not reached through the outbound proxy {via}")
    return Metadata(filter_metadata={_NAMESPACE: Struct(fields={_VIA: reason})})


def state(key: str, text: SubstitutionFormatString, factory: str = "envoy.string") -> FilterStateValue:
    """For the filters after this one, on the same connection."""
    return FilterStateValue(object_key=key, factory_key=factory, format_string=text)


def _of_connection(tells: Told) -> list[FilterStateValue]:
    match tells:
        case "server_name":
            return [_shared(HOST, "%REQUESTED_SERVER_NAME%")]
        case "address":
            return [_shared(AUTHORITY, "%DOWNSTREAM_LOCAL_ADDRESS%"), *_dialled()]
        case "host":
            return []


def _dialled() -> list[FilterStateValue]:
    """Envoy's own object has no hash, by which connections to different addresses would be told apart."""
    address = _shared(_ORIGINAL_DESTINATION, "%DOWNSTREAM_LOCAL_ADDRESS%", _ORIGINAL_DESTINATION)
    return [address, _shared(_ADDRESS, "%DOWNSTREAM_LOCAL_ADDRESS%")]


def _came_from() -> list[FilterStateValue]:
    return [
        _shared(_ORIGINAL_SOURCE, "%DOWNSTREAM_REMOTE_ADDRESS%", _ORIGINAL_SOURCE),
        _shared(_SOURCE, "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ]


def _shared(key: str, text: str, factory: str = "envoy.hashable_string") -> FilterStateValue:
    return FilterStateValue(
        object_key=key,
        factory_key=factory,
        format_string=text_format(text),
        shared_with_upstream=FilterStateValue.ONCE,
        skip_if_empty=True,
    )


def _of_host() -> header_to_metadata.Config:
    """The Host of a request, without its port; and with one, which is 80 where it names none."""
    return header_to_metadata.Config(
        request_rules=[_rule("host", *_WITHOUT_PORT), _rule("authority", *_WITH_PORT)],
    )


def _rule(key: str, pattern: str, substitution: str) -> header_to_metadata.Config.Rule:
    rewrite = RegexMatchAndSubstitute(pattern=RegexMatcher(regex=pattern), substitution=substitution)
    pair = header_to_metadata.Config.KeyValuePair(metadata_namespace=_NAMESPACE, key=key, regex_value_rewrite=rewrite)
    return header_to_metadata.Config.Rule(header=":authority", on_header_present=pair)
