"""One fetch of one branch into a mirror. Over the network it runs in a process of its own, which a deadline can end.

libgit2's own timeouts are per socket operation: a server that drips a byte now and then holds a thread for ever.
`python -m meshd.source.fetching` takes a FetchRequest as one line of JSON and answers with one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pygit2
from pygit2.enums import CredentialType, RepositoryOpenFlag

from meshd.names import RevisionId
from meshd.source.copying import copy_branch, no_branch
from meshd.source.faults import translated
from meshd.source.revision import SourceError
from meshd.source.settings import RepositorySettings, without_credentials

# A mirror is opened exactly where it is, never looked for in the directories above.
EXACTLY_HERE = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.BARE


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """What the fetching process is told; an empty string is an absent setting. Of a password, only where it stands."""

    mirror: str
    url: str
    branch: str
    is_local: bool
    ssh_key: str = ""
    known_hosts: str = ""
    username: str = ""
    password_file: str = ""
    ca_file: str = ""

    @classmethod
    def of(cls, settings: RepositorySettings, mirror: Path) -> Self:
        return cls(
            mirror=str(mirror),
            url=str(settings.directory or settings.url),
            branch=settings.branch,
            is_local=settings.directory is not None,
            ssh_key=str(settings.ssh_key or ""),
            known_hosts=str(settings.known_hosts or ""),
            username=settings.username,
            password_file=str(settings.password_file or ""),
            ca_file=str(settings.ca_file or ""),
        )

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"


def fetch(request: FetchRequest) -> RevisionId:
    """The branch's commit, now in the mirror. The branch may have been moved by force."""
    with translated():
        mirror = pygit2.Repository(request.mirror, EXACTLY_HERE)
        if request.is_local:
            return copy_branch(Path(request.url), mirror, request.branch)
        return _fetch(mirror, request)


def _fetch(mirror: pygit2.Repository, request: FetchRequest) -> RevisionId:
    callbacks = _Callbacks(request)
    remote = mirror.remotes.create_anonymous(request.url)
    remote.connect(callbacks=callbacks)
    heads = {str(head.name): head.oid for head in remote.list_heads(connect=False)}
    if request.ref not in heads:
        raise no_branch(request.branch, heads)
    if request.ref in mirror.references and mirror.references[request.ref].target == heads[request.ref]:
        return RevisionId(str(heads[request.ref]))
    remote.fetch([f"+{request.ref}:{request.ref}"], callbacks=callbacks)
    # The branch may have moved since the server listed it.
    return RevisionId(str(mirror.references[request.ref].target))


class _Callbacks(pygit2.RemoteCallbacks):
    """Shows a credential once (libgit2 would ask for ever), takes no server on trust. pygit2 passes raises on."""

    def __init__(self, request: FetchRequest) -> None:
        super().__init__()
        self._request = request
        self._shown = False

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:  # noqa: ARG002, FBT001
        # pygit2's own answer here is yes, also for an unknown ssh host.
        if valid:
            return True
        name = host.decode()
        if self._request.url.startswith("https:"):
            raise refused(
                f"the certificate of {name} is not trusted",
                "put its CA into repository.caFile, and see that this host's clock is right (`timedatectl`)",
            )
        raise refused(
            f"the host key of {name} is unknown, or has changed",
            f"`ssh-keyscan {name}` prints what belongs into repository.knownHosts, once its owner confirms it",
        )

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.Username | pygit2.UserPass | pygit2.Keypair | pygit2.KeypairFromAgent:
        user = self._request.username or username_from_url or "git"
        if allowed_types & CredentialType.USERNAME:
            return pygit2.Username(user)
        if self._shown:
            shown = f"the key of {user!r}" if allowed_types & CredentialType.SSH_KEY else "the credentials"
            raise refused(f"{without_credentials(url)} refused {shown}", "may they read this repository?")
        self._shown = True
        if allowed_types & CredentialType.SSH_KEY:
            return self._key(user)
        if allowed_types & CredentialType.USERPASS_PLAINTEXT and self._request.password_file:
            return pygit2.UserPass(user, _content(self._request.password_file, "passwordFile").decode().strip())
        hint = "set repository.username and repository.passwordFile"
        raise refused(f"{without_credentials(url)} asks for credentials", hint)

    def _key(self, user: str) -> pygit2.Keypair | pygit2.KeypairFromAgent:
        if self._request.ssh_key:
            _content(self._request.ssh_key, "sshKey")  # of a file that it cannot read libgit2 does not say which
            return pygit2.Keypair(user, None, self._request.ssh_key, "")
        return pygit2.KeypairFromAgent(user)


def refused(message: str, hint: str) -> SourceError:
    return SourceError("RepositoryRefused", message, hint)


def _content(file: str, setting: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        readable = "it must be a file that the user of meshd can read, such as `root:meshd` with mode 0640"
        raise refused(f"cannot read repository.{setting} {file}: {error.strerror}", readable) from error


def trust_only(known_hosts: str, home: str) -> None:
    """libgit2 looks for known hosts in `~/.ssh/known_hosts` and nowhere else, so a home is made for the file."""
    ssh = Path(home, ".ssh")
    ssh.mkdir(mode=0o700)
    (ssh / "known_hosts").write_bytes(_content(known_hosts, "knownHosts"))
    pygit2.settings.homedir = home


def trust_also(ca_file: str) -> None:
    """Besides the authorities of the system, whose certificates libgit2 reads by itself."""
    _content(ca_file, "caFile")
    try:
        pygit2.settings.set_ssl_cert_locations(ca_file, None)
    except pygit2.GitError as error:
        raise refused(f"repository.caFile {ca_file} holds no certificate", "it must be PEM") from error


def _answer(request: FetchRequest, home: str) -> dict[str, str]:
    try:
        if request.known_hosts:
            trust_only(request.known_hosts, home)
        if request.ca_file:
            trust_also(request.ca_file)
        return {"revision": fetch(request)}
    except SourceError as error:
        return {"reason": error.reason, "message": str(error), "hint": error.hint}


def _end_with_parent() -> None:
    # The agent holds the other end of stdin. Were it killed, a late fetch must not write beside its successor's.
    # (Read without a buffer, whose lock would end the interpreter by an abort.)
    with suppress(OSError):
        while os.read(sys.stdin.fileno(), 1):
            continue
    os._exit(1)


def main() -> None:
    request = FetchRequest(**json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with tempfile.TemporaryDirectory() as home:
        sys.stdout.write(json.dumps(_answer(request, home)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
