"""What an explicit HTTP proxy says to CONNECT: that it takes none, instead of the bare 404 that no route matches it."""

from __future__ import annotations

from typing import Final

from envoy.config.accesslog.v3.accesslog_pb2 import (
    AccessLogFilter,
    AndFilter,
    ComparisonFilter,
    HeaderFilter,
    StatusCodeFilter,
)
from envoy.config.core.v3.base_pb2 import DataSource, HeaderValue, HeaderValueOption, RuntimeUInt32
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import ResponseMapper
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from meshd.envoy.scalars import uint32

_METHOD_NOT_ALLOWED: Final = 405
_NO_ROUTE: Final = RuntimeUInt32(default_value=404, runtime_key="connect_refused.status")
_REASON: Final = "CONNECT is not taken here: ask for http://, and this proxy opens TLS itself"


def connect_refused() -> ResponseMapper:
    reason = HeaderValue(key="x-meshd-reason", value=_REASON)
    return ResponseMapper(
        filter=AccessLogFilter(and_filter=AndFilter(filters=[_is_connect(), _found_no_route()])),
        status_code=uint32(_METHOD_NOT_ALLOWED),
        body=DataSource(inline_string=_REASON),
        headers_to_add=[HeaderValueOption(header=reason, append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)],
    )


def _is_connect() -> AccessLogFilter:
    method = HeaderMatcher(name=":method", string_match=StringMatcher(exact="CONNECT"))
    return AccessLogFilter(header_filter=HeaderFilter(header=method))


def _found_no_route() -> AccessLogFilter:
    comparison = ComparisonFilter(op=ComparisonFilter.EQ, value=_NO_ROUTE)
    return AccessLogFilter(status_code_filter=StatusCodeFilter(comparison=comparison))
