"""Starts user-mode Linux, in a process namespace and a mount namespace that end with the caller."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

from uml_kernels import choose

HERE = os.path.dirname(os.path.realpath(__file__))
# The shell remains: after a panic, user-mode Linux ends itself by SIGABRT, which a namespace's first process ignores.
# /dev/shm is where user-mode Linux keeps its memory, and a path without spaces, as a kernel parameter must be. A kernel
# with libraries of its own has /dev/shm/ld.so as its interpreter. It must be started as a program, not by that loader:
# it executes /proc/self/exe again. LD_LIBRARY_PATH is only for it; the machine's programs crash with those libraries.
BOOT_SCRIPT = """
set -e
mount -t tmpfs -o "size=$(($memory + 64))M,mode=700" lab-kernel /dev/shm
ln -s "$init" /dev/shm/init; ln -s "$guest" /dev/shm/guest; ln -s "$python" /dev/shm/python
ln -s "$uml" /dev/shm/uml; mkdir -m 700 /dev/shm/requests
if [ -n "$modules" ]; then ln -s "$modules" /dev/shm/modules; fi
if [ -n "$loader" ]; then ln -s "$loader" /dev/shm/ld.so; fi
cat >/dev/shm/session
env -i PATH="$PATH" TMPDIR=/dev/shm HOME=/dev/shm ${libraries:+"LD_LIBRARY_PATH=$libraries"} "$linux" "$@" </dev/null
exit
"""


def own_processor() -> socket.socket | None:
    """Pins this process to a processor that no other lab kernel has; the returned socket claims it while open.

    A system call or page fault in user-mode Linux switches between processes of this machine. Across processors that
    takes twice as long as on one: starting a program 85 ms instead of 55 ms, Python 380 ms instead of 200 ms.
    """
    for processor in sorted(os.sched_getaffinity(0)):
        claim = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            claim.bind(f"\0routed-hypervisor:processor:{processor}")
            os.sched_setaffinity(0, {processor})
            return claim
        claim.close()
    return None


def boot(
    tools: str,
    memory: int,
    lines: list[str],
    messages: int,
    ends: list[int],
    *,
    guest: str | None = None,
    kernel: str | None = None,
) -> subprocess.Popen[bytes]:
    """`lines` are parameters that connect the kernel's consoles and serial lines to `ends`, which it inherits.

    The process reads the session for its first process from its standard input. `guest` is the Python program that
    becomes the first process, guest.py by default; `kernel` is a kind of uml_kernels, by default the best available.
    """
    chosen = choose(tools, kernel)
    names = {
        "memory": str(memory),
        "linux": chosen.linux,
        "loader": chosen.loader or "",
        "libraries": chosen.libraries or "",
        "modules": chosen.modules or "",
        "init": f"{HERE}/uml_init",
        "guest": guest or f"{HERE}/guest.py",
        "python": os.path.realpath(sys.executable),
        "uml": f"{tools}/uml",
    }
    return subprocess.Popen(
        [
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL"),
            *("/bin/sh", "-c", BOOT_SCRIPT, "lab-kernel"),
            f"mem={memory}M",
            "umid=lab-kernel",
            "uml_dir=/dev/shm",
            "quiet",
            "panic=-1",
            "devtmpfs.mount=0",
            "rootfstype=hostfs",
            "rootflags=/",
            "rw",
            "init=/dev/shm/init",
            *chosen.parameters,
            *lines,
        ],
        stdin=subprocess.PIPE,
        stdout=messages,
        stderr=messages,
        cwd="/",
        pass_fds=ends,
        start_new_session=True,
        env={**os.environ, **names},
    )
