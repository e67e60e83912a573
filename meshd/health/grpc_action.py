"""`grpc`: the health protocol, grpc.health.v1 (W-16)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from meshd.health.result import HEALTHY, Result, unhealthy
from meshd.plan import GrpcProbe

_CHECK: Final = "/grpc.health.v1.Health/Check"
_STATUS: Final = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_SERVING: Final = 1
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    # Otherwise a later run would be told of the connection that an earlier one could not open.
    ("grpc.use_local_subchannel_pool", 1),
)


async def ask_grpc(action: GrpcProbe, patience: timedelta) -> Result:
    """HealthCheckRequest is one string, and HealthCheckResponse one enum: on the wire, a StringValue and an Int32Value.

    That saves a dependency for the sake of two fields. After `patience` nobody waits for the answer any more.
    """
    # gRPC keeps an attempt to connect to who does not answer for 20 s, whether or not somebody still wants it.
    options = (*_OPTIONS, ("grpc.min_reconnect_backoff_ms", 1000 + patience // timedelta(milliseconds=1)))
    host = f"[{action.host}]" if ":" in action.host else action.host
    async with grpc.aio.insecure_channel(f"{host}:{action.port}", options=options) as channel:
        check = channel.unary_unary(
            _CHECK, request_serializer=StringValue.SerializeToString, response_deserializer=Int32Value.FromString
        )
        try:
            answer = await check(StringValue(value=action.service))
        except grpc.aio.AioRpcError as error:
            return unhealthy(_words(error))
    return HEALTHY if answer.value == _SERVING else unhealthy(_STATUS.get(answer.value, f"status {answer.value}"))


def _words(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"[:200]
