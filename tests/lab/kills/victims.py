"""Processes of a lab that can be killed, outside its kernel and in it."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

from conftest import Lab

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client

KINDS = ("supervisor", "kernel", "interpreter", "worker", "ansible-playbook")
# Each interpreter or worker in the kernel, and its parent.
WARM = r"""
for place in /proc/[0-9]*; do
  case $(tr '\0' ' ' <$place/cmdline) in
    *' -B -E - ') echo ${place#/proc/} $(sed 's/.*) . //; s/ .*//' $place/stat) ;;
  esac
done 2>/dev/null
"""


def parents() -> dict[int, int]:
    """The parent of each process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return found


def supervisor(lab: Lab) -> int | None:
    """The process that it reports; None if it does not answer."""
    try:
        return lab_client.ask(lab.name, "status")["process"]
    except (lab_client.LabDown, OSError):
        return None


def family(process: int) -> list[tuple[int, str]]:
    """A process and all its descendants, each with its start time."""
    of = parents()
    found = [process]
    for one in found:
        found += [child for child, parent in of.items() if parent == one]
    return [(one, started) for one in found if (started := start_of(one))]


def start_of(process: int) -> str | None:
    """The start time of a process; None if it has ended or is a zombie."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] == "Z" else words[19]


def memory(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0


def warm(lab: Lab, kind: str) -> list[int]:
    """Interpreters, or workers, which are forked from an interpreter."""
    try:
        _code, output, _errors = lab.tried("", "sh", "-c", WARM)
    except (lab_client.LabDown, lab_client.JobFailed, OSError):
        return []
    of = {int(process): int(parent) for process, parent in map(str.split, output.splitlines())}
    return [process for process, parent in of.items() if (parent in of) == (kind == "worker")]


def kill(lab: Lab, kind: str, play: int, choice: random.Random) -> bool:
    """Kills a process of the given kind, if there is one."""
    owner = supervisor(lab)
    if kind == "ansible-playbook":
        os.killpg(play, signal.SIGKILL)
    elif kind in ("interpreter", "worker"):
        found = warm(lab, kind)
        if found:
            lab.tried("", "kill", "-9", str(choice.choice(sorted(found))))
        return bool(found)
    elif owner and kind == "supervisor":
        os.kill(owner, signal.SIGKILL)
    elif owner:
        # Of all processes below the supervisor, the kernel uses by far the most memory.
        os.kill(max((process for process, _started in family(owner)[1:]), key=memory), signal.SIGKILL)
    return bool(owner) or kind == "ansible-playbook"
