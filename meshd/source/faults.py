"""What libgit2 says, as a SourceError: which condition it is, and what to do. It gives texts and no codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pygit2 import GitError

from meshd.source.revision import Reason, SourceError
from meshd.source.settings import without_credentials

_UNWRITABLE = "check the space, the owner and the mode of stateDirectory, and the agent's limit of open files"

_MEANINGS: Final[tuple[tuple[str, Reason, str], ...]] = (
    (
        r"could not remove directory|refs beneath that folder|parent is not directory",
        "RepositoryCorrupt",  # the mirror of a branch `a`, when `a/b` is followed now: it is built anew
        "remove mirror.git in stateDirectory",
    ),
    (
        r"not owned by current user",
        "RepositoryRefused",
        "`git config --system --add safe.directory PATH` trusts it, or `chown -R` it to the user of meshd",
    ),
    (
        r"failed to resolve path .*permission denied",
        "RepositoryUnreachable",
        "may meshd's user go through its directories? below /home, its unit needs a drop-in with ProtectHome=read-only",
    ),
    (
        r"unknown (remote )?object format|unsupported extension|unsupported repository version",
        "RepositoryUnsupported",
        "meshd reads SHA-1 repositories with refs in files: `git init --object-format=sha1 --ref-format=files`",
    ),
    (
        r"unsupported URL protocol|invalid argument: 'port|malformed URL|invalid packet line",
        "RepositoryUnsupported",
        "repository.url is a path, file://, ssh://, user@host:path, https://, http:// or git://, of a full clone",
    ),
    (
        r"unrecognized private key file",
        "RepositoryRefused",
        "repository.sshKey is a private key without a passphrase, as `ssh-keygen -t ed25519 -N ''` makes one",
    ),
    (
        r"authenticat|authoriz|credential|status code: 40[13]|publickey|private key|username does not match",
        "RepositoryRefused",
        "check repository.sshKey, or repository.username and repository.passwordFile",
    ),
    (
        r"certificate|host ?key|\bSSL\b|\bTLS\b",
        "RepositoryRefused",
        "for ssh, put the server's key into repository.knownHosts; for https, its CA into repository.caFile",
    ),
    (
        r"connect|failed to resolve|timed? ?out|early eof|could not read refs|status code: \d+|socket|network",
        "RepositoryUnreachable",
        "check repository.url, and that the server answers from this host",
    ),
    (
        r"repository not (found|exported)|could not (find repository|be found)|(not|to be) a git repository",
        "RepositoryUnreachable",
        "check repository.url: there is no repository at it, or not for this user",
    ),
    (
        r"no space left|read-only file system|permission denied|quota|too many open files",
        "MirrorNotWritable",
        _UNWRITABLE,
    ),
)


def source_error(error: Exception) -> SourceError:
    """A fault that fits nothing known means that objects or refs are damaged."""
    text = without_credentials(str(error).strip("'\"\n "))
    for pattern, reason, hint in _MEANINGS:
        if re.search(pattern, text, re.IGNORECASE):
            return SourceError(reason, text, hint)
    if isinstance(error, OSError):
        return SourceError("MirrorNotWritable", text, _UNWRITABLE)
    return SourceError("RepositoryCorrupt", text, "`git fsck` in the repository names what is damaged")


@contextmanager
def translated() -> Iterator[None]:
    """The door of this room: what libgit2 and the disk raise leaves as a SourceError."""
    try:
        yield
    except (GitError, KeyError, ValueError, OSError) as error:
        raise source_error(error) from error
