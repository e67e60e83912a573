"""Each room of a host, made from the agent's configuration. No state of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from meshd import __version__
from meshd.config import AgentConfig, kept_config
from meshd.deliver.delivery import Delivery, Snapshots
from meshd.deliver.delivery import Judge as DeliveryJudge
from meshd.deliver.files import replace_durably
from meshd.deliver.generations import Generations
from meshd.deliver.preflight import Preflight
from meshd.deliver.refusals import Versions
from meshd.deliver.validator import Validator
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.fallback import fallback
from meshd.envoy.resource import EnvoyResource, Rendered
from meshd.names import HostName, ProxyName
from meshd.problems import Problem, Problems
from meshd.proxies.binary import version
from meshd.proxies.child_supervisor import ChildSupervisor
from meshd.proxies.launch import EnvoySettings
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.supervisor import Supervisor, Told
from meshd.proxies.systemd_supervisor import SystemdSupervisor
from meshd.resolve.clock import SystemClock
from meshd.resolve.resolver import Resolver
from meshd.resolve.settings import ResolverSettings, families_of_this_host
from meshd.source.git import GitSource
from meshd.source.settings import RepositorySettings

log = structlog.get_logger()


class Unjudged:
    """`preflight: false`: what Envoy refuses is found out when it is pushed."""

    async def judge(self, previous: Snapshots, following: Snapshots) -> Problems:  # noqa: ARG002
        return ()


def state_directory(config: AgentConfig) -> Path:
    return Path(config.state_directory)


def runtime_directory(config: AgentConfig) -> Path:
    return Path(config.runtime_directory)


def proxy_paths(config: AgentConfig, proxy: ProxyName) -> ProxyPaths:
    return ProxyPaths(proxy=proxy, state=state_directory(config), runtime=runtime_directory(config))


def bootstrap_settings(config: AgentConfig, proxy: ProxyName) -> BootstrapSettings:
    paths = proxy_paths(config, proxy)
    return BootstrapSettings(
        proxy=proxy, host=config.host, xds_socket=str(paths.xds_socket), admin_socket=str(paths.admin_socket)
    )


def source(config: AgentConfig) -> GitSource:
    repository = config.repository
    settings = RepositorySettings(
        url=repository.url,
        branch=repository.branch,
        path=repository.path,
        timeout=repository.timeout,
        ssh_key=_path(repository.ssh_key),
        known_hosts=_path(repository.known_hosts),
        username=repository.username or "",
        password_file=_path(repository.password_file),
    )
    return GitSource(settings, state_directory(config) / "mirror.git")


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
        timeouts=(chosen.timeout, 2 * chosen.timeout),
    )
    return Resolver(settings, SystemClock(), changed)


def validator(config: AgentConfig, binary: Path) -> Validator:
    return Validator(binary, state_directory(config) / "preflight")


def delivery(config: AgentConfig, binary: Path, judge: Validator, host: Callable[[], HostName]) -> Delivery:
    """`host` is asked each time: a reload may change it."""

    def fall_back(rendered: Rendered, assignments: Sequence[EnvoyResource]) -> bytes:
        paths = proxy_paths(config, rendered.proxy)
        settings = BootstrapSettings(
            proxy=rendered.proxy,
            host=host(),
            xds_socket=str(paths.xds_socket),
            admin_socket=str(paths.admin_socket),
        )
        return fallback(rendered, assignments, settings)

    versions = Versions(meshd=__version__, envoy=version(binary))
    preflight: DeliveryJudge = Preflight(judge) if config.envoy.preflight else Unjudged()
    return Delivery(
        sockets=runtime_directory(config) / "xds",
        generations=Generations(state_directory(config), versions, lambda: datetime.now(UTC)),
        preflight=preflight,
        fallback=fall_back,
    )


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
