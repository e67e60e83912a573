"""The 18 examples of the older document, each as it stands there, with the neighbours that it needs."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from meshd.compiler import Reach
from tests.live.backends import Backends, running_backends
from tests.live.cases import only
from tests.live.certificates import Authority, server_context
from tests.live.hosts import Hosts, running_hosts
from tests.live.namespace import Namespace, namespace
from tests.live.raw import accepting, answering
from tests.live.requests import Answer, Ask, Keys, ask, get
from tests.live.world import Live, running_world
from tests.waiting import until

pytestmark = pytest.mark.envoy

EXAMPLES = Path(__file__).parent.parent / "examples"
SUFFIX = "svc.cluster.local"
REVIEWS, RATINGS = f"reviews.default.{SUFFIX}", f"ratings.default.{SUFFIX}"
NOBODY = only("examples", mesh="")
EXPECTED = "x-envoy-expected-rq-timeout-ms"
LATE = "x-envoy-upstream-rq-timeout-ms"

Example = Callable[..., AbstractContextManager[Live]]


def written(name: str) -> str:
    return f"---\n{(EXAMPLES / f'{name}.yaml').read_text()}"


def service(host: str, *labels: str) -> str:
    """With endpoints v1, v2 and v3, whose labels are these, or their versions."""
    versions = labels or tuple(f"version: v{number}" for number in (1, 2, 3))
    endpoints = ", ".join(
        f"{{address: 127.0.0.1, ports: {{http: $v{number}}}, labels: {{{each}}}}}"
        for number, each in enumerate(versions, 1)
    )
    short, space, _ = host.split(".", 2)
    return f"""---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {short}, namespace: {space}}}
