"""Every reconstructed example of the specification, decoded alone: what it is read as, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.yaml"))

KINDS = {
    "EX-000-01": ["Gateway"],
    "EX-000-02": ["VirtualService"],
    "EX-000-04": ["VirtualService"],
    "EX-000-05": ["VirtualService"],
    "EX-000-06": ["DestinationRule"],
    "EX-000-07": ["ServiceEntry"],
    "EX-000-08": ["DestinationRule"],
    "EX-000-09": ["VirtualService"],
    "EX-000-10": ["DestinationRule"],
    "EX-000-11": ["ServiceEntry", "WorkloadEntry"],
    "EX-000-12": ["ServiceEntry", "ServiceEntry", "DestinationRule"],
    "EX-X-01": ["DestinationRule"],
    "EX-X-02": ["DestinationRule"],
    "EX-X-03": ["ServiceEntry", "DestinationRule", "VirtualService"],
    "EX-X-04": ["ServiceEntry"],
    "EX-X-05": ["ServiceEntry", "Gateway", "VirtualService", "DestinationRule"],
    "EX-X-06": ["ServiceEntry", "DestinationRule"],
    "EX-X-07": ["Gateway", "DestinationRule", "VirtualService"],
    "EX-X-08": ["Gateway", "VirtualService"],
    "EX-X-09": ["VirtualService", "DestinationRule"],
    "EX-X-10": ["VirtualService"],
    "EX-X-12": 6 * ["ServiceEntry"],
    "EX-X-13": [],
    "EX-X-14": ["VirtualService", "DestinationRule"],
}
"""What is read; of the others, nothing."""

ERRORS = {
    "EX-000-03": ["E-UNSUPPORTED kind", "E-UNSUPPORTED kind"],
    **{f"EX-003-{number:02}": ["E-UNSUPPORTED kind"] for number in range(1, 19)},
    "EX-X-05": ["E-UNSUPPORTED kind"],
    "EX-X-08": ["E-UNSUPPORTED kind"],
    "EX-X-11": ["E-UNSUPPORTED kind"],
    "EX-X-13": ["E-SE-TCP-MULTIHOST spec.ports[0]"],
}
"""The kinds of v1alpha1 are not acted on yet; EX-X-13 is meant to fail."""


def test_every_example_is_looked_at():
    assert {path.stem for path in EXAMPLES} == KINDS.keys() | ERRORS.keys()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_read_but_for_what_is_not_acted_on_yet(path: Path, decode):
    decoded = decode(path.read_text())

    assert [resource.KIND for resource in decoded.resources] == KINDS.get(path.stem, [])
    errors = [f"{problem.code} {problem.at.path}" for problem in decoded.problems if problem.is_error]
    assert errors == ERRORS.get(path.stem, [])
    assert decoded.skipped == 0
