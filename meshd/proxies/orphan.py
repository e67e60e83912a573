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
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
