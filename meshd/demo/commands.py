"""Other programs, run to their end. Their failure is a DemoError with their own words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path


class DemoError(Exception):
    """The demo could not go on. `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


async def run(*command: str, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """What it printed. A session of its own, so that Ctrl-C is for the demo alone to answer."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise DemoError(f"there is no `{command[0]}` on this machine", f"apt-get install {command[0]}") from error
    out, complaint = await process.communicate()
    if process.returncode != 0:
        raise DemoError(f"`{' '.join(command[:3])} ...` failed: {complaint.decode(errors='replace').strip()}")
    return out.decode(errors="replace")
