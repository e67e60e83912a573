"""Every reconstructed example of the specification: decoded, or refused for what this version does not act on yet."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.yaml"))

DECODED = {
    "EX-000-04": ["VirtualService"],
    "EX-000-05": ["VirtualService"],
    "EX-000-06": ["DestinationRule"],
    "EX-000-07": ["ServiceEntry"],
    "EX-000-08": ["DestinationRule"],
    "EX-000-09": ["VirtualService"],
    "EX-000-10": ["DestinationRule"],
    "EX-000-12": ["ServiceEntry", "ServiceEntry", "DestinationRule"],
    "EX-X-01": ["DestinationRule"],
    "EX-X-02": ["DestinationRule"],
    "EX-X-03": ["ServiceEntry", "DestinationRule", "VirtualService"],
    "EX-X-04": ["ServiceEntry"],
    "EX-X-06": ["ServiceEntry", "DestinationRule"],
    "EX-X-09": ["VirtualService", "DestinationRule"],
    "EX-X-10": ["VirtualService"],
    "EX-X-14": ["VirtualService", "DestinationRule"],
}
"""The examples of which everything is acted on."""

REFUSED = {
    "EX-000-01": ["kind"],  # Gateway
    "EX-000-02": ["spec.gateways[0]"],
    "EX-000-03": ["kind", "kind"],  # RouteRule
    "EX-000-11": ["spec.serviceAccount"],
    "EX-X-05": ["kind", "kind", "spec.http[1].match[0].gateways[0]"],  # EgressRule, Gateway
    "EX-X-07": [
        "kind",  # Gateway
        "spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.mode",  # ISTIO_MUTUAL
        "spec.http[1].match[0].gateways[0]",
    ],
    "EX-X-08": ["kind", "kind", "spec.gateways[0]"],  # IngressRule, Gateway
    "EX-X-11": ["kind"],  # RouteRule
    "EX-X-12": ["spec.resolution"],  # DYNAMIC_DNS
    "EX-X-13": [],
}
"""What this version does not act on, in the others; all of EX-003 are kinds of v1alpha1."""


MEANT_TO_FAIL = {"EX-X-13": ["E-SE-TCP-MULTIHOST"]}


def test_every_example_is_looked_at():
    names = {path.stem for path in EXAMPLES}

    assert names == DECODED.keys() | REFUSED.keys() | {f"EX-003-{number:02}" for number in range(1, 19)}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_decoded_or_refused_for_what_is_not_acted_on_yet(path: Path, decode):
    decoded = decode(path.read_text())

    refused = [problem.at.path for problem in decoded.problems if problem.code == "E-UNSUPPORTED"]
    others = [problem.code for problem in decoded.problems if problem.is_error and problem.code != "E-UNSUPPORTED"]
    assert others == MEANT_TO_FAIL.get(path.stem, [])
    if path.stem in DECODED:
        assert ([resource.KIND for resource in decoded.resources], refused) == (DECODED[path.stem], [])
    else:
        assert refused == REFUSED.get(path.stem, ["kind"])
    assert decoded.skipped == 0
