"""Random IngressRules and RouteRules, by a direct reading of the older document and by what is printed: they agree.

The first reading knows rules alone: the first IngressRule that matches, then the first RouteRule of its destination.
The second knows routes alone: those of the VirtualService for the host, in their order, with the extras' `also`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import yaml

from tests.convert.conftest import RATINGS, REVIEWS, a_rule, an_ingress_rule, converted

SETS = 80
REQUESTS = 40
HOSTS = ("a.example", "b.example", "c.example")
PATHS = ("/", "/a", "/a/b", "/ab", "/b/c", "/a/c", "/a/b/c")
URIS = [{"prefix": "/"}, {"prefix": "/a"}, {"prefix": "/a/"}, {"prefix": "/a/b"}, {"exact": "/a"}, {"exact": "/a/b"},
        {"regex": "/a.*"}, {"regex": "/[ab]/c"}, {"regex": "/.*"}]  # fmt: skip
TEXTS = [{"exact": "x"}, {"prefix": "x"}, {"regex": "x?y"}, {"exact": "xy"}]
AUTHORITIES = [{"exact": "a.example"}, {"exact": "b.example:80"}, {"prefix": "a."}, {"regex": "[ab].*"}]
REWRITES = {"rewrite-a": "/v1/", "rewrite-b": "/v1", "rewrite-c": "/"}

Match = Mapping[str, str]
Outcome = tuple[str, str | None, str]
"""Where a request goes: a service, a version of it, and the path that it gets; or a redirect."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    name: str
    precedence: int
    to: str
    asks: Mapping[str, Match]
    port: int = 0
    does: str = ""


@dataclass(frozen=True, kw_only=True)
class Request:
    port: int
    host: str
    path: str
    method: str
    header: str

    @property
    def said(self) -> Mapping[str, str]:
        return {"uri": self.path, "method": self.method, "authority": self.host, "x-a": self.header}


def holds(match: Match, text: str) -> bool:
    ((kind, wanted),) = match.items()
    if kind == "regex":
        return re.fullmatch(wanted, text) is not None
    return text == wanted if kind == "exact" else text.startswith(wanted)


def rewritten(path: str, uri: Match | None, to: str) -> str:
    """A prefix is replaced, and all of a path that was matched otherwise."""
    prefix = (uri or {"prefix": "/"}).get("prefix")
    return to if prefix is None else to + path[len(prefix) :]


# --- by the rules ---------------------------------------------------------------------------------------------


def takes(rule: Rule, request: Request) -> bool:
    if rule.port not in {0, request.port}:
        return False
    return all(holds(without_port(match), request.said[name]) for name, match in rule.asks.items())


def without_port(match: Match) -> Match:
    return {kind: text.removesuffix(":80") for kind, text in match.items()}


def by_rules(edges: list[Rule], rules: list[Rule], request: Request) -> Outcome | None:
    def first(given: list[Rule]) -> Rule | None:
        return next((each for each in sorted(given, key=lambda each: (-each.precedence, each.name))
                     if takes(each, request)), None)  # fmt: skip

    edge = first(edges)
    if edge is None:
        return None
    rule = first([each for each in rules if each.to == edge.to])
    if rule is None:
        return edge.to, None, request.path
    if rule.does == "redirect":
        return "redirect", None, f"/{rule.name}"
    if rule.does in REWRITES:
        return edge.to, "v1", rewritten(request.path, rule.asks.get("uri"), REWRITES[rule.does])
    return edge.to, rule.does, request.path


# --- by the routes --------------------------------------------------------------------------------------------


def by_routes(objects: list[dict[str, Any]], request: Request) -> Outcome | None:
    gateways = {each["metadata"]["name"] for each in objects if each["kind"] == "Gateway"
                and any(server["port"]["number"] == request.port for server in each["spec"]["servers"])}  # fmt: skip
    tables = {each["spec"]["hosts"][0]: each for each in objects
              if each["kind"] == "VirtualService" and gateways & {*each["spec"].get("gateways", ())}}  # fmt: skip
    table = tables.get(request.host) or tables.get("*")
    if table is None:
        return None
    extras = json.loads(table["metadata"]["annotations"].get("meshd.io/extras", "{}")).get("http", {})
    for route in table["spec"]["http"]:
        (match,) = route["match"]
        asked = [*((name, match[name]) for name in ("uri", "method", "authority") if name in match),
                 *match.get("headers", {}).items(), *extras.get(route["name"], {}).get("also", {}).items()]  # fmt: skip
        if match["port"] == request.port and all(holds(each, request.said[name]) for name, each in asked):
            return outcome(route, match, request)
    return None


