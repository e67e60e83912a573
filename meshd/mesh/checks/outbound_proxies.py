"""`noProxy` of outbound proxies against the services of the mesh: what is said of a part of a wildcard is not heard."""

from __future__ import annotations

from collections.abc import Iterator

from meshd.fields import ip_or_cidr
from meshd.mesh.survey import Survey
from meshd.problems import Problem
from meshd.registry.hosts import is_wildcard, subset_of
from meshd.registry.service import Service
from meshd.resources.outbound_proxy import OutboundProxy, split_port


def idle_exemptions(survey: Survey) -> Iterator[Problem]:
    """One cluster stands for all names below a wildcard, and all of it goes one way."""
    proxies = survey.mesh.settings.outbound_proxies
    wild = [each for host, found in survey.mesh.services.items() if proxies and is_wildcard(host) for each in found]
    for proxy in proxies:
        for service in wild:
            if service.location == "MESH_EXTERNAL" and service.resolution in {"DYNAMIC_DNS", "NONE"}:
                yield from _unheard(proxy, service, survey)


def _unheard(proxy: OutboundProxy, service: Service, survey: Survey) -> Iterator[Problem]:
    for index, entry in enumerate(proxy.no_proxy):
        name = split_port(entry)[0].lower()
        host = f"*{name}" if name.startswith(".") else name
        is_part = ip_or_cidr(name) and host != service.host and subset_of(host, service.host)
        if is_part and host not in survey.mesh.services:
            yield Problem(
                code="W-NO-PROXY-WILDCARD",
                at=proxy.origin.at("noProxy").item(index),
                message=f"{entry} is below {service.host} ({service.origin}), all of which goes through the proxy",
                hint=f"give {host} a ServiceEntry of its own",
            )