spec:
  hosts: [{host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{endpoints}]
"""


def rule(name: str, spec: str) -> str:
    return f"---\nkind: RouteRule\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


TO_V1 = rule("to-v1", "destination: {name: reviews}, route: [{labels: {version: v1}}]")
OURSELVES = f"""---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: ourselves}}
spec:
  hosts: [{REVIEWS}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
  - {{address: $address, labels: {{version: v2}}}}
  - {{address: 10.255.255.9, labels: {{version: v1}}}}
"""
"""The calls come from version v2 of reviews."""


@pytest.fixture(scope="module")
def ten(backends: Backends) -> tuple[str, ...]:
    """Ten endpoints."""
    endpoints = tuple(f"ten{number}" for number in range(10))
    for each in endpoints:
        backends.serve(each)
    return endpoints


@pytest.fixture
def example(envoy_binary: Path, backends: Backends, names: dict[str, str], keys: Keys, short_tmp: Path) -> Example:
    def running(name: str, *neighbours: str) -> AbstractContextManager[Live]:
        documents = "".join((written(name), *neighbours))
        known = {**names, **{version: str(port) for version, port in backends.ports.items()}}
        return running_world(envoy_binary, backends, short_tmp, known, (), documents=documents, keys=keys)

    return running


def sent(live: Live, host: str, request: Ask | None = None) -> Answer:
    return live.send((request or get()).to(host), NOBODY)


def answers(live: Live, host: str, count: int, request: Ask | None = None) -> list[str]:
    """Who answered."""
    return [sent(live, host, request).by for _ in range(count)]


def statistic(live: Live, name: str) -> int:
    return live.statistic(name.replace("|", r"\|"))


# --- policies -------------------------------------------------------------------------------------------------


@pytest.mark.spec("EX-003-01", "CB-01", "CB-04", "CB-05", "CB-07", "DP-05", "DP-11")
def test_no_more_than_100_connections_to_a_version(example: Example):
    """The others wait until one of them is free."""
    with example("EX-003-01", service(REVIEWS), TO_V1) as live, ThreadPoolExecutor(101) as pool:
        before = len(live.backends.received)
        held = get(x_do="hold")
        waiting = [pool.submit(sent, live, REVIEWS, held) for _ in range(101)]
        overflow = f"cluster.outbound|80|v1|{REVIEWS}.upstream_cx_overflow"
        until(lambda: statistic(live, overflow), what="the 101st connection, which is not opened")
        until(lambda: len(live.backends.received) - before >= 100, what="the others")
        reached = len(live.backends.received) - before
        until(lambda: (live.backends.release(), all(each.done() for each in waiting))[1], what="all answers")

    assert reached == 100
    assert Counter(each.result().status for each in waiting) == {200: 101}


@pytest.mark.spec("EX-003-02", "CB-06", "CB-09", "CB-10", "CB-11", "CB-12", "CB-13", "CB-14", "CB-17", "CB-18")
def test_seven_errors_in_a_row_eject_one_of_ten_and_ten_requests_are_a_connection(
    example: Example, ten: tuple[str, ...]
):
    """A tenth of the endpoints may be ejected: of fewer than ten, nobody."""
    endpoints = ", ".join(f"{{address: 127.0.0.1, ports: {{http: ${each}}}, labels: {{version: v1}}}}" for each in ten)
    reviews = re.sub(r"endpoints: .*", f"endpoints: [{endpoints}]", service(REVIEWS))
    with example("EX-003-02", reviews, TO_V1) as live:
        connections = Counter(sent(live, REVIEWS).told["connection"] for _ in range(200))
        failing = get(x_do=f"500@{ten[0]}")
        before = Counter(sent(live, REVIEWS, failing).status for _ in range(70))
        after = Counter(answers(live, REVIEWS, 90))

    assert set(connections.values()) == {10}
    assert before == {200: 63, 500: 7}
    assert set(after) == set(ten[1:])
    assert after.total() == 90


@pytest.mark.spec("EX-003-04", "DP-01", "DP-02", "DP-10", "LB-01", "LB-03", "LB-06")
def test_in_turns_to_all_versions(example: Example):
    other = service(REVIEWS)
    with example("EX-003-04", service(RATINGS), other) as live:
        heard = answers(live, RATINGS, 30)

    assert heard[3:] == heard[:-3]
    assert set(heard) == {"v1", "v2", "v3"}


@pytest.mark.spec("EX-003-05", "DP-06", "DP-09", "DP-13")
def test_in_turns_to_one_version_for_calls_of_another(example: Example):
    """All other calls are spread at random."""
    prod, dev = "env: prod, version: v1", "env: dev, version: v1"
    at_random = (
        "---\nkind: DestinationPolicy\nmetadata: {name: all}\n"
        "spec: {destination: {name: ratings}, loadBalancing: {name: RANDOM}}\n"
    )
    match = "match: {request: {headers: {uri: /prod}}}"
    routed = rule("prod", f"destination: {{name: ratings}}, {match}, route: [{{labels: {{{prod}}}}}]")
    with example("EX-003-05", service(RATINGS, prod, prod, dev), OURSELVES, at_random, routed) as live:
        in_turns = answers(live, RATINGS, 30, get("/prod"))
        others = answers(live, RATINGS, 60)

    assert in_turns[2:] == in_turns[:-2]
    assert set(in_turns) == {"v1", "v2"}
    assert others[3:] != others[:-3]


@pytest.mark.spec("EX-003-15", "LB-01", "LB-02", "LB-05", "LB-08")
def test_at_random_to_all_versions(example: Example):
    with example("EX-003-15", service(REVIEWS)) as live:
        heard = answers(live, REVIEWS, 300)

    assert heard[3:] != heard[:-3]
    assert min(Counter(heard).values()) > 50
    assert len(set(heard)) == 3


# --- rules ----------------------------------------------------------------------------------------------------


@pytest.mark.spec("EX-003-03", "CORS-01", "CORS-02", "CORS-03", "CORS-04", "CORS-05", "CORS-07", "CORS-08", "RR-29")
def test_browsers_are_told_who_may_call_how(example: Example):
    asks = {"access_control_request_method": "POST", "access_control_request_headers": "X-Foo-Bar"}
    with example("EX-003-03", service(RATINGS)) as live:
        allowed = sent(live, RATINGS, ask("OPTIONS", origin="example.com", **asks))
        other = sent(live, RATINGS, ask("OPTIONS", origin="https://example.com", **asks))

    assert {name: value for name, value in allowed.headers if name.startswith("access-control")} == {
        "access-control-allow-origin": "example.com",
        "access-control-allow-methods": "POST,GET",
        "access-control-allow-headers": "X-Foo-Bar",
        "access-control-max-age": "86400",
    }
    assert other.all("access-control-allow-origin") == []


@pytest.mark.spec("EX-003-06", "DW-01", "DW-02", "DW-04", "GLO-04", "GLO-06", "GLO-08", "GLO-09", "GLO-10", "RR-08")
def test_a_quarter_to_the_new_version(example: Example):
    with example("EX-003-06", service(REVIEWS)) as live:
        heard = Counter(answers(live, REVIEWS, 400))

    assert set(heard) == {"v1", "v2"}
    assert 50 < heard["v2"] < 150


@pytest.mark.spec("EX-003-09", "ABT-01", "ABT-02", "ABT-03")
def test_a_tenth_is_aborted(example: Example):
    with example("EX-003-09", service(REVIEWS)) as live:
        found = Counter((each.status, each.by) for each in (sent(live, REVIEWS) for _ in range(400)))

    assert set(found) == {(200, "v1"), (400, "")}
    assert 10 < found[400, ""] < 80


@pytest.mark.spec("EX-003-10", "DLY-01", "DLY-03", "DLY-04")
def test_a_tenth_is_delayed_and_answered_all_the_same(example: Example):
    with example("EX-003-10", service(REVIEWS)) as live, ThreadPoolExecutor(100) as pool:
        found = Counter(each.by for each in pool.map(lambda _: sent(live, REVIEWS), range(100)))
        delayed = live.statistic("http[.]outbound_[0-9._]+[.]fault[.]delays_injected")

    assert found == {"v1": 100}
    assert 1 <= delayed <= 30


@pytest.mark.spec("EX-003-11", "RED-01", "RED-02", "RED-03", "RED-05", "RR-16", "RR-32")
def test_one_path_is_redirected(example: Example):
    with example("EX-003-11", service(RATINGS)) as live:
        moved = sent(live, RATINGS, get("/v1/getProductRatings"))
        others = {sent(live, RATINGS, get(path)).status for path in ("/v1/getProductRatings/7", "/", "/v1")}

    assert moved.status == 302
    assert moved.all("location") == [f"http://bookratings.default.{SUFFIX}/v1/bookRatings"]
    assert others == {200}


@pytest.mark.spec("EX-003-12", "RTY-01", "RTY-02", "RTY-03", "RTY-05", "RTY-06", "RTY-07", "RTY-08", "RR-23")
def test_three_more_tries(example: Example):
    with example("EX-003-12", service(RATINGS)) as live:
        recovered = sent(live, RATINGS, get(x_do="503x3"))
        given_up = sent(live, RATINGS, get(x_do="503"))
        in_time = sent(live, RATINGS, get(x_do="503", **{LATE: "1"}))
        tries = [len(live.backends.of(each.live)) for each in (recovered, given_up)]

    assert (recovered.status, recovered.by, tries[0]) == (200, "v1", 4)
    assert (given_up.status, tries[1]) == (503, 4)
    assert recovered.sent(EXPECTED) == ["2000"]
    assert in_time.status in {503, 504}


@pytest.mark.spec("EX-003-13", "RWR-01", "RWR-03", "RWR-04", "RR-17")
def test_a_prefix_is_rewritten(example: Example):
    with example("EX-003-13", service(RATINGS)) as live:
        inside = sent(live, RATINGS, get("/ratings/17"))
        outside = sent(live, RATINGS, get("/other"))

    assert (inside.by, inside.told["path"]) == ("v1", "/v1/bookRatings/17")
    assert outside.told["path"] == "/other"


@pytest.mark.spec("EX-003-14", "TMO-01", "TMO-02", "TMO-03", "TMO-05", "TMO-08", "RR-22")
def test_ten_seconds_unless_the_caller_says_otherwise(example: Example):
    with example("EX-003-14", service(RATINGS)) as live:
        usual = sent(live, RATINGS)
        hurried = sent(live, RATINGS, get(x_do="hold", **{LATE: "200"}))

    assert (usual.by, usual.sent(EXPECTED)) == ("v1", ["10000"])
    assert hurried.status == 504


@pytest.mark.spec("EX-003-16", "MC-01", "MC-03", "MC-05", "MC-08", "MR-01", "MR-02", "MR-08", "SM-01", "RR-12", "RR-14")
def test_calls_of_one_version_with_a_cookie_and_a_path(example: Example):
    """They go to all versions; what the rule leaves goes to v3, for the sake of the difference."""
    rest = rule("rest", "destination: {name: ratings}, precedence: -1, route: [{labels: {version: v3}}]")
    with example("EX-003-16", service(RATINGS), OURSELVES, rest) as live:
        taken = set(answers(live, RATINGS, 60, get("/ratings/v2/7", cookie="a=b;user=jason;c=d")))
        others = (
            get("/ratings/v2/7"),
            get("/ratings/v2/7", cookie="user=jasonx"),
            get("/ratings/v1/7", cookie="user=jason"),
        )
        left = {sent(live, RATINGS, each).by for each in others}

    assert taken == {"v1", "v2", "v3"}
    assert left == {"v3"}


@pytest.mark.spec("EX-003-16", "MC-05", "GLO-07")
def test_calls_of_others_are_not_meant(example: Example):
    rest = rule("rest", "destination: {name: ratings}, precedence: -1, route: [{labels: {version: v3}}]")
    ours = OURSELVES.replace("version: v2", "version: v9")
    with example("EX-003-16", service(RATINGS), ours, rest) as live:
        assert set(answers(live, RATINGS, 9, get("/ratings/v2/7", cookie="user=jason"))) == {"v3"}


@pytest.mark.spec("EX-003-17", "RR-01", "RR-04", "RR-06", "IS-01", "IS-02", "IS-04", "GLO-05")
def test_everything_to_one_version_in_another_namespace(example: Example):
    there = f"reviews.my-namespace.{SUFFIX}"
    with example("EX-003-17", service(REVIEWS), service(there)) as live:
        heard, untouched = set(answers(live, there, 9)), set(answers(live, REVIEWS, 60))

    assert heard == {"v1"}
    assert untouched == {"v1", "v2", "v3"}


# --- what is outside ------------------------------------------------------------------------------------------

APP, FOO, GMAIL, BAR, BESIDE = "10.8.0.2", "10.8.1.1", "10.8.1.2", "92.198.174.200", "92.198.174.224"
CAPTURE = f"""
table inet meshd {{
  chain outbound {{
    type nat hook output priority -100;
    ip saddr {APP} tcp dport != 15001 redirect to :15001
  }}
}}
"""
THIS_HOST = f"""---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: web-1}}
spec: {{address: {APP}}}
---
apiVersion: meshd.io/v1
kind: MeshConfig
metadata: {{name: mesh}}
spec: {{systemCaFile: $ca, outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}}}
"""


@pytest.fixture(scope="module")
def outside(envoy_binary: Path, ca: Authority, keys: Keys) -> Iterator[Hosts]:
    """A captured application, with the three examples at once: they are about different hosts."""
    examples = (written(f"EX-003-{number}") for number in ("07", "08", "18"))
    text = "".join((THIS_HOST.replace("$ca", str(ca.file)), *examples))
    pair = ca.signed("outside of the examples", "DNS:*.foo.com", "DNS:gmail.com")
    with (
        namespace(*(f"{each}/32" for each in (APP, FOO, GMAIL, BAR, BESIDE))) as room,
        running_backends() as backends,
        ExitStack() as stack,
    ):
        room.run("nft", "-f", "-", given=CAPTURE)
        backends.serve_on("foo", listening(room, FOO, 80))
        backends.serve_on("foo", listening(room, FOO, 443), server_context(pair))
        backends.serve_on("gmail", listening(room, GMAIL, 443), server_context(pair))
        for address, name in ((BAR, "bar"), (BESIDE, "beside")):
            stack.enter_context(accepting(listening(room, address, 111), answering(name)))
        reach = {"web-1": Reach(capture="nftables")}
        answer = {"gmail.com": (GMAIL,)}
        yield stack.enter_context(running_hosts(envoy_binary, room, backends, keys, text, reach, answer))


def listening(room: Namespace, address: str, port: int) -> socket.socket:
    return room.within(socket.create_server, (address, port))


def dialled(hosts: Hosts, host: str, address: str, port: int) -> Answer:
    return hosts.asked(get().to(host, "captured").through("captured", address).out_of(APP), port)


@pytest.mark.spec("EX-003-07", "ER-07", "ER-08", "ER-13")
def test_names_below_a_wildcard_in_http_and_in_tls_that_is_opened_for_them(outside: Hosts):
    plain, secure = (dialled(outside, "x.foo.com", FOO, port) for port in (80, 443))

    assert (plain.by, plain.told["tls"]) == ("foo", None)
    assert (secure.by, secure.told["tls"]["sni"]) == ("foo", "x.foo.com")
    assert dialled(outside, "x.bar.com", FOO, 80).status == 502


@pytest.mark.spec("EX-003-08", "ER-06", "ER-09", "ER-15")
def test_bytes_to_a_block_of_addresses_and_no_further(outside: Hosts):
    assert outside.said(APP, BAR, 111) == b"bar"
    assert outside.said(APP, BESIDE, 111) == b""


@pytest.mark.spec("EX-003-18", "ER-07")
def test_http_to_port_443_leaves_as_tls_that_is_verified(outside: Hosts):
    answer = dialled(outside, "gmail.com", GMAIL, 443)

    assert (answer.by, answer.told["tls"]["sni"]) == ("gmail", "gmail.com")
    assert outside.count("web-1", r"^cluster\.outbound\|443\|\|gmail.com\.ssl\.handshake$") == 1


def test_no_example_is_missing():
    named = re.findall(r"EX-003-\d\d", Path(__file__).read_text())

    assert {f"EX-003-{number:02}" for number in range(1, 19)} <= set(named)