def outcome(route: dict[str, Any], match: dict[str, Any], request: Request) -> Outcome:
    if "redirect" in route:
        return "redirect", None, route["redirect"]["uri"]
    (to,) = route["route"]
    path, rewrite = request.path, route.get("rewrite", {})
    if "uri" in rewrite:
        path = rewritten(path, match.get("uri"), rewrite["uri"])
    elif "uriRegexRewrite" in rewrite:
        path = re.sub(rewrite["uriRegexRewrite"]["match"], rewrite["uriRegexRewrite"]["rewrite"], path, count=1)
    return to["destination"]["host"].partition(".")[0], to["destination"].get("subset"), path


# --- at random ------------------------------------------------------------------------------------------------


def a_random_rule(random: Random, name: str, **fields: Any) -> Rule:
    asks: dict[str, Match] = {}
    for header, likely, matches in (
        ("uri", 0.6, URIS),
        ("x-a", 0.3, TEXTS),
        ("method", 0.2, [{"exact": "GET"}, {"exact": "POST"}]),
        ("authority", 0.5 if "port" in fields else 0.1, AUTHORITIES if "port" in fields else AUTHORITIES[2:]),
    ):
        if random.random() < likely:
            asks[header] = random.choice(matches)
    precedence, to = random.choice((0, 0, 1, 2)), random.choice(("reviews", "ratings"))
    return Rule(name=name, precedence=precedence, to=to, asks=asks, **fields)


def a_request(random: Random) -> Request:
    return Request(
        port=random.choice((80, 81)),
        host=random.choice(HOSTS),
        path=random.choice(PATHS),
        method=random.choice(("GET", "POST")),
        header=random.choice(("", "x", "xy", "y")),
    )


def text(rule: Rule) -> str:
    spec: dict[str, Any] = {"destination": {"name": rule.to}, "precedence": rule.precedence}
    if rule.asks:
        spec["match"] = {"request": {"headers": dict(rule.asks)}}
    if rule.port:
        return an_ingress_rule(rule.name, flow({**spec, "port": rule.port}))
    if rule.does == "redirect":
        return a_rule(rule.name, flow({**spec, "redirect": {"uri": f"/{rule.name}"}}))
    version = "v1" if rule.does in REWRITES else rule.does
    rewrite = {"rewrite": {"uri": REWRITES[rule.does]}} if rule.does in REWRITES else {}
    return a_rule(rule.name, flow({**spec, "route": [{"labels": {"version": version}}], **rewrite}))


def flow(spec: dict[str, Any]) -> str:
    return yaml.safe_dump(spec, default_flow_style=True, width=1000).strip()[1:-1]


@pytest.mark.spec("C-IN-02", "C-IN-04", "C-IN-05", "C-IN-06", "C-IN-07", "IR-05", "IR-10")
def test_rules_and_what_is_made_of_them_agree_on_every_request():
    random, seen = Random(2017), set()
    for _ in range(SETS):
        edges = [a_random_rule(random, f"i{index}", port=random.choice((80, 80, 81))) for index in range(3)]
        does = ("v1", "v2", "redirect", *REWRITES)
        rules = [a_random_rule(random, f"r{index}", does=random.choice(does)) for index in range(random.randint(0, 5))]
        objects = converted(*map(text, (*edges, *rules)), REVIEWS, RATINGS).objects
        for _ in range(REQUESTS):
            request = a_request(random)

            expected = by_rules(edges, rules, request)

            assert by_routes(objects, request) == expected, (request, edges, rules)
            seen.add(expected and expected[:2])
    assert {None, ("redirect", None), ("reviews", None), ("reviews", "v1"), ("ratings", "v2")} <= seen
