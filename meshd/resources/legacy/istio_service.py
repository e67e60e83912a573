"""IstioService: a service, and perhaps a version of it (inventory IS)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from meshd.fields import HostText, Matching, Message, Needed, dns_label, fqdn, ip_or_cidr, namespace_label, service_host
from meshd.problems import Problem
from meshd.resources.legacy.legacy_resource import Labels

_SHORT_NAME = Matching(dns_label.pattern, "the short name of a service")


def service_text(value: object) -> str:
    """A host name or wildcard; or, as EgressRules have them, an IP address or CIDR."""
    return service_host(value) if ip_or_cidr(value) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IstioService(Message):
    """Either `service`, a full name, or `name` with perhaps a `namespace` and a `domain`; `labels` select a version."""

    name: Annotated[str, _SHORT_NAME] | None = None
    namespace: Annotated[str, namespace_label] | None = None
    domain: Annotated[HostText, fqdn] | None = None
    service: Annotated[HostText, service_text] | None = None
    labels: Labels = field(default_factory=dict)

    def check(self) -> Iterator[Problem]:
        """IS-06 and IS-09."""
        if self.service is None and self.name is None:
            hint = "give its name, or its full name as service"
            yield Problem(code="E-IS-EMPTY", at=self.origin, message="this identifies no service", hint=hint)
        if self.service is None:
            return
        for part, given in (("name", self.name), ("namespace", self.namespace), ("domain", self.domain)):
            if given is not None:
                yield Problem(
                    code="E-IS-BOTH",
                    at=self.origin.at(part),
                    message=f"{part} does not go with service, which is a full name",
                    hint="remove one of the two",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalService(IstioService):
    """The destination of an EgressRule: a domain, wildcard, IP address or CIDR; `service` alone counts (ER-11)."""

    service: Annotated[HostText, service_text, Needed("E-EG-NO-DEST")]

    def check(self) -> Iterator[Problem]:
        ignored = (("name", self.name), ("namespace", self.namespace), ("domain", self.domain), ("labels", self.labels))
        for part, given in ignored:
            if given:
                yield Problem(
                    code="W-EG-IGNORED-FIELD",
                    at=self.origin.at(part),
                    message=f"{part} is ignored here: only service counts",
                    hint="remove it",
                )
