"""The files of units/ -> where they belong on a host, and what they say there. Touches nothing.

A package puts them below /usr; who installed meshd by pip or pipx has them below /usr/local, with his own command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).resolve().parent.parent / "units"
COMMAND: Final = Path("/usr/bin/meshd")
"""As the files of units/ have it."""

_HIDDEN: Final = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108
_SUFFIXES: Final = frozenset({".service", ".target", ".socket"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFile:
    path: Path
    text: str


def unit_files(prefix: Path, command: Path, source: Path = SOURCE) -> tuple[UnitFile, ...]:
    """In the order of their paths, as absolute ones of the host."""
    found = [path for path in source.glob("**/*") if path.is_file()]
    placed = [(place(path.relative_to(source), prefix), path) for path in found]
    return tuple(
        UnitFile(path=where, text=with_command(path.read_text(encoding="utf-8"), command))
        for where, path in sorted(placed)
        if where is not None
    )


def place(name: Path, prefix: Path) -> Path | None:
    """None for what is not for the system, such as an editor's backup."""
    if name.suffix in _SUFFIXES or (name.parent.suffix == ".d" and name.suffix == ".conf"):
        return prefix / "lib/systemd/system" / name
    if name.suffix == ".sysusers":
        return prefix / "lib/sysusers.d" / f"{name.stem}.conf"
    if name.suffix == ".tmpfiles":
        return prefix / "lib/tmpfiles.d" / f"{name.stem}.conf"
    if name.suffix == ".rules":
        return _polkit(prefix) / f"50-{name.name}"
    return None


def with_command(text: str, command: Path) -> str:
    """Only where something is executed: a comment may speak of the package's."""
    return re.sub(rf"^(Exec\w+=[-+!:@]*){re.escape(str(COMMAND))}(?=\s)", rf"\g<1>{command}", text, flags=re.MULTILINE)


def hidden(path: Path) -> bool:
    """Whether the units could not see it: they run with ProtectHome= and PrivateTmp=."""
    return any(path.is_relative_to(each) for each in _HIDDEN)


def _polkit(prefix: Path) -> Path:
    """It reads the rules of packages and of /etc, and until polkit 124 none below /usr/local."""
    return Path("/usr/share/polkit-1/rules.d" if prefix == Path("/usr") else "/etc/polkit-1/rules.d")
