"""A fallback -> what an Envoy of this host can start with alone: without what needs files that are gone, or are bad.

Envoy refuses all of a static bootstrap for one certificate that it cannot use. Which ones these are it says itself.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from meshd.envoy.without_files import DecodeError, Needed, judged_by, needed, parsed, without
from meshd.proxies.error import ProxyError
from meshd.proxies.paths import ProxyPaths
from meshd.proxies.record import write_atomically

_PATIENCE: Final = timedelta(seconds=20)


def usable(paths: ProxyPaths, content: bytes, binary: Path | None) -> tuple[bytes, tuple[str, ...]]:
    """Also the files that are not; none, and it is what was given. `binary`: None takes every content.

    Raises ProxyError.
    """
    try:
        bootstrap = parsed(content)
    except DecodeError as error:
        raise ProxyError(f"{paths.fallback} is damaged: {error}", "start meshd, which writes it anew") from error
    found = sorted(needed(bootstrap))
    gone = [each for each in found if not all(map(_is_readable, each.files))]
    there = [each for each in found if each not in gone and each.kind != "credentials"]
    bad = [*gone, *(_refused(there, binary, paths.own / "trial.pb") if binary and there else ())]
    if not bad:
        return content, ()
    lacking = {file for each in bad for file in each.files if each not in gone or not _is_readable(file)}
    return without(bootstrap, bad), tuple(sorted(lacking))


def _is_readable(file: str) -> bool:
    return Path(file).is_file() and os.access(file, os.R_OK)


def _refused(found: Sequence[Needed], binary: Path, trial: Path) -> Iterator[Needed]:
    """By halves: Envoy stops at the first that it does not like, and does not always say which that is."""
    if _takes(found, binary, trial):
        return
    if len(found) == 1:
        yield from found
        return
    middle = len(found) // 2
    yield from _refused(found[:middle], binary, trial)
    yield from _refused(found[middle:], binary, trial)


def _takes(found: Sequence[Needed], binary: Path, trial: Path) -> bool:
    """An Envoy that cannot be asked has refused none: its start will tell."""
    trial.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_atomically(trial, judged_by(found))
    command = (str(binary), "--mode", "validate", "--log-level", "off", "-c", str(trial))
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE.total_seconds())  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return True
    finally:
        trial.unlink(missing_ok=True)
    return done.returncode == 0
