"""The rooms of a host but for the delivery, made from the agent's configuration. No state of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from meshd.config import AgentConfig, kept_config
from meshd.daemon.places import state_directory
from meshd.deliver.files import replace_durably
from meshd.health.prober import Changed, Prober
from meshd.health.prober import SystemClock as ProbingClock
from meshd.plan import ExecProbe, Probe
from meshd.problems import Problem, Problems
from meshd.proxies.child_supervisor import ChildSupervisor
from meshd.proxies.launch import EnvoySettings
from meshd.proxies.supervisor import Supervisor, Told
from meshd.proxies.systemd_supervisor import SystemdSupervisor
from meshd.resolve.clock import SystemClock
from meshd.resolve.resolver import Resolver
from meshd.resolve.settings import ResolverSettings, families_of_this_host
from meshd.source.git import GitSource
from meshd.source.settings import RepositorySettings

log = structlog.get_logger()

_EAGER: Final = timedelta(milliseconds=300)
"""A nameserver that has the answer gives it by then; the next one is asked after it."""


def source(config: AgentConfig) -> GitSource:
    repository = config.repository
    settings = RepositorySettings(
        url=repository.url,
        branch=repository.branch,
        path=repository.path,
        timeout=repository.timeout,
        ssh_key=_path(repository.ssh_key),
        ca_file=_path(repository.ca_file),
        known_hosts=_path(repository.known_hosts),
        username=repository.username or "",
        password_file=_path(repository.password_file),
    )
    return GitSource(settings, state_directory(config) / "mirror.git")


def prober(config: AgentConfig, changed: Changed) -> Prober:
    return Prober(ProbingClock(), changed, kept=state_directory(config) / "health.json")


def allowed(probe: Probe, config: AgentConfig) -> bool:
    """Also of what is served already: who forbids commands does not wait for another revision."""
    return config.exec_probes or not isinstance(probe.action, ExecProbe)


def shown_url(config: AgentConfig) -> str:
    return RepositorySettings(url=config.repository.url).shown_url


def resolver(config: AgentConfig, changed: Callable[[], None]) -> Resolver:
    chosen = config.resolver
    settings = ResolverSettings(
        nameservers=chosen.nameservers,
        families=families_of_this_host(),
        answers_file=state_directory(config) / "answers.json",
        floor=chosen.min_ttl,
        ceiling=chosen.max_ttl,
        max_staleness=chosen.max_staleness,
        timeouts=(min(_EAGER, chosen.timeout / 2), chosen.timeout / 2, chosen.timeout),
    )
    return Resolver(settings, SystemClock(), changed)


def supervisor(config: AgentConfig, binary: Path, told: Told) -> Supervisor:
    settings = EnvoySettings(binary=binary)
    if config.envoy.supervisor == "systemd":
        return SystemdSupervisor(settings, told)
    return ChildSupervisor(settings, told)


def obstacles(before: AgentConfig, after: AgentConfig) -> Problems:
    """What a reload cannot change, because the lock, the sockets and the running proxies hang on it."""
    return tuple(
        Problem(
            code="E-CONFIG",
            at=after.origin.at(key),
            message="a reload cannot change this",
            hint="restart meshd; the proxies keep serving meanwhile",
        )
        for key, old, new in _fixed(before, after)
        if old != new
    )


def _fixed(before: AgentConfig, after: AgentConfig) -> Iterator[tuple[str, object, object]]:
    yield "stateDirectory", before.state_directory, after.state_directory
    yield "runtimeDirectory", before.runtime_directory, after.runtime_directory
    yield "envoy", before.envoy, after.envoy


def keep_config(path: Path, config: AgentConfig) -> None:
    """A copy for the proxies' units, which must start though somebody breaks the file."""
    kept = kept_config(Path(config.state_directory))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(kept, path.read_bytes())
    except OSError as error:
        log.warning("configuration.not_kept", file=str(kept), error=error.strerror)


def _path(text: str | None) -> Path | None:
    return Path(text) if text is not None else None
