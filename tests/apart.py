"""Plans changed so that many of them fit into one run of the real Envoy, which says whether it takes them all."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from meshd.envoy import render
from meshd.envoy.trial import trial
from meshd.memo import Memo
from meshd.names import ClusterName, ListenerName
from meshd.plan import FilterChain, ProxyPlan, SocketBind, TcpChain


def complaint(plans: Sequence[ProxyPlan], envoy_binary: Path, directory: Path) -> str:
    """What Envoy has against some of them; empty when it takes them all. `directory` is for files of this call."""
    bootstrap = directory / "all.pb"
    bootstrap.write_bytes(_bootstrap([_apart(plan, number) for number, plan in enumerate(plans)]))
    command = [envoy_binary, "--mode", "validate", "--log-level", "error", "-c", bootstrap]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def _bootstrap(plans: Sequence[ProxyPlan]) -> bytes:
    rendered = [render(plan, Memo()) for plan in plans]
    return trial([each for one in rendered for each in (*one.clusters, *one.listeners, *one.routes)])


def _apart(plan: ProxyPlan, number: int) -> ProxyPlan:
    """Names and addresses are told apart by the plan's number. Certificates need no files: a trial has stand-ins."""
    return replace(
        plan,
        clusters=tuple(replace(each, name=ClusterName(f"{number}|{each.name}")) for each in plan.clusters),
        listeners=tuple(
            replace(
                each,
                name=ListenerName(f"{number}-{each.name}"),
                bind=_bind(number, port),
                chains=tuple(_with_own_faults(chain, number) for chain in each.chains),
            )
            for port, each in enumerate(plan.listeners, start=20_000)
        ),
    )


def _with_own_faults(chain: FilterChain, number: int) -> FilterChain:
    """What they are called becomes the names of clusters and listeners."""
    if not isinstance(chain, TcpChain) or chain.faults is None:
        return chain
    return replace(chain, faults=replace(chain.faults, name=f"{number}-{chain.faults.name}"))


def _bind(number: int, port: int) -> SocketBind:
    return SocketBind(ip=f"127.1.{number // 250}.{number % 250 + 1}", port=port)
