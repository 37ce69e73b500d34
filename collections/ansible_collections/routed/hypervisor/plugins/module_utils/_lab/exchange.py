# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

"""The exchange directory of a lab, /run/routed-hypervisor/LAB, which the host and the nodes share.

It has `enter` (runs a command in a node), `nodes/NODE.pid` (a hint, checked against the mark), `tmp` (for Ansible).
While nodes boot systemd, it also has `booted` (the socket to which they report) and `nodes/NODE.boot`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import typing as t

from .._engine.lock import taken
from .node import CHASSIS_MARK, INIT_ARGUMENT, NODE_VARIABLE, SYSTEM_ARGUMENT, mark

BASE = "/run/routed-hypervisor"

ENTER = """\
#!/bin/sh
# Runs a command in a node of this lab: enter NODE [COMMAND [ARGUMENT...]]. Without a command: a shell.
# Written by routed.hypervisor.lab_nodes on every run.
lab={lab}
if [ $# -eq 0 ]; then
  echo "usage: $0 NODE [COMMAND [ARGUMENT...]]" >&2
  exit 125
fi
node=$1
shift
[ $# -gt 0 ] || set -- /bin/bash -l

# The arguments of a process end in NUL, which read drops. systemd loses them when it re-executes itself.
is_node() {{
  [ -O "/proc/$1" ] || return 1
  IFS= read -r arguments <"/proc/$1/cmdline"
  case $arguments in
    "{mark}$node{argument}") return 0 ;;
    "{mark}$node{system}") ;;
    /lib/systemd/systemd*|/usr/lib/systemd/systemd*)
      tr '\\0' '\\n' <"/proc/$1/environ" | grep -qx "{variable}={mark}$node" || return 1 ;;
    *) return 1 ;;
  esac
  grep -q '^NSpid:.*[^0-9]1$' "/proc/$1/status" && groups=--cgroup
}} 2>/dev/null
groups=
pid=
if [ -r {nodes}/"$node".pid ]; then
  read -r pid <{nodes}/"$node".pid
fi
if [ -z "$pid" ] || ! is_node "$pid"; then
  pid=
  for process in /proc/[0-9]*; do
    if is_node "${{process#/proc/}}"; then
      pid=${{process#/proc/}}
      break
    fi
  done
fi
if [ -z "$pid" ]; then
  remedy="bring the lab up first"
  for process in /proc/[0-9]*; do
    IFS= read -r arguments <"$process/cmdline"
    [ "$arguments" != "{chassis}$node{argument}" ] || remedy="its systemd has ended: make reboot NODE=$node"
  done 2>/dev/null
  echo "node $node of lab $lab is not up: $remedy" >&2
  exit 125
fi
# The caller's own environment (PATH, PYTHONPATH, proxies) belongs to another file system and network.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root \\
  SHELL=/bin/bash LANG=C.UTF-8 TERM="${{TERM:-dumb}}" \\
  nsenter --target "$pid" $groups --mount --net --uts --ipc --pid --root --wd -- "$@"
"""


def path(lab: str) -> str:
    return f"{BASE}/{lab}"


def enter_script(lab: str) -> str:
    return ENTER.format(
        lab=shlex.quote(lab),
        mark=mark(lab, ""),
        chassis=mark(lab, "", CHASSIS_MARK),
        argument=INIT_ARGUMENT,
        system=SYSTEM_ARGUMENT,
        variable=NODE_VARIABLE,
        nodes=f"{path(lab)}/nodes",
    )


def write(file: str, text: str, mode: int) -> None:
    """Replaces a file atomically: a reader sees the old one or the new one."""
    draft = f"{file}.{os.getpid()}"
    with open(draft, "w", encoding="utf-8") as stream:
        stream.write(text)
        os.fchmod(stream.fileno(), mode)
    os.rename(draft, file)


def prepare(lab: str) -> None:
    """Creates the directory and its content; keeps what exists and is correct."""
    directory = path(lab)
    for name, mode in ((BASE, 0o755), (directory, 0o755), (f"{directory}/nodes", 0o755), (f"{directory}/tmp", 0o700)):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode)
        os.chmod(name, mode)
    write(f"{directory}/enter", enter_script(lab), 0o755)


def note_pid(lab: str, node: str, pid: int) -> None:
    write(f"{path(lab)}/nodes/{node}.pid", f"{pid}\n", 0o644)


def forget_pid(lab: str, node: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path(lab)}/nodes/{node}.pid")


def boot_socket(lab: str) -> str:
    return f"{path(lab)}/booted"


def note_boot(lab: str, node: str) -> None:
    """Until the boot has finished or failed: a run that is killed leaves this file."""
    write(f"{path(lab)}/nodes/{node}.boot", "", 0o644)


def is_boot_noted(lab: str, node: str) -> bool:
    return os.path.exists(f"{path(lab)}/nodes/{node}.boot")


def forget_boot(lab: str, node: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path(lab)}/nodes/{node}.boot")


def exists(lab: str) -> bool:
    return os.path.isdir(path(lab))


def remove(lab: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path(lab))
    with contextlib.suppress(OSError):
        os.rmdir(BASE)  # unless another lab is in it


@contextlib.contextmanager
def locked(timeout: float) -> t.Iterator[None]:
    """Allows one run at a time to change labs on this machine. The lock is on /run itself, so it leaves no file."""
    fd = os.open("/run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not taken(fd, timeout, 0.05):
            raise TimeoutError(f"another run has been changing a lab on this machine for {timeout:g} s")
        yield
    finally:
        os.close(fd)
