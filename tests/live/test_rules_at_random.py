"""Random RouteRules, by a real Envoy and by a direct reading of the older document: they never disagree.

What decides here is written from the text alone: the rules of a destination by precedence, the first that matches, and
all versions where none does. It knows nothing of VirtualServices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import pytest

from tests.live.cases import Case, case
from tests.live.requests import Ask
from tests.live.world import Live

pytestmark = pytest.mark.envoy

SETS = 60
REQUESTS = 5_000
VERSIONS = ("v1", "v2", "v3")
PATHS = ("/", "/a", "/a/b", "/ab", "/b", "/b/a", "/a/b/c")
VALUES = ("x", "xy", "y", "")
URIS = ({"exact": "/a"}, {"prefix": "/a"}, {"prefix": "/a/"}, {"prefix": "/"}, {"regex": "/.*b"}, {"regex": "/[ab]"})
TEXTS = ({"exact": "x"}, {"prefix": "x"}, {"regex": "x?y"}, {"exact": "xy"})
CALLERS = {"web": {"tier": "front"}, "web-back": {"tier": "back"}, "other": {}}
"""This host is `web`, of tier `front`."""


@dataclass(frozen=True)
class Rule:
    name: str
    precedence: int
    conditions: Mapping[str, Mapping[str, str]]
    caller: str | None
    to: str | None
    """A version; None is all of them."""
    answer: str
    """`redirect`, `abort` or nothing."""

    def takes(self, request: Ask) -> bool:
        said = {"uri": request.path, "method": request.method, **request.headers}
        conditions = all(name in said and holds(match, str(said[name])) for name, match in self.conditions.items())
        return self.caller in {None, "web"} and conditions

    def yaml(self) -> str:
        spec = ["destination: {service: $host}", f"precedence: {self.precedence}"]
        match = []
        if self.conditions:
            match.append(f"request: {{headers: {dict(self.conditions)}}}")
        if self.caller:
            service = "web" if self.caller.startswith("web") else "other"
            match.append(f"source: {{service: {service}.$name, labels: {CALLERS[self.caller]}}}")
        if match:
            spec.append(f"match: {{{', '.join(match)}}}")
        if self.answer == "redirect":
            spec.append(f"redirect: {{uri: /to/{self.name}}}")
        elif self.answer == "abort":
            spec.append("httpFault: {abort: {httpStatus: 418}}")
        if self.to and self.answer != "redirect":
            spec.append(f"route: [{{labels: {{version: {self.to}}}}}]")
        return f"kind: RouteRule\nmetadata: {{name: $name-{self.name}}}\nspec: {{{', '.join(spec)}}}\n"


def holds(match: Mapping[str, str], text: str) -> bool:
    ((kind, wanted),) = match.items()
    return {
        "exact": text == wanted,
        "prefix": text.startswith(wanted),
        "regex": kind == "regex" and re.fullmatch(wanted, text) is not None,
    }[kind]


def decided(rules: tuple[Rule, ...], request: Ask) -> tuple[str, frozenset[str]]:
    """What is answered; or, after `forward`, the versions that may have answered."""
    for rule in sorted(rules, key=lambda rule: (-rule.precedence, rule.name)):
        if rule.takes(request):
            where = frozenset({rule.to} if rule.to else VERSIONS)
            return (rule.answer, frozenset({rule.name})) if rule.answer else ("forward", where)
    return "forward", frozenset(VERSIONS)


# --- at random ------------------------------------------------------------------------------------------------


def a_rule(random: Random, index: int) -> Rule:
    conditions: dict[str, Mapping[str, str]] = {}
    if random.random() < 0.6:
        conditions["uri"] = random.choice(URIS)
    if random.random() < 0.4:
        conditions["x-a"] = random.choice(TEXTS)
    if random.random() < 0.2:
        conditions["method"] = {"exact": random.choice(("GET", "POST"))}
    return Rule(
        name=f"r{index}",
        precedence=random.choice((-1, 0, 0, 1, 2)),
        conditions=conditions,
        caller=random.choice(tuple(CALLERS)) if random.random() < 0.2 else None,
        to=random.choice((*VERSIONS, *VERSIONS, None)),
        answer=random.choice(("", "", "", "", "redirect", "abort")),
    )


def a_request(random: Random) -> Ask:
    headers = {"x-a": random.choice(VALUES)} if random.random() < 0.6 else {}
    return Ask(method=random.choice(("GET", "POST")), path=random.choice(PATHS), headers=headers)


def a_set(random: Random, number: int) -> tuple[Case, tuple[Rule, ...]]:
    rules = tuple(a_rule(random, index) for index in range(random.randint(1, 6)))
    given = list(rules)
    random.shuffle(given)
    services = "\n---\n".join(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
        f"metadata: {{name: $name-{app}}}\nspec: {{hosts: [{app}.$name], location: MESH_INTERNAL, resolution: STATIC, "
        f"ports: [{{number: 80, name: http}}], workloadSelector: {{labels: {{app: {app}}}}}}}\n"
        for app in ("web", "other")
    )
    mesh = "\n---\n".join((*(rule.yaml() for rule in given), services))
    return case(f"set-{number}", http="", subsets="", mesh=mesh), rules


_RANDOM = Random(2017)
RULES = tuple(a_set(_RANDOM, number) for number in range(SETS))
CASES = tuple(case for case, _ in RULES)


def outcome(live: Live, case: Case, request: Ask) -> tuple[str, str]:
    answer = live.send(request, case)
    if answer.status == 302:
        return "redirect", answer.all("location")[0].rpartition("/")[2]
    return ("abort", "") if answer.status == 418 else ("forward", answer.by)


def test_envoy_and_the_text_agree_on_every_request(live: Live):
    random = Random(1)
    seen = set()
    for _ in range(REQUESTS):
        case, rules = random.choice(RULES)
        request = a_request(random)
        what, where = decided(rules, request)

        found, at = outcome(live, case, request)

        told = f"{request}\n" + "\n".join(rule.yaml() for rule in rules)
        assert found == what, told
        assert not at or at in where, told
        seen.add((found, at))
    assert {("abort", ""), *(("forward", version) for version in VERSIONS)} <= seen
