"""`meshd render`: what a host's proxies would run; the same bytes on any machine, for nothing is looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from meshd.cli.exits import NO, WorldFailedError
from meshd.compiler import Compiled, Reach, compile_plan
from meshd.compiler.show import plan_yaml
from meshd.envoy import render
from meshd.envoy.bootstrap import BootstrapSettings
from meshd.envoy.endpoints import assignments
from meshd.envoy.fallback import fallback
from meshd.envoy.inline_secrets import watchable
from meshd.envoy.show import to_json, to_yaml
from meshd.memo import Memo
from meshd.mesh.load import load
from meshd.names import BlobId, HostName
from meshd.plan import ProxyPlan
from meshd.problems import Problems, errors
from meshd.proxies.paths import ProxyPaths
from meshd.source.files import DirectorySource
from meshd.source.revision import SourceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A revision as files by path, and how to read one."""

    files: Mapping[str, BlobId]
    read: Callable[[BlobId], bytes]


@click.command(name="render", short_help="what a host's proxies would run")
@click.option(
    "--repo", required=True, type=click.Path(exists=True, path_type=Path), help="A repository or a directory."
)
@click.option("--rev", help="A revision; without it: the files as they are, or HEAD of a bare repository.")
@click.option("--path", "below", default=".", show_default=True, help="The directory of the mesh in the repository.")
@click.option("--host", required=True, help="The VM, as its WorkloadEntry names it.")
@click.option("--proxy", type=click.Choice(["sidecar", "gateway"]), help="Only this proxy of the host.")
@click.option(
    "--capture",
    type=click.Choice(["none", "nftables"]),
    default="none",
    show_default=True,
    help="As in the agent's configuration.",
)
@click.option("--http-proxy-port", default=15080, show_default=True, help="As in the agent's configuration; 0: none.")
@click.option(
    "-o", "output", type=click.Choice(["yaml", "json", "plan", "fallback"]), default="yaml", help="In which form."
)
@click.pass_context
def command(
    context: click.Context,
    repo: Path,
    rev: str | None,
    below: str,
    host: str,
    proxy: str | None,
    capture: Literal["none", "nftables"],
    http_proxy_port: int,
    output: str,
) -> None:
    """What a host's proxies would run, as Envoy resources, as meshd's plan, or as the fallback bootstrap (binary).

    DNS names are not looked up, so the output is the same on every machine. Exits 1 when the revision has errors, or
    the host does not run such a proxy.
    """
    try:
        files = files_of(repo, rev, below)
        reach = Reach(capture=capture, http_proxy_port=http_proxy_port)
        compiled, problems = compiled_for(files, HostName(host), reach)
    except SourceError as error:
        raise WorldFailedError(str(error), error.hint) from error
    for problem in problems:
        click.echo(str(problem), err=True)
    if compiled is None:
        context.exit(NO)
    wanted = [plan for plan in compiled.plans if proxy in {None, plan.proxy}]
    for plan in wanted:
        click.echo(shown(plan, output), nl=False)
    if not wanted:
        click.echo(f"host {host!r} has no {proxy}: {_says_which(compiled)}", err=True)
        context.exit(NO)


def _says_which(compiled: Compiled) -> str:
    """Labels decide: whom a Gateway selects is one, and has a sidecar only if it has other workloads too."""
    runs = " and ".join(plan.proxy for plan in compiled.plans)
    return f"it runs a {runs}, for that is what the labels of its WorkloadEntries say"


def compiled_for(files: Files, host: HostName, reach: Reach) -> tuple[Compiled | None, Problems]:
    """None when an error stands in the way; the problems say which."""
    memo = Memo()
    loaded = load(files.files, files.read, memo)
    if loaded.mesh is None:
        return None, loaded.problems
    compiled = compile_plan(loaded.mesh, host, reach, memo)
    problems = (*loaded.problems, *compiled.problems)
    return (None if errors(problems) else compiled), problems


def files_of(repo: Path, rev: str | None, below: str) -> Files:
    if rev is None and not _bare(repo):
        source = DirectorySource((repo / below,))
        return Files(files=source.revision().files, read=source.read)
    return _revision(repo, rev or "HEAD", below)


def _bare(repo: Path) -> bool:
    return (repo / "HEAD").is_file() and (repo / "objects").is_dir()


def _revision(repo: Path, rev: str, below: str) -> Files:
    from meshd.source.reader import open_in_place  # noqa: PLC0415  (a plain directory needs no libgit2)

    reader = open_in_place(repo, below)
    revision = reader.resolve(rev)
    if revision is None:
        raise WorldFailedError(f"no revision {rev!r} in {repo}", "see `git log`")
    return Files(files=reader.revision(revision).files, read=reader.read)


def shown(plan: ProxyPlan, output: str) -> str | bytes:
    if output == "plan":
        return plan_yaml(plan)
    memo = Memo()
    rendered, unresolved = watchable(render(plan, memo), memo), assignments(plan, {}, memo)
    if output == "fallback":
        return fallback(rendered, unresolved, at_default_paths(plan))
    return {"yaml": to_yaml, "json": to_json}[output](rendered, unresolved)


def at_default_paths(plan: ProxyPlan) -> BootstrapSettings:
    """The process as the packaged unit starts it, so that the bytes are the same on every machine."""
    paths = ProxyPaths(proxy=plan.proxy, state=Path("/var/lib/meshd"), runtime=Path("/run/meshd"))
    return BootstrapSettings(
        proxy=plan.proxy,
        host=plan.host,
        xds_socket=str(paths.xds_socket),
        admin_socket=str(paths.admin_socket),
        locality=plan.locality,
    )
