"""MeshConfig's accessLog* fields -> the access log of a proxy. Where nothing is said, failures are told as JSON."""

from __future__ import annotations

import json
from typing import Final

from meshd.plan import AccessLog
from meshd.registry.settings import MeshSettings
from meshd.resources.access_log import STDOUT

_ISTIO_TEXT: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)

_ISTIO_JSON: Final = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
}

_REASON: Final = (
    "response.code_details == 'direct_response' || response.code_details == 'route_not_found' || "
    "response.code_details.startsWith('rbac_access_denied_') ? response.headers['x-meshd-reason'] : "
    "xds.cluster_metadata.filter_metadata['meshd'][response.code_details.startsWith('upstream_') || "
    "response.code_details == 'no_healthy_upstream' ? 'via' : '']"
)
"""Of answers that this very proxy made up. The header alone might be anybody's, who answers with one of that name.

What there is not (a header, a key) is left out of the line.
"""

_OF_FAILURES: Final = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_peer": "%DOWNSTREAM_PEER_URI_SAN%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "downstream_transport_failure_reason": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    "duration": "%DURATION%",
    "filter_chain": "%FILTER_CHAIN_NAME%",
    "grpc_status": "%GRPC_STATUS%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",  # queries carry tokens, and who fixes a failure does not need them
    "protocol": "%PROTOCOL%",
    "reason": f"%CEL({_REASON})%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_request_attempt_count": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}
"""Istio's names, without what nobody needs to find out why something failed, and with what it lacks for that."""


def access_log(settings: MeshSettings) -> AccessLog | None:
    wanted = settings.access_log
    if not wanted.file:
        return None
    return AccessLog(
        path=None if wanted.file == STDOUT else wanted.file,
        only_failures=wanted.only_failures,
        encoding=wanted.encoding,
        format=_text(wanted.format) if wanted.encoding == "text" else _json(wanted.format, wanted.only_failures),
    )


def _text(given: str) -> str:
    """Each on a line of its own, as Istio sees to as well."""
    return (given if given.endswith("\n") else f"{given}\n") if given else _ISTIO_TEXT


def _json(given: str, only_failures: bool) -> str:  # noqa: FBT001
    fields = json.loads(given) if given else _OF_FAILURES if only_failures else _ISTIO_JSON
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))
