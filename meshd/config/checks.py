"""What single settings of the agent must be; each check answers what is wrong, or the empty string."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from meshd.decode import format_duration
from meshd.fields import ip_or_cidr, is_ip

_REMOTE: Final = frozenset({"ssh", "https", "http", "git"})
_SCP_LIKE: Final = re.compile(r"(?:(?P<user>[^@/]+)@)?(?P<host>[^-:/@][^:/@]*):(?P<path>[^:].*)")
_IN_A_BRANCH: Final = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]+")
_IP_AND_PORT: Final = re.compile(r"(?:\[(?P<six>[^]]+)]|(?P<four>[^:]+)):(?P<port>[0-9]{1,5})")
_INTERFACE: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
_LONGEST_RUNTIME_DIRECTORY: Final = 80
"""A Unix socket's path holds 108 bytes, and `/xds/sidecar.sock` or the like comes after."""


@dataclass(frozen=True, slots=True)
class AtLeast:
    low: timedelta

    def __call__(self, value: object) -> str:
        assert isinstance(value, timedelta)
        return "" if value >= self.low else f"must be at least {format_duration(self.low)}"


def repository_url(value: object) -> str:
    """A URL over ssh or http(s), git's short form `user@host:path`, or a place on this host; without secrets.

    A message about a URL never repeats it: it may hold a password.
    """
    url = str(value)
    if "://" not in url:
        return _place_or_short_form(url)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "this is not a URL"
    if parts.password is not None or (parts.scheme in {"http", "https"} and parts.username is not None):
        return "a URL must not hold a user's name or password; use `username` and `passwordFile`"
    if parts.scheme == "file":
        return "" if not parts.netloc and parts.path.startswith("/") else "write file:///path/of/the/repository"
    if parts.scheme not in _REMOTE:
        return "only ssh, https, http, git and file URLs are fetched from"
    return "" if parts.hostname and parts.path.strip("/") else "a URL needs a host and a path"


def _place_or_short_form(text: str) -> str:
    if text.startswith("/"):
        return ""
    short = _SCP_LIKE.fullmatch(text)
    if short is None:
        return "this is neither a URL nor an absolute path"
    if ":" in (short["user"] or "") or "@" in short["path"].partition("/")[0]:
        return "a URL must not hold a password; use `sshKey`"
    return ""


def below_the_top(value: object) -> str:
    """A directory of the repository: `.`, or names with `/` between them."""
    text = str(value)
    if text.startswith("/"):
        return f"{text!r} must be relative to the top of the repository"
    if ".." in text.split("/"):
        return f"{text!r} leads out of the repository"
    if text != "." and str(PurePosixPath(text)) != text:
        return f"{text!r} is the same as {str(PurePosixPath(text))!r}: write that"
    return ""


def branch_name(value: object) -> str:
    """What git accepts as the name of a branch, without `refs/heads/`."""
    text = str(value)
    if text.startswith("refs/"):
        return f"{text!r} is a whole reference: write only the branch's name"
    parts = text.split("/")
    ill = any(not part or part.startswith(".") or part.endswith((".lock", ".")) for part in parts)
    if ill or text.startswith("-") or ".." in text or "@{" in text or not _IN_A_BRANCH.fullmatch(text):
        return f"{text!r} is not the name of a branch"
    return ""


def absolute_path(value: object) -> str:
    return "" if str(value).startswith("/") else f"{value!r} is not an absolute path"


def auto_or_absolute(value: object) -> str:
    return "" if value == "auto" else absolute_path(value) and f"{value!r} is neither auto nor an absolute path"


def room_for_sockets(value: object) -> str:
    """Unix socket paths are short, and the limit hits only when the socket is made."""
    if len(str(value).encode()) <= _LONGEST_RUNTIME_DIRECTORY:
        return ""
    return f"must be at most {_LONGEST_RUNTIME_DIRECTORY} bytes long, for the sockets in it"


def nameserver(value: object) -> str:
    """`10.0.0.2`, `10.0.0.2:5353`, `fd00::2` or `[fd00::2]:53`."""
    text = str(value)
    found = _IP_AND_PORT.fullmatch(text)
    right = is_ip(text) or (found and is_ip(found["six"] or found["four"]) and 0 < int(found["port"]) < 65536)
    return "" if right else f"{text!r} is neither an IP address nor one with a port"


def network(value: object) -> str:
    return '"*" is written in place of the list, not in it' if value == "*" else ip_or_cidr(value)


def interface(value: object) -> str:
    """As Linux names them; a `*` at the end stands for any rest, as in `veth*`."""
    name = str(value).removesuffix("*")
    right = _INTERFACE.fullmatch(name)
    return "" if right else f"{value!r} is neither the name of an interface nor its beginning and *"


def user_or_group(value: object) -> str:
    """Whether it exists is asked on the host, when it is needed."""
    if isinstance(value, int):
        return "" if 0 <= value < 2**32 - 1 else f"{value} is not the number of a user or group"
    name = str(value)
    if name.isdigit():
        return f"{name!r} is a name here; a number stands without quotes"
    right = name and name.isprintable() and name == name.strip()
    return "" if right else f"{name!r} is not the name of a user or group"
