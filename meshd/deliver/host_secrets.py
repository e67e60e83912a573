"""A target with the secrets that the mesh names -> the same with this host's files in them, and what is new of these.

What a proxy has read already is not looked at again: a file that went away stands in nobody's way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from meshd.deliver import credential_files, secret_files
from meshd.deliver.files import marks
from meshd.deliver.snapshot import NOTHING, Snapshot
from meshd.deliver.target import ProxyTarget, Target
from meshd.envoy.inline_secrets import watchable
from meshd.envoy.resource import EnvoyResource
from meshd.envoy.secrets import files_of, secrets
from meshd.memo import Memo
from meshd.names import ProxyName
from meshd.plan import Secret
from meshd.problems import Problem, Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class OnThisHost:
    """`readable`: what is new of each proxy's secrets and may be read by meshd, so that its own Envoy can judge it.

    `files`: all that are new, as they are now. Another verdict is to be expected when they are others.
    """

    target: Target
    problems: Problems
    readable: Mapping[ProxyName, tuple[EnvoyResource, ...]]
    files: Mapping[str, str]


def on_this_host(target: Target, good: Mapping[ProxyName, Snapshot], memo: Memo) -> OnThisHost:
    """`good`: what is in force."""
    problems: list[Problem] = []
    files: list[str] = []
    proxies, readable = {}, {}
    for proxy, each in target.proxies.items():
        found = secret_files.present(each.secrets)
        resolved = dict(zip(each.secrets, secrets(each.secrets, found, memo), strict=True))
        new = _new(resolved, good.get(proxy, NOTHING))
        unread = [
            every for every in each.credentials if not credential_files.is_in_force(every, good.get(proxy, NOTHING))
        ]
        problems += [problem for secret in new for problem in secret_files.problems(secret, found)]
        problems += [problem for credentials in unread for problem in credential_files.problems(credentials)]
        files += [file for secret in new for file in files_of(secret, found)]
        files += [credentials.file for credentials in unread]
        readable[proxy] = () if problems else tuple(resolved[s] for s in new if secret_files.readable(s, found))
        proxies[proxy] = _resolved(each, tuple(resolved.values()), memo)
    memo.turn()
    return OnThisHost(
        target=replace(target, proxies=proxies), problems=tuple(problems), readable=readable, files=marks(files)
    )


def _new(resolved: Mapping[Secret, EnvoyResource], good: Snapshot) -> tuple[Secret, ...]:
    in_force = {resource.version for resource in good.secrets.values()}
    return tuple(secret for secret, resource in resolved.items() if resource.version not in in_force)


def _resolved(target: ProxyTarget, resolved: tuple[EnvoyResource, ...], memo: Memo) -> ProxyTarget:
    return replace(target, rendered=watchable(replace(target.rendered, secrets=resolved), memo))
