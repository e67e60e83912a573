"""Runs one fetch in a process of its own, ends it at the deadline, and hands back its answer or what went wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta

from meshd.names import RevisionId
from meshd.source.fetching import FetchRequest
from meshd.source.revision import SourceError


class FetchProcess:
    """At most one at a time. `end` may be called from another thread and ends the one that runs, and all later ones."""

    def __init__(self, timeout: timedelta) -> None:
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._guard = threading.Lock()

    def run(self, request: FetchRequest) -> RevisionId:
        process = self._started()
        try:
            with suppress(BrokenPipeError):
                self._tell(process, request)
            process.wait(self._timeout.total_seconds())
        except subprocess.TimeoutExpired as error:
            hint = "does the server answer, is `git fsck` content? if it is only slow, raise repository.timeout"
            raise unreachable(f"the fetch took longer than {self._timeout.total_seconds():g} s", hint) from error
        finally:
            process.kill()
            process.wait()
            answer = process.stdout.read() if process.stdout else b""
            self._closed(process)
        return _revision(answer, process.returncode)

    def end(self) -> None:
        with self._guard:
            self._ended = True
            if self._process is not None:
                self._process.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._guard:
            if self._ended:
                raise unreachable("meshd is stopping", "")
            # -P: a directory `meshd` where the agent was started is not the program.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "meshd.source.fetching"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            return self._process

    def _tell(self, process: subprocess.Popen[bytes], request: FetchRequest) -> None:
        # By stdin: arguments are public. It stays open, for its end tells the process that the agent is gone.
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
        process.stdin.flush()

    def _closed(self, process: subprocess.Popen[bytes]) -> None:
        with self._guard:
            self._process = None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def unreachable(message: str, hint: str) -> SourceError:
    return SourceError("RepositoryUnreachable", message, hint)


def _revision(answer: bytes, code: int) -> RevisionId:
    if not answer.endswith(b"\n"):
        raise unreachable(f"the fetch ended without an answer (exit status {code})", "the log before this says why")
    said = json.loads(answer)
    if "revision" in said:
        return RevisionId(said["revision"])
    raise SourceError(said["reason"], said["message"], said["hint"])
