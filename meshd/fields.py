"""What a field of a resource may say of its value: the vocabulary of the annotations in `resources/`.

A check is a function from a value to what is wrong with it, or the empty string. `decode.py` runs the checks that
stand in an `Annotated`, at the place of the value; the semantic checks of a whole object live beside its kind.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, NewType, Self

from meshd.problems import NOWHERE, Origin, Problem

Check = Callable[[object], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A mapping of the mesh with known fields; attribute `per_try_timeout` is YAML `perTryTimeout`.

    `ONEOFS` names groups of attributes of which at most one may be given; in `EXACTLY_ONE`, one must. `SHORT` is the
    attribute that is meant where a single value stands in place of the mapping.
    """

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = ()
    EXACTLY_ONE: ClassVar[tuple[tuple[str, ...], ...]] = ()
    SHORT: ClassVar[str] = ""

    origin: Origin = field(default=NOWHERE, compare=False, repr=False)

    def check(self) -> Iterator[Problem]:
        """What is wrong that no annotation can say. `decode.py` asks each message whose fields are all well."""
        return iter(())

    def settled(self) -> Self:
        """The same in the words of today: what old spellings say has moved to the fields of now (spec section 12).

        The decoder hands this one on, after `check` has seen what was written; nobody else knows the old spellings.
        """
        return self


class NotYet:
    """Marks a field of the API that this version reads but does not act on: giving it is `E-UNSUPPORTED`."""

    def __repr__(self) -> str:
        return "NotYet"


Later = Annotated[object, NotYet()]
"""The type of a field that this version does not act on: `tcp: Later = None`."""


@dataclass(frozen=True, slots=True)
class Old:
    """Marks a field of a former API, for editors, which offer it to nobody; `check` acts on it, and says `W-LEGACY`."""

    instead: str


class EmptyIsAbsent:
    """Marks a text that is as good as absent when it is empty: protobuf, and so Istio, knows no difference."""

    def __repr__(self) -> str:
        return "EmptyIsAbsent"


