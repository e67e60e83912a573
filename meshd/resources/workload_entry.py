"""WorkloadEntry: one place where something runs (spec section 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from meshd.fields import Count, LabelMap, Message, Port, UInt32, dns_label, fqdn, is_ip
from meshd.problems import Origin, Problem
from meshd.resources.finding import invalid, unsupported
from meshd.resources.resource import Resource

UNIX: Final = "unix://"
_LONGEST_PATH: Final = 107  # sockaddr_un holds 108 bytes, the last of them 0
_TLS_MODE: Final = "security.istio.io/tlsMode"


def workload_address(value: object) -> str:
    """W-1: an IP, a name, `unix:///absolute/path` or `unix://@name`."""
    text = str(value)
    if not text:
        return "an address is required"
    if text.startswith(UNIX):
        return _unix_path(text.removeprefix(UNIX))
    return "" if is_ip(text) else fqdn(text) and f"{text!r} is neither an IP address, a host name nor unix://..."


def _unix_path(path: str) -> str:
    if len(path.encode()) > _LONGEST_PATH:
        return f"the path of a socket has at most {_LONGEST_PATH} bytes, not {len(path.encode())}"
    if path.startswith("@"):
        return "" if len(path) > 1 else "the name of the abstract socket is missing"
    return "" if path.startswith("/") and not path.endswith("/") else f"{path!r} is not the absolute path of a socket"


def locality(value: object) -> str:
    """W-5: `region`, `region/zone` or `region/zone/subzone`."""
    parts = str(value).split("/")
    return "" if len(parts) <= 3 and all(parts) else f"{value!r} is not region/zone/subzone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload(Message):
    """The fields of a WorkloadEntry, which a ServiceEntry may also hold inline."""

    address: Annotated[str, workload_address, Count(0, 256)]
    ports: Annotated[Mapping[Annotated[str, dns_label], Port], Count(0, 128)] = field(default_factory=dict)
    labels: LabelMap = field(default_factory=dict)
    network: str | None = None
    locality: Annotated[str, locality] | None = None
    weight: UInt32 | None = None
    service_account: str | None = None

    @property
    def is_unix(self) -> bool:
        return self.address.startswith(UNIX)

    def check(self) -> Iterator[Problem]:
        if self.is_unix and self.ports:  # W-2
            yield invalid(self.origin.at("ports"), "a unix address has no ports")
        yield from _check_tls_mode(self.labels, self.origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntry(Resource):
    KIND: ClassVar[str] = "WorkloadEntry"
    SPEC: ClassVar[str] = "workload"

    workload: Workload

    def check(self) -> Iterator[Problem]:
        yield from _check_tls_mode(self.metadata.labels, self.metadata.origin)


def _check_tls_mode(labels: Mapping[str, str], at: Origin) -> Iterator[Problem]:
    """Spec 6.4: such a workload expects the mesh's own mutual TLS, which this version does not speak."""
    if labels.get(_TLS_MODE) == "istio":
        yield unsupported(
            at.at("labels").item(_TLS_MODE), "mutual TLS of the mesh is not there yet", "remove the label"
        )
