"""Runs a command as a child of init and prints its pid. A program of its own, run by path; it imports nothing of meshd.

With hot restart, Envoy asks the kernel to send it SIGTERM when its parent ends (PR_SET_PDEATHSIG), and counts the
*thread* that forked it as the parent. Only as a child of init does it survive whoever started it; and it must not get
as far as asking before it is one. systemd, too, takes over a `MAINPID=` whole only when it is its own child.
"""

from __future__ import annotations

import os
import sys
import time


def main(command: list[str]) -> None:
    middle = os.getpid()
    pid = os.fork()
    if pid:
        os.write(3, str(pid).encode())
        os._exit(0)
    os.close(3)
    os.setsid()
    while os.getppid() == middle:
        time.sleep(0.0005)
    keep_output_openable()
    os.execv(command[0], command)  # noqa: S606


def keep_output_openable() -> None:
    """Envoy opens its access log by the name /dev/stdout, and the socket of systemd's journal cannot be opened so.

    It would refuse every listener (measured). A pipe can be, and `cat` carries what comes out of it to where our output
    went; it ends when the last writer has.
    """
    if _can_be_opened("/dev/stdout"):
        return
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0:  # a child of init: Envoy waits for no child
            os.dup2(reader, 0)
            os.execvp("cat", ("cat",))  # noqa: S606, S607
        os._exit(0)
    os.waitpid(middle, 0)
    os.dup2(writer, 1)
    os.close(reader)
    os.close(writer)


def _can_be_opened(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