@dataclass(frozen=True, slots=True)
class Also:
    """Other spellings of a field's name, from before the present one; each use is `W-LEGACY`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coded:
    """A check whose complaint has a code of its own; that of any other check is `E-VALUE`."""

    code: str
    check: Check

    def __call__(self, value: object) -> str:
        return self.check(value)


@dataclass(frozen=True, slots=True)
class Needed:
    """Gives the absence of a field that is required a code of its own; that of any other is `E-REQUIRED`."""

    code: str


class AnyCase:
    """Marks a word of a closed set that may be written in lower case too; it is read in upper case."""

    def __repr__(self) -> str:
        return "AnyCase"


class InAscii:
    """Marks the name of a host: one in Unicode is read as what clients send for it, its A-labels (IDNA)."""

    def __repr__(self) -> str:
        return "InAscii"


HostText = Annotated[str, InAscii()]
"""Names a host, or several by a wildcard, perhaps with a namespace before it."""

Json = NewType("Json", object)
"""A value of any shape, as JSON has it: None, a bool, number or str, a tuple or a dict of such. Not for most fields."""

# --- numbers --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Between:
    """Both ends included; `None` leaves one open."""

    low: float | None = None
    high: float | None = None

    def __call__(self, value: object) -> str:
        assert isinstance(value, int | float)
        if self.low is not None and value < self.low:
            return f"{value:g} is less than {self.low:g}"
        if self.high is not None and value > self.high:
            return f"{value:g} is more than {self.high:g}"
        return ""


def percentage(value: object) -> str:
    """0, or 0.0001 to 100 (spec 3.4)."""
    assert isinstance(value, int | float)
    if value == 0 or 0.0001 <= value <= 100:
        return ""
    return f"{value:g} is not a percentage: 0, or 0.0001 to 100"


Port = Annotated[int, Between(1, 65535)]
UInt32 = Annotated[int, Between(0, 4294967295)]
Int32 = Annotated[int, Between(0, 2147483647)]
Percent = Annotated[float, percentage]
HttpStatus = Annotated[int, Between(200, 599)]


# --- durations and times --------------------------------------------------------------------------------------


_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[-+][0-9]{2}:[0-9]{2})"
)


_LONGEST: Final = timedelta(days=36_500)
"""A hundred years. Envoy counts nanoseconds, and refuses what is more than three times as much (measured)."""


def whole_milliseconds(value: object) -> str:
    assert isinstance(value, timedelta)
    if value < timedelta(milliseconds=1):
        return "a duration must be at least 1ms"
    if value > _LONGEST:
        return f"a duration is at most {_LONGEST.days} days"
    return "" if value % timedelta(milliseconds=1) == timedelta() else "a duration must be whole milliseconds"


def zero_or_milliseconds(value: object) -> str:
    return "" if value == timedelta() else whole_milliseconds(value)


def whole_seconds(value: object) -> str:
    assert isinstance(value, timedelta)
    if value >= timedelta(seconds=1) and value % timedelta(seconds=1) == timedelta():
        return ""
    return "a duration must be whole seconds here, at least 1s"


def timestamp(value: object) -> str:
    """RFC 3339: a date, a time to the second or finer, and an offset."""
    text = str(value)
    try:
        datetime.fromisoformat(text.upper() if _TIMESTAMP.fullmatch(text) else "")
    except ValueError:
        return f"{text!r} is not a time such as 2024-01-31T12:00:00Z"
    return ""


Duration = Annotated[timedelta, whole_milliseconds]
DurationOrZero = Annotated[timedelta, zero_or_milliseconds]


# --- names ----------------------------------------------------------------------------------------------------

_LABEL: Final = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_WILDCARD_LABEL: Final = re.compile(r"\*|(\*-?)?[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?")
_LOWER_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_TOKEN: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HTTP_1_NAME: Final = re.compile(r"[-A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Count:
    """How many entries a list or map, or characters a text, may have."""

    low: int = 0
    high: int | None = None

    def __call__(self, value: object) -> str:
        size = len(value)  # type: ignore[arg-type]
        if size < self.low:
            return "must not be empty" if self.low == 1 else f"needs at least {self.low}, not {size}"
        return "" if self.high is None or size <= self.high else f"at most {self.high} are allowed, not {size}"


@dataclass(frozen=True, slots=True)
class Matching:
    """Text that is a whole match of a pattern; `what` names such a text."""

    pattern: re.Pattern[str]
    what: str

    def __call__(self, value: object) -> str:
        return "" if self.pattern.fullmatch(str(value)) else f"{value!r} is not {self.what}"


dns_label: Final = Matching(_LABEL, "a DNS label (letters, digits and '-', at most 63)")
"""DNS-1123 label, upper case allowed as in Istio (spec 3.4)."""

namespace_label: Final = Matching(_LOWER_LABEL, "a DNS-1123 label")
header_token: Final = Matching(_TOKEN, "a header name")
"""An RFC 9110 token."""

probe_header: Final = Matching(_HTTP_1_NAME, "a header name (letters, digits and '-')")
"""What Kubernetes allows as a header of a probe (spec W-13)."""


def object_name(value: object) -> str:
    """DNS-1123 subdomain of at most 253 characters (spec 3.6)."""
    text = str(value)
    if len(text) <= 253 and _SUBDOMAIN.fullmatch(text):
        return ""
    return f"{text!r} is not a DNS-1123 subdomain (lower case letters, digits, '-' and '.', at most 253)"


_SERVICE: Final = re.compile(r"_[a-zA-Z0-9]([-a-zA-Z0-9]{0,60}[a-zA-Z0-9])?")


def srv_name(value: object) -> str:
    """A name that has SRV records: `_http._tcp.shop.example` (RFC 2782)."""
    service, proto, host = (*str(value).split(".", 2), "", "")[:3]
    if _SERVICE.fullmatch(service) and _SERVICE.fullmatch(proto) and len(str(value)) <= 255 and not fqdn(host):
        return ""
    return f"{value!r} is not the name of a service, such as _http._tcp.shop.example"


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def ip_or_cidr(value: object) -> str:
    """The length of a prefix is a number: Python would also take the mask `255.0.0.0`, which no proxy does."""
    address, slash, length = str(value).partition("/")
    try:
        network = ipaddress.ip_network(str(value), strict=False)
    except ValueError:
        network = None
    if network is None or "%" in address or (slash and length != str(network.prefixlen)):
        return f"{value!r} is neither an IP address nor a CIDR"
    return ""


def fqdn(value: object) -> str:
    """A host name without wildcard (spec 3.1)."""
    text = str(value)
    labels = text.removesuffix(".").split(".")
    if len(text) > 255 or not all(_LABEL.fullmatch(label) for label in labels):
        return f"{value!r} is not a host name"
    if labels[-1].isdigit():
        return f"{value!r} is not a host name: its last label is all digits"
    return ""


def wildcard_host(value: object) -> str:
    """A host name whose first label may be `*` or start with `*` or `*-`; `*` alone is one too (spec 3.1).

    A short name may be all digits: it is no top-level label, for it will be completed.
    """
    text = str(value)
    if not text.startswith("*"):
        return "" if _LABEL.fullmatch(text) else fqdn(text)
    first, dot, rest = text.partition(".")
    if len(text) > 255 or len(first) > 63 or not _WILDCARD_LABEL.fullmatch(first) or (dot and fqdn(rest)):
        return f"{value!r} is not a host name or wildcard"
    return ""


def virtual_host(value: object) -> str:
    """A host name, wildcard, IP address or CIDR, as the hosts of a VirtualService are (spec V-1)."""
    return wildcard_host(value) if ip_or_cidr(value) else ""


def host_or_ip(value: object) -> str:
    """A host name without wildcard, or an IP address (spec D-90)."""
    return "" if is_ip(str(value)) else fqdn(value)


def service_host(value: object) -> str:
    """A host name or wildcard, but not `*` alone (spec S-1)."""
    return "'*' is not allowed here" if value == "*" else wildcard_host(value)


def export_target(value: object) -> str:
    """`*`, `.`, `~` or a namespace (spec 3.3)."""
    return "" if value in {"*", ".", "~"} else namespace_label(value)


def label_key(value: object) -> str:
    """A Kubernetes qualified name: a prefix of at most 253 characters, a name of at most 63 (spec 3.4)."""
    prefix, slash, name = str(value).rpartition("/")
    if len(name) > 63 or not _QUALIFIED.fullmatch(name) or (slash and object_name(prefix)):
        return f"{value!r} is not a label key"
    return ""


def label_value(value: object) -> str:
    return "" if value == "" or _QUALIFIED.fullmatch(str(value)) else f"{value!r} is not a label value"


LabelMap = Mapping[Annotated[str, label_key], Annotated[str, label_value]]


# --- files and sockets ----------------------------------------------------------------------------------------

UNIX: Final = "unix://"
_LONGEST_PATH: Final = 107  # sockaddr_un holds 108 bytes, the last of them 0


def socket_path(text: str) -> str:
    """What is wrong with what follows `unix://`: an absolute path, or `@` and the name of an abstract socket."""
    size = len(text.encode())
    if size > _LONGEST_PATH:
        return f"the path of a socket has at most {_LONGEST_PATH} bytes, not {size}"
    if text.startswith("@"):
        return "" if size > 1 else "the name of the abstract socket is missing"
    return "" if text.startswith("/") and not text.endswith("/") else f"{text!r} is not the absolute path of a socket"


def ip_address(value: object) -> str:
    return "" if is_ip(str(value)) else f"{value!r} is not an IP address"


def bind_address(value: object) -> str:
    """An IP address, `unix:///absolute/path` or `unix://@name` (spec G-3.6, SC-11)."""
    text = str(value)
    if text.startswith(UNIX):
        return socket_path(text.removeprefix(UNIX))
    return "" if is_ip(text) else f"{value!r} is neither an IP address nor {UNIX}..."


absolute_path: Final = Matching(re.compile("/.*"), "an absolute path")


def credential_name(value: object) -> str:
    """A directory below `secretRoot`, and never one beside it (spec G-4.6)."""
    text = str(value)
    scheme, found, _ = text.partition("://")
    if found:
        return f"secrets are files below `secretRoot` here; there is no {scheme}://"
    parts = text.split("/")
    return f"{value!r} is not a name or a path below `secretRoot`" if {"", ".", ".."} & set(parts) else ""
