"""RouteRule, DestinationPolicy, EgressRule and IngressRule -> today's resources that mean the same, and a report.

All older objects of a revision and what stands around them come in. It knows neither files nor hosts of the mesh, and
what the resources mean, others do.
"""

from __future__ import annotations

from meshd.convert.conversion import Converted, convert
from meshd.convert.report import VERDICTS, Verdict, verdict
from meshd.convert.surroundings import Surroundings, surroundings

__all__ = ["VERDICTS", "Converted", "Surroundings", "Verdict", "convert", "surroundings", "verdict"]
