"""gRPC as programs speak it, through a listener of the sidecar: faults, tries, routes, and gRPC-Web (spec 3.5, 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import grpc
import pytest

from tests.live.cases import Case, case
from tests.live.requests import Ask
from tests.live.world import Live

pytestmark = pytest.mark.envoy

LISTENERS = ("calls",)
DOCUMENTS = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web}
spec:
  workloadSelector: {labels: {app: web}}
  egress: [{port: {number: $calls, protocol: GRPC, name: grpc}, hosts: ["./*"]}]
"""
ENTRY = """
ports: [{number: $calls, name: grpc, protocol: %s}]
resolution: STATIC
endpoints: [{address: 127.0.0.1, ports: {grpc: $grpc}}]
"""
CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def called(id: str, http: str = "", protocol: str = "GRPC") -> Case:  # noqa: A002
    return case(id, http=http, subsets="", entry=ENTRY % protocol)


def rule(*more: str, match: str = "") -> str:
    lines = "".join(f"      {line}\n" for line in more)
    return f"    - {match}route: [{{destination: {{host: $host}}}}]\n{lines}"


def aborted(code: grpc.StatusCode) -> str:
    fault = f"fault: {{abort: {{grpcStatus: {code.name}, percentage: {{value: 100}}}}}}"
    return rule(fault, match=f"match: [{{headers: {{x-code: {{exact: {code.name}}}}}}}]\n      ")


PLAIN = called("S-3-5-a-call-is-let-through")
BY_DEFAULT = called("V-80-calls-that-are-unavailable-or-cancelled", rule())
ABORTED = called("V-75-every-status-of-gRPC", "".join(map(aborted, CODES)))
UNAVAILABLE = called("V-74-a-call-understands-httpStatus", rule("fault: {abort: {httpStatus: 503, percent: 100}}"))
NOWHERE = called("V-26-a-call-that-no-rule-takes", rule(match="match: [{uri: {prefix: /other/}}]\n      "))
ROUTED = called("V-31-a-method-is-a-path", rule(match="match: [{uri: {exact: /live/Echo}}]\n      "))
WEB = called("S-3-5-gRPC-Web", protocol="GRPC-WEB")
RETRIED = {
    word: called(f"V-83-{word}", rule(f"retries: {{attempts: 2, retryOn: {word}}}"))
    for word in ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable")
}

CASES = (PLAIN, BY_DEFAULT, ABORTED, UNAVAILABLE, NOWHERE, ROUTED, WEB, *RETRIED.values())


class Server:
    """`Echo` answers with what it was given. `Fail` fails so often with the status that a call names, and counts."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()

    def echo(self, request: bytes, _: grpc.ServicerContext) -> bytes:
        return request

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        asked = dict(context.invocation_metadata())
        self.tries[asked["x-call"]] += 1
        if self.tries[asked["x-call"]] <= int(asked["x-times"]):
            context.abort(grpc.StatusCode[asked["x-fails"]], "as asked")
        return request


SERVER = Server()


@pytest.fixture(scope="module")
def names(names: dict[str, str]) -> Iterator[dict[str, str]]:
    with serving(SERVER) as port:
        yield names | {"grpc": str(port)}


@contextmanager
def serving(told: Server) -> Iterator[int]:
    methods = {"Echo": told.echo, "Fail": told.fail}
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("live", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


def call(live: Live, to: Case, method: str = "Echo", **metadata: str) -> bytes | grpc.StatusCode:
    """The answer, or the status where there is none."""
    own = (("grpc.default_authority", to.host), ("grpc.enable_http_proxy", 0))
    with grpc.insecure_channel(f"127.0.0.1:{live.listeners['calls']}", own) as channel:
        try:
            pairs = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
            answer: bytes = channel.unary_unary(f"/live/{method}")(b"hello", timeout=10, metadata=pairs)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        return answer


def tries(live: Live, to: Case, code: str, times: int) -> tuple[bytes | grpc.StatusCode, int]:
    """What came of a call that fails so often, and how often it was tried."""
    name = uuid4().hex
    answer = call(live, to, "Fail", x_call=name, x_fails=code, x_times=str(times))
    return answer, SERVER.tries[name]


def test_a_call_is_let_through(live: Live):
    assert call(live, PLAIN) == b"hello"


@pytest.mark.spec("V-75")
@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_call_is_aborted_with_the_status_of_its_rule(live: Live, code: grpc.StatusCode):
    assert call(live, ABORTED, x_code=code.name) is code


@pytest.mark.spec("V-74")
def test_a_status_of_http_means_something_to_a_call(live: Live):
    assert call(live, UNAVAILABLE) is grpc.StatusCode.UNAVAILABLE


@pytest.mark.spec("V-26", "V-31")
def test_a_method_that_no_rule_takes_is_not_implemented(live: Live):
    assert call(live, NOWHERE) is grpc.StatusCode.UNIMPLEMENTED
    assert call(live, ROUTED) == b"hello"
    assert call(live, ROUTED, "Fail", x_call="any", x_times="0") is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.spec("V-83")
@pytest.mark.parametrize("word", RETRIED)
def test_a_call_is_tried_again_after_the_statuses_that_are_named(live: Live, word: str):
    code = word.upper().replace("-", "_")

    assert tries(live, RETRIED[word], code, 2) == (b"hello", 3)
    assert tries(live, RETRIED[word], code, 3) == (grpc.StatusCode[code], 3)
    assert tries(live, RETRIED[word], "DATA_LOSS", 1) == (grpc.StatusCode.DATA_LOSS, 1)


@pytest.mark.spec("V-80")
@pytest.mark.parametrize("to", [BY_DEFAULT, PLAIN], ids=lambda case: case.id)
def test_by_default_only_what_was_not_done_is_tried_again(live: Live, to: Case):
    assert tries(live, to, "UNAVAILABLE", 2) == (b"hello", 3)
    assert tries(live, to, "CANCELLED", 1) == (b"hello", 2)
    assert tries(live, to, "INTERNAL", 1) == (grpc.StatusCode.INTERNAL, 1)


def test_grpc_web_becomes_grpc(live: Live):
    """3.5: it comes in HTTP/1.1, and has its trailers in the body."""
    message = b"\x00\x00\x00\x00\x05hello"
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    asked = Ask(method="POST", path="/live/Echo", headers=headers, body=message)

    answer = live.send(asked.to(f"$host:{live.listeners['calls']}"), WEB)

    assert answer.status == 200
    assert answer.all("content-type") == ["application/grpc-web+proto"]
    assert answer.body.startswith(message)
    assert b"grpc-status:0" in answer.body.replace(b" ", b"")
