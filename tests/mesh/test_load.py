"""Files to mesh: what is read once, refused, counted, and told in which order."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from meshd.documents import TooLargeError
from meshd.memo import Memo
from meshd.mesh import load as loading
from meshd.mesh.load import Loaded, load
from meshd.names import BlobId

SERVICE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.shop]
  ports: [{number: 80, name: http}]
  resolution: STATIC
"""
ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews.shop]
  http:
  - route:
    - destination: {host: reviews.shop, subset: v1}
"""
RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews.shop
  subsets: [{name: v1, labels: {version: v1}}]
"""
SETTINGS = "apiVersion: meshd.io/v1\nkind: MeshConfig\nmetadata: {name: mesh}\nspec: {domainSuffix: internal}\n"


class Repository:
    """Files in memory, whose blob is their content; counts how often each is read."""

    def __init__(self, **files: str) -> None:
        self.files = files
        self.reads: list[str] = []
        self.memo = Memo()

    def blobs(self) -> Mapping[str, BlobId]:
        return {f"{name}.yaml": BlobId(text) for name, text in sorted(self.files.items())}

    def read(self, blob: BlobId) -> bytes:
        self.reads.append(blob)
        return blob.encode()

    def load(self, **options: bool) -> Loaded:
        loaded = load(self.blobs(), self.read, self.memo, **options)
        self.memo.turn()
        return loaded


def told(loaded: Loaded) -> list[str]:
    return [f"{problem.at} {problem.code}" for problem in loaded.problems]


def test_files_without_faults_become_a_mesh():
    loaded = Repository(a=SERVICE, b=f"{ROUTE}---\n{RULE}", c=SETTINGS).load()

    assert loaded.problems == ()
    assert loaded.mesh
    assert list(loaded.mesh.services) == ["reviews.shop"]
    assert loaded.mesh.settings.domain_suffix == "internal"
    assert (loaded.resources, loaded.skipped) == (4, 0)


def test_objects_of_other_api_groups_are_skipped_and_counted():
    loaded = Repository(a="apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}\n").load()

    assert loaded.mesh
    assert (loaded.resources, loaded.skipped) == (0, 1)


def test_an_error_leaves_no_mesh_and_a_warning_does():
    unused = Repository(a=RULE).load()
    broken = Repository(a=RULE.replace("host:", "hots:")).load()

    assert told(unused) == ["a.yaml:5:9 W-DR-UNUSED"]
    assert unused.mesh
    assert broken.mesh is None


def test_all_problems_of_all_files_are_told_in_the_order_of_files_and_lines():
    files = {
        "b": SERVICE.replace("number: 80", "number: 0"),
        "a": f"{ROUTE}---\n{RULE}".replace("subset: v1", "subset: v9"),
    }

    assert told(Repository(**files).load()) == [
        "a.yaml:8:27 E-VS-DEST-UNKNOWN",
        "b.yaml:6:20 E-VALUE",
    ]


def test_three_faults_in_two_files_are_three_problems_with_their_lines():
    files = {
        "a": SERVICE + "---\n" + RULE.replace("subsets", "subset"),
        "b": ROUTE.replace("subset: v1", "subset: v1, wieght: 1") + "    timeout: 5\n",
    }

    loaded = Repository(**files).load()

    assert loaded.mesh is None
    assert told(loaded) == ["a.yaml:14:3 E-FIELD", "b.yaml:8:53 E-FIELD", "b.yaml:9:14 E-TYPE"]


def test_what_may_be_missing_because_it_could_not_be_read_is_told_with_that_cause():
    loaded = Repository(a=SERVICE, b=ROUTE, c=RULE.replace("host:", "hots:")).load()

    (undefined,) = (problem for problem in loaded.problems if problem.code == "E-VS-SUBSET-UNDEFINED")
    assert undefined.hint == "perhaps because DestinationRule default/reviews (c.yaml:5:3) has an error"


def test_the_gateway_that_is_missed_is_named_where_it_has_an_error_whatever_else_is_near():
    gateway = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: NAME}
