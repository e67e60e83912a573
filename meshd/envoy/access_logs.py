"""A plan's access log -> Envoy's loggers, for the three places in which something ends.

Requests end in the connection manager. Connections of TCP end in the TCP proxy, and each connection once more at its
listener, where one is seen too that found no chain or failed its handshake. Of failures the listener alone tells, so
that no chain needs a logger of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoy.config.accesslog.v3.accesslog_pb2 import (
    AccessLog as Logger,
)
from envoy.config.accesslog.v3.accesslog_pb2 import (
    AccessLogFilter,
    AndFilter,
    ComparisonFilter,
    ExtensionFilter,
    GrpcStatusFilter,
    HeaderFilter,
    OrFilter,
    ResponseFlagFilter,
    StatusCodeFilter,
)
from envoy.config.core.v3.base_pb2 import RuntimeUInt32
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter
from envoy.extensions.access_loggers.stream.v3.stream_pb2 import StdoutAccessLog
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from meshd.envoy.formats import json_format, text_format
from meshd.envoy.wire import packed
from meshd.plan import AccessLog

FILE: Final = "envoy.access_loggers.file"
_STDOUT: Final = "envoy.access_loggers.stdout"

_NOBODY_TO_ASK: Final = ("UH", "UF", "UO", "NR", "URX", "NC", "DF", "DO", "OM")
"""Nobody to send it to, or nobody took it: Envoy's response flags."""
_BROKEN_OFF: Final = ("UT", "UC", "UR", "LR", "UPE", "DPE", "DT", "UMSDR", "SI", "IH")
"""A request that was not answered as it should. Clients that leave are not among them: they do all day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loggers:
    """Of requests, of TCP connections, and of all connections of a listener."""

    requests: tuple[Logger, ...] = ()
    connections: tuple[Logger, ...] = ()
    listener: tuple[Logger, ...] = ()


SILENT: Final = Loggers()


def loggers(log: AccessLog | None) -> Loggers:
    if log is None:
        return SILENT
    unanswered = _any(_flags(*_NOBODY_TO_ASK), _handshake_failed())
    if log.only_failures:
        return Loggers(requests=(_logger(log, _failed()),), listener=(_logger(log, unanswered),))
    everything = _logger(log, None)
    return Loggers(
        requests=(everything,),
        connections=(everything,),
        listener=(_logger(log, _any(_flags("NR"), _handshake_failed())),),
    )


def _logger(log: AccessLog, worth_a_line: AccessLogFilter | None) -> Logger:
    if log.path is None:
        return Logger(name=_STDOUT, filter=worth_a_line, typed_config=packed(StdoutAccessLog(log_format=_format(log))))
    to_file = FileAccessLog(path=log.path, log_format=_format(log))
    return Logger(name=FILE, filter=worth_a_line, typed_config=packed(to_file))


def _format(log: AccessLog) -> SubstitutionFormatString:
    return text_format(log.format) if log.encoding == "text" else json_format(log.format)


# --- what is worth a line -------------------------------------------------------------------------------------


def _failed() -> AccessLogFilter:
    """A response of 500 and above, one of gRPC that means the same, or one that Envoy had to make up."""
    server_error = ComparisonFilter(
        op=ComparisonFilter.GE, value=RuntimeUInt32(default_value=500, runtime_key="access_log.min_status")
    )
    return _any(
        AccessLogFilter(status_code_filter=StatusCodeFilter(comparison=server_error)),
        _flags(*_NOBODY_TO_ASK, *_BROKEN_OFF),
        _grpc_failed(),
    )


def _grpc_failed() -> AccessLogFilter:
    """Envoy sees a status of gRPC in any response, and 200 would be UNKNOWN: so the request has to be one of gRPC."""
    is_grpc = HeaderMatcher(name="content-type", string_match=StringMatcher(prefix="application/grpc"))
    of = GrpcStatusFilter
    statuses = [of.UNKNOWN, of.DEADLINE_EXCEEDED, of.UNIMPLEMENTED, of.INTERNAL, of.UNAVAILABLE, of.DATA_LOSS]
    both = (
        AccessLogFilter(header_filter=HeaderFilter(header=is_grpc)),
        AccessLogFilter(grpc_status_filter=GrpcStatusFilter(statuses=statuses)),
    )
    return AccessLogFilter(and_filter=AndFilter(filters=both))


def _flags(*flags: str) -> AccessLogFilter:
    return AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=flags))


def _handshake_failed() -> AccessLogFilter:
    """No flag says so. What an inspector has found to be no TLS has a reason too, which begins otherwise."""
    expression = ExpressionFilter(expression='connection.transport_failure_reason.startsWith("TLS_error:")')
    name = "envoy.access_loggers.extension_filters.cel"
    return AccessLogFilter(extension_filter=ExtensionFilter(name=name, typed_config=packed(expression)))


def _any(*filters: AccessLogFilter) -> AccessLogFilter:
    return AccessLogFilter(or_filter=OrFilter(filters=filters))
