"""The agent's settings, each with its type, its bounds and its default. No logic but what fits with what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Final, Literal

from meshd.config.checks import (
    AtLeast,
    absolute_path,
    auto_or_absolute,
    below_the_top,
    branch_name,
    nameserver,
    repository_url,
    room_for_sockets,
)
from meshd.config.nftables import NftablesConfig
from meshd.decode import format_duration
from meshd.fields import Between, Count, Duration, InAscii, Message, fqdn
from meshd.names import HostName
from meshd.problems import Problem

AbsolutePath = Annotated[str, absolute_path]
Seconds = Annotated[Duration, AtLeast(timedelta(seconds=1))]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryConfig(Message):
    """`path` is the directory of the mesh in the repository; `poll` is for remote ones, local ones are watched.

    `timeout` ends one whole fetch. `ssh_key` and `known_hosts` are for ssh, `username` and `password_file` for http(s),
    `ca_file` for https.
    """

    url: Annotated[str, Count(1), repository_url]
    branch: Annotated[str, branch_name] = "main"
    path: Annotated[str, below_the_top] = "."
    poll: Seconds = timedelta(seconds=30)
    timeout: Seconds = timedelta(seconds=60)
    ssh_key: AbsolutePath | None = None
    known_hosts: AbsolutePath | None = None
    username: Annotated[str, Count(1)] | None = None
    password_file: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None

    def check(self) -> Iterator[Problem]:
        """A credential that the transport never asks for was meant for another transport."""
        over_http = self.url.startswith(("http://", "https://"))
        over_ssh = self.url.startswith("ssh://") or ("://" not in self.url and not self.url.startswith("/"))
        for name, given, used, transport in (
            ("sshKey", self.ssh_key, over_ssh, "ssh"),
            ("knownHosts", self.known_hosts, over_ssh, "ssh"),
            ("username", self.username, over_http, "http"),
            ("passwordFile", self.password_file, over_http, "http"),
            ("caFile", self.ca_file, self.url.startswith("https://"), "https"),
        ):
            if given is not None and not used:
                message = f"is only for {transport}, and `url` is not"
                yield Problem(code="E-VALUE", at=self.origin.at(name), message=message, hint="remove it")
        if self.username is not None and self.password_file is None and over_http:
            at = self.origin.at("passwordFile")
            yield Problem(code="E-REQUIRED", at=at, message="is required beside `username`")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyConfig(Message):
    """`auto` looks on PATH, then for what `meshd envoy install` installed."""

    binary: Annotated[str, auto_or_absolute] = "auto"
    supervisor: Literal["systemd", "child"] = "systemd"
    preflight: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig(Message):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "journal", "console", "json"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverConfig(Message):
    """No `nameservers`: those of this host. An answer is asked for again after its TTL, within the two bounds.

    What cannot be looked up stays in use for `max_staleness`; without it, for ever.
    """

    nameservers: tuple[Annotated[str, nameserver], ...] = ()
    timeout: Duration = timedelta(seconds=2)
    min_ttl: Duration = timedelta(seconds=1)
    max_ttl: Duration = timedelta(minutes=5)
    max_staleness: Duration | None = None

    def check(self) -> Iterator[Problem]:
        """An answer that is old when it is asked for again would not survive one failure."""
        if self.min_ttl > self.max_ttl:
            message = f"is more than maxTtl, {format_duration(self.max_ttl)}"
            yield Problem(code="E-VALUE", at=self.origin.at("minTtl"), message=message)
        if self.max_staleness is not None and self.max_staleness <= self.max_ttl:
            message = f"must be more than maxTtl, {format_duration(self.max_ttl)}"
            yield Problem(code="E-VALUE", at=self.origin.at("maxStaleness"), message=message)


_THIS_MACHINE: Final = HostName("")
"""What `load_config` replaces by the name of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig(Message):
    """`host` is always set: to the name of this machine, where the file is silent. `http_proxy_port` 0: none.

    `exec_probes`: commands that WorkloadGroups name are run on this host, as the user that meshd runs as (W-15).
    """

    host: Annotated[HostName, InAscii(), Count(1), fqdn] = _THIS_MACHINE
    repository: RepositoryConfig
    capture: Literal["none", "nftables"] = "none"
    nftables: NftablesConfig = field(default_factory=NftablesConfig)
    http_proxy_port: Annotated[int, Between(0, 65535)] = 15080
    exec_probes: bool = False
    envoy: EnvoyConfig = field(default_factory=EnvoyConfig)
    resolver: ResolverConfig = field(default_factory=ResolverConfig)
    log: LogConfig = field(default_factory=LogConfig)
    state_directory: AbsolutePath = "/var/lib/meshd"
    runtime_directory: Annotated[AbsolutePath, room_for_sockets] = "/run/meshd"