spec: {selector: {istio: edge}, servers: [{PORT: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
"""
    files = {
        "a": ROUTE.replace("spec:", "spec:\n  gateways: [front]"),
        "b": gateway.replace("NAME", "front2").replace("PORT", "port"),
        "c": gateway.replace("NAME", "font").replace("PORT", "prot"),
        "d": gateway.replace("NAME", "front").replace("PORT", "prot"),
    }

    (unknown,) = (each for each in Repository(**files).load().problems if each.code == "E-VS-GATEWAY-UNKNOWN")

    assert unknown.hint == "Gateway default/front (d.yaml:5:43) has an error"


def test_a_group_that_has_an_error_is_the_cause_for_its_entries():
    entry = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1, annotations: {istio.io/autoRegistrationGroup: web}}
spec: {address: 10.0.0.1}
"""
    group = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: web}
spec: {tmeplate: {}}
"""

    problems = Repository(a=entry, b=group).load().problems
    (unknown,) = (each for each in problems if each.code == "E-WE-GROUP-UNKNOWN")

    assert unknown.hint == "WorkloadGroup default/web (b.yaml:5:7) has an error"


def test_a_file_that_cannot_be_parsed_is_a_cause_too():
    loaded = Repository(a=ROUTE, b="a: [").load()

    assert "because b.yaml:" in loaded.problems[0].hint


def test_nothing_is_said_to_be_unused_while_services_cannot_be_read():
    assert "W-DR-UNUSED" not in str(told(Repository(a=SERVICE.replace("80", "0"), b=RULE).load()))


def test_isolated_leaves_out_what_needs_other_resources():
    repository = Repository(a=ROUTE)

    assert told(repository.load(isolated=True)) == []
    assert told(repository.load()) == ["a.yaml:8:27 E-VS-DEST-UNKNOWN"]


def test_an_object_is_given_once_whatever_its_version():
    loaded = Repository(a=SERVICE, b="\n\n" + SERVICE.replace("/v1\n", "/v1alpha3\n")).load()

    (problem,) = loaded.problems
    assert problem.code == "E-DUP-RESOURCE"
    assert problem.at.file == "b.yaml"
    assert "ServiceEntry default/reviews" in problem.message
    assert "a.yaml:" in problem.message


def test_the_mesh_is_set_once():
    loaded = Repository(a=SETTINGS, b=SETTINGS.replace("name: mesh", "name: other")).load()

    assert [problem.code for problem in loaded.problems] == ["E-DUP-RESOURCE"]


def test_problems_of_united_services_are_told():
    other = SERVICE.replace("name: reviews", "name: ratings").replace("STATIC", "DNS")

    assert [problem.code for problem in Repository(a=SERVICE, b=other).load().problems] == ["W-SE-DUP-HOST"]


def test_an_unchanged_file_is_read_once_and_gives_the_same_objects():
    repository = Repository(a=SERVICE, b=RULE)
    before = repository.load().mesh
    repository.reads.clear()
    repository.files["b"] = RULE.replace("v1, labels", "v2, labels")

    after = repository.load().mesh

    assert repository.reads == [repository.files["b"]]
    assert before
    assert after
    assert after.services["reviews.shop"] is before.services["reviews.shop"]
    assert after.destination_rules["reviews.shop"] is not before.destination_rules["reviews.shop"]


def test_a_file_that_moves_is_told_at_its_new_place():
    repository = Repository(a=ROUTE)
    repository.load()
    repository.files = {"b": ROUTE}

    assert told(repository.load()) == ["b.yaml:8:27 E-VS-DEST-UNKNOWN"]


@pytest.mark.parametrize("ending", ["\r", "\r\n", "\n"])
def test_an_edit_is_seen_however_lines_end(ending: str):
    comment = f"# a shop,{ending}# as it was{ending}# found{ending}# on an old{ending}# machine" + 5 * f"{ending}#"
    repository = Repository(a=f"{comment}\n{RULE}---\n{SERVICE}")
    repository.load()
    repository.files["a"] = repository.files["a"].replace("labels: {version: v1}", "labels: {version: v7}")

    mesh = repository.load().mesh

    assert mesh
    assert mesh.destination_rules["reviews.shop"][0].subsets["v1"].labels == {"version": "v7"}


def test_an_edit_below_a_line_that_only_looks_like_a_documents_first_is_seen():
    head = (
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: answer}, spec: {\nhosts: [x.shop],"
    )
    answer = f'{head} http: [{{directResponse: {{status: 200, body: {{string: "a\n---b\nLAST"}}}}}}]}}}}\n'
    repository = Repository(a=f"{answer}---\n{SERVICE}")
    repository.load()
    repository.files["a"] = repository.files["a"].replace("LAST", "NEXT")

    mesh = repository.load().mesh

    assert mesh
    (virtual_service,) = mesh.virtual_services["x.shop"]
    assert "NEXT" in str(virtual_service.http[0].direct_response)


def test_of_an_edited_file_the_documents_that_did_not_change_are_the_same_objects():
    repository = Repository(a=f"{SERVICE}---\n{ROUTE}---\n{RULE}")
    before = repository.load().mesh
    repository.files["a"] = repository.files["a"].replace("host: reviews.shop, subset", "host: reviews.shop.,subset")

    after = repository.load().mesh

    assert before
    assert after
    assert after.services["reviews.shop"] is before.services["reviews.shop"]
    assert after.destination_rules["reviews.shop"] is before.destination_rules["reviews.shop"]
    assert after.virtual_services["reviews.shop"] != before.virtual_services["reviews.shop"]


def test_a_document_that_moved_is_told_at_its_new_line():
    repository = Repository(a=f"{SERVICE}---\n{ROUTE}")
    repository.load()
    repository.files["a"] = f"{SERVICE}\n---\n{ROUTE}"

    (problem,) = repository.load().problems

    assert problem.at.line == 17


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MOST_FILES", 2)
    monkeypatch.setattr(loading, "MOST_BYTES", 600)


@pytest.mark.usefixtures("small_limits")
def test_too_many_files_or_bytes_are_no_mesh():
    many = Repository(a=RULE, b=RULE, c=RULE)

    assert told(many.load()) == ["a.yaml:1:1 E-LIMIT"]
    assert many.reads == []
    assert "b.yaml:1:1 E-LIMIT" in told(Repository(a=RULE, b=RULE + "#" * 600).load())


def test_a_file_that_is_too_large_is_a_problem_and_is_never_held():
    def read(_blob):
        raise TooLargeError(10_000_000_000)

    loaded = load({"huge.yaml": BlobId("0" * 40)}, read, Memo())

    assert [(problem.code, problem.at.file) for problem in loaded.problems] == [("E-LIMIT", "huge.yaml")]
    assert "10000000000 bytes" in loaded.problems[0].message
