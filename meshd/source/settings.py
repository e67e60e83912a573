"""Which repository to follow and how to reach it; the daemon fills this in from the agent's configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SCP_LIKE = re.compile(r"[^/]+:")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySettings:
    """`path` is the directory of the repository that holds the mesh; `timeout` ends one whole fetch over the network.

    `ssh_key` and `known_hosts` are for ssh; `username` and `password_file` (a token, usually) for https, and `ca_file`:
    authorities besides those of the system.
    """

    url: str = field(repr=False)
    branch: str = "main"
    path: str = "."
    timeout: timedelta = timedelta(seconds=60)
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None

    @property
    def directory(self) -> Path | None:
        """Where the repository is, when it is on this machine; `git@host:mesh.git` is not."""
        if self.url.startswith("file://"):
            return Path(unquote(urlsplit(self.url).path))
        if _SCHEME.match(self.url) or _SCP_LIKE.match(self.url):
            return None
        return Path(self.url).absolute()

    @property
    def shown_url(self) -> str:
        return without_credentials(self.url)


def without_credentials(text: str) -> str:
    """The text with `user:password@` (a token may stand in either place) taken out of every URL in it."""
    return _USERINFO.sub("", text)
