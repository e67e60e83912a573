"""How a cluster speaks HTTP to its endpoints -> the HttpProtocolOptions extension."""

from __future__ import annotations

from typing import assert_never

from envoy.config.common.matcher.v3.matcher_pb2 import HttpHeadersMatch, MatchPredicate
from envoy.config.core.v3 import protocol_pb2 as protocol
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from meshd.envoy.matches import string_matcher
from meshd.envoy.scalars import duration, maybe_duration, maybe_uint32
from meshd.plan import OutlierDetection, TextMatch, UpstreamHttp, UpstreamTls

EXTENSION = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def http_options(http: UpstreamHttp, tls: UpstreamTls | None, outliers: OutlierDetection | None) -> HttpProtocolOptions:
    explicit, downstream = _version(http)
    return HttpProtocolOptions(
        common_http_protocol_options=protocol.HttpProtocolOptions(
            idle_timeout=duration(http.idle_timeout),
            max_connection_duration=maybe_duration(http.max_connection_duration),
            max_requests_per_connection=maybe_uint32(http.max_requests_per_connection),
        ),
        upstream_http_protocol_options=_names(tls),
        explicit_http_config=explicit,
        use_downstream_protocol_config=downstream,
        outlier_detection=_outliers(outliers),
    )


def _version(
    http: UpstreamHttp,
) -> tuple[HttpProtocolOptions.ExplicitHttpConfig | None, HttpProtocolOptions.UseDownstreamHttpConfig | None]:
    http1, http2 = protocol.Http1ProtocolOptions(), _http2(http)
    match http.protocol:
        case "http1":
            return HttpProtocolOptions.ExplicitHttpConfig(http_protocol_options=http1), None
        case "http2":
            return HttpProtocolOptions.ExplicitHttpConfig(http2_protocol_options=http2), None
        case "downstream":
            both = HttpProtocolOptions.UseDownstreamHttpConfig(
                http_protocol_options=http1, http2_protocol_options=http2
            )
            return None, both
        case _ as unknown:
            assert_never(unknown)


def _http2(http: UpstreamHttp) -> protocol.Http2ProtocolOptions:
    keepalive = http.keepalive and protocol.KeepaliveSettings(
        interval=duration(http.keepalive.interval), timeout=duration(http.keepalive.timeout)
    )
    return protocol.Http2ProtocolOptions(
        max_concurrent_streams=maybe_uint32(http.max_concurrent_streams), connection_keepalive=keepalive
    )


def verifies_by_host(tls: UpstreamTls | None) -> bool:
    """The name in the certificate must be the one that the request asks for.

    Envoy takes that without a CA too, and then verifies nothing (spec D-84).
    """
    return tls is not None and tls.sni is None and tls.san_from_host and tls.validation is not None


def _names(tls: UpstreamTls | None) -> protocol.UpstreamHttpProtocolOptions | None:
    """The name to ask for, and to find in the certificate, come from Host where the plan gives none."""
    if tls is None:
        return None
    return protocol.UpstreamHttpProtocolOptions(auto_sni=tls.sni is None, auto_san_validation=verifies_by_host(tls))


def _outliers(outliers: OutlierDetection | None) -> HttpProtocolOptions.OutlierDetection | None:
    if outliers is None or not outliers.error_codes:
        return None
    statuses = TextMatch(kind="regex", value="|".join(map(str, outliers.error_codes)))
    matcher = HeaderMatcher(name=":status", string_match=string_matcher(statuses))
    return HttpProtocolOptions.OutlierDetection(
        error_matcher=MatchPredicate(http_response_headers_match=HttpHeadersMatch(headers=[matcher]))
    )
