"""MatchCondition becomes the matches of today's routes: of requests, of connections, and who opens them (C-RR-05)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meshd.convert.report import Report
from meshd.convert.scene import Source
from meshd.fields import ip_or_cidr
from meshd.problems import Origin
from meshd.resources.extras import SourceExtras
from meshd.resources.http_match import HTTPMatchRequest
from meshd.resources.l4_routes import L4MatchAttributes, TLSMatchAttributes
from meshd.resources.legacy.istio_service import IstioService
from meshd.resources.legacy.match import REQUEST_PROPERTIES, MatchCondition
from meshd.resources.legacy.string_match import StringMatch as OldMatch
from meshd.resources.string_match import StringMatch

NOBODY: Final = {"meshd.io/source": "nobody"}
"""Labels that nobody has: what they stand for, only extras say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a rule is about: exactly, as extras say it, and as near as labels in a match come to it."""

    labels: dict[str, str]
    namespace: str
    extras: SourceExtras


def is_nobody(source: Source, given: IstioService, report: Report) -> bool:
    """Whether no host can ever be it; one that only is not there yet, `caller` tells of."""
    if not ip_or_cidr(source.host):
        message = f"nobody is such a source: {source.host} is an address, and no service"
        report.add("W-RR-NEVER", given.origin.at("service"), message, "name the service; or match.tcp.sourceSubnet")
    elif source.contradicts:
        at = given.origin.at("labels").item(source.contradicts)
        message = f"nobody is such a source: {source.host} has no such {source.contradicts!r}"
        report.add("W-RR-NEVER", at, message, "look at the labels of its workloads")
    else:
        return False
    return True


def caller(source: Source, at: Origin, report: Report) -> Caller:
    """For a source that somebody may be."""
    if source.is_missing:
        message = f"nobody is such a source: no ServiceEntry has the host {source.host!r}"
        report.add("W-RR-NEVER", at, message, near=source.host)
    elif source.selector is None:
        message = f"who implements {source.host} cannot be told by labels, so YAML alone matches nobody here"
        hint = f"give the ServiceEntry of {source.host} a workloadSelector, or its endpoints labels"
        report.add("L-SOURCE", at, message, hint)
    labels = NOBODY if source.selector is None else source.selector
    return Caller(
        labels=dict(sorted(labels.items())),
        namespace=source.namespace,
        extras=SourceExtras(host=source.host, labels=source.labels),
    )


def text_match(match: OldMatch) -> StringMatch:
    return StringMatch(exact=match.exact, prefix=match.prefix, regex=match.regex, origin=match.origin)


def http_match(match: MatchCondition | None, who: Caller | None) -> HTTPMatchRequest | None:
    """C-RR-06; None is every request."""
    if match is None:
        return None
    asked = match.request.headers if match.request else {}
    texts = {name: text_match(each) for name, each in sorted(asked.items())}
    return HTTPMatchRequest(
        uri=texts.get("uri"),
        scheme=texts.get("scheme"),
        method=texts.get("method"),
        authority=texts.get("authority"),
        headers={name: text for name, text in texts.items() if name not in REQUEST_PROPERTIES},
        source_labels=who.labels if who else {},
        source_namespace=who.namespace if who else None,
        origin=match.origin,
    )


def takes_every_request(match: MatchCondition | None) -> bool:
    """C-RR-03."""
    if match is None:
        return True
    asked = match.request.headers if match.request else {}
    uri = asked.get("uri")
    return match.source is None and not asked.keys() - {"uri"} and (uri is None or uri.prefix == "/")


def tcp_matches(match: MatchCondition, who: Caller | None) -> tuple[L4MatchAttributes, ...]:
    """C-TCP-01: one for each source subnet, which are alternatives; none where nothing is asked."""
    assert match.tcp is not None
    sources: tuple[str | None, ...] = match.tcp.source_subnet or (None,)
    if not (match.tcp.source_subnet or match.tcp.destination_subnet or who):
        return ()
    return tuple(
        L4MatchAttributes(
            destination_subnets=match.tcp.destination_subnet,
            source_subnet=source,
            source_labels=who.labels if who else {},
            source_namespace=who.namespace if who else None,
            origin=match.tcp.origin,
        )
        for source in sources
    )


def tls_match(host: str, match: MatchCondition, who: Caller | None) -> TLSMatchAttributes:
    """C-TCP-05. Source subnets are not among what it can say."""
    assert match.tcp is not None
    return TLSMatchAttributes(
        sni_hosts=(host,),
        destination_subnets=match.tcp.destination_subnet,
        source_labels=who.labels if who else {},
        source_namespace=who.namespace if who else None,
        origin=match.tcp.origin,
    )
