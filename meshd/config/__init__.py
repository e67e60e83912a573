"""The agent's configuration: one file of this host comes in; settings with every default, or problems, go out.

It opens that one file and nothing that the file names: whoever needs a key or a password reads it when it is needed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from meshd.config.agent import AgentConfig, EnvoyConfig, LogConfig, RepositoryConfig, ResolverConfig
from meshd.config.nftables import NftablesConfig
from meshd.decode import decode_message
from meshd.decode.report import Report
from meshd.documents import Document, Mapping, documents
from meshd.names import HostName
from meshd.problems import Origin, Problem, Problems, errors, in_order

__all__ = [
    "AgentConfig",
    "EnvoyConfig",
    "LogConfig",
    "NftablesConfig",
    "RepositoryConfig",
    "ResolverConfig",
    "kept_config",
    "load_config",
]


def load_config(path: Path, hostname: str) -> tuple[AgentConfig | None, Problems]:
    """The configuration in a file, or None and all that is wrong with it. `hostname` is the default of `host`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return None, (_unreadable(path, error),)
    config, problems = _decode(str(path), content)
    if config is None or errors(problems):
        return None, in_order(problems)
    return (config if config.host else replace(config, host=HostName(hostname))), in_order(problems)


def kept_config(state: Path) -> Path:
    """Where the daemon keeps a copy of what it accepted last, in the directory that its proxies may read."""
    return state / "bootstrap" / "meshd.yaml"


def _decode(file: str, content: bytes) -> tuple[AgentConfig | None, Problems]:
    found, problems = documents(file, content)
    if len(found) > 1:
        return None, (*problems, _second_document(found[1]))
    if errors(problems) and not found:
        return None, problems
    # An empty file lacks what is required, and that is the best thing to say of it.
    root = found[0].root if found else Mapping((), 1, 1)
    report = Report(file)
    config = decode_message(AgentConfig, root, "", report)
    return config, (*problems, *report.problems)


def _second_document(document: Document) -> Problem:
    at = Origin(document.file, document.line, 1)
    message = "the configuration is one document, and this is a second one"
    return Problem(code="E-CONFIG", at=at, message=message, hint="remove the `---` or what follows it")


def _unreadable(path: Path, error: OSError) -> Problem:
    hint = "create it: `repository.url` is all that it must say" if isinstance(error, FileNotFoundError) else ""
    message = f"the configuration cannot be read: {error.strerror or error}"
    return Problem(code="E-CONFIG", at=Origin(str(path), 1, 1), message=message, hint=hint)
