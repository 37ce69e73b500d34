"""System calls about namespaces that Python 3.11 lacks, and finding a lab node among the machine's processes.

Used inside lab kernels, by interpreters that have nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import typing as t

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

RUN = "/run/routed-hypervisor"
# systemd loses its argv[0] when it re-executes itself, but not its environment.
SYSTEMD_PROGRAMS = (b"/lib/systemd/systemd", b"/usr/lib/systemd/systemd")

_libc = ctypes.CDLL(None, use_errno=True)


class NoSuchNode(Exception):
    """A node is not up; the message is a sentence with its name."""


class Node(t.NamedTuple):
    """The first process of a node, a descriptor that pins it, and its image."""

    process: int
    descriptor: int
    image: str


def _call(what: str, code: int) -> None:
    if code:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def setns(descriptor: int, kinds: int) -> None:
    _call("setns", _libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kinds)))


def enter_all_but_processes(node: int) -> None:
    """Enter the namespaces of a node, given by a process descriptor. Its process namespace applies only to children."""
    kinds = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC
    try:
        setns(node, kinds | CLONE_NEWCGROUP)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        setns(node, kinds)  # a kernel without control groups


def fork_into(node: int, own: int) -> int:
    """Fork, with the child in a node's process namespace, if given. `own` is the parent's, to return to."""
    if node < 0:
        return os.fork()
    setns(node, CLONE_NEWPID)
    child = -1
    try:
        child = os.fork()
    finally:
        if child != 0:
            setns(own, CLONE_NEWPID)
    return child


def parent_death_signal(number: int) -> None:
    _call("prctl", _libc.prctl(ctypes.c_int(PR_SET_PDEATHSIG), ctypes.c_ulong(number), 0, 0, 0))


def mount(source: str, target: str, kind: str, options: str = "") -> None:
    encoded = [part.encode() for part in (source, target, kind)]
    _call(f"mount {target}", _libc.mount(*encoded, ctypes.c_ulong(0), options.encode()))


# The initial limit: a server of many jobs raises it for itself, and restores it in its children.
_descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_descriptor_limit() -> None:
    """A lab of 1,000 nodes needs thousands of descriptors in each of its programs, and the usual limit is 1,024."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_descriptors[1], _descriptors[1]))


def close_descriptors(first: int) -> None:
    """In a child: close all descriptors from FIRST on, and restore the usual limit."""
    os.closerange(first, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 20))
    resource.setrlimit(resource.RLIMIT_NOFILE, _descriptors)


def _environment(process: int) -> dict[str, str]:
    with open(f"/proc/{process}/environ", "rb") as file:
        pairs = [entry.partition(b"=") for entry in file.read().split(b"\0")]
    return {os.fsdecode(key): os.fsdecode(value) for key, _equals, value in pairs}


def _is_node(process: int, lab: str, node: str) -> bool:
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            first, _nul, rest = file.read().partition(b"\0")
        mark = f"routed-hypervisor:{lab}:{node}"
        if first in SYSTEMD_PROGRAMS:
            if _environment(process).get("ROUTED_HYPERVISOR_NODE") != mark:
                return False
        elif first != mark.encode():
            return False
        # Until exec, a child of systemd looks like systemd.
        return rest == b"-P\0" or _is_first_process(process)
    except OSError:
        return False


def _is_first_process(process: int) -> bool:
    with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as file:
        return any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in file)


def _is_chassis(process: int, lab: str, node: str) -> bool:
    """Whether a process holds the file system of a node with systemd."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read() == f"routed-hypervisor-chassis:{lab}:{node}\0-P\0".encode()
    except OSError:
        return False


def find_node(lab: str, node: str) -> Node:
    """The node of a lab, found by the mark of its first process; the recorded process id is only a hint."""
    candidates: list[int] = []
    try:
        with open(f"{RUN}/{lab}/nodes/{node}.pid", encoding="ascii") as file:
            candidates.append(int(file.read()))
    except (OSError, ValueError):
        pass
    if not candidates or not _is_node(candidates[0], lab, node):
        candidates = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    for process in candidates:
        if _is_node(process, lab, node) and os.stat(f"/proc/{process}").st_uid == 0:
            descriptor = os.pidfd_open(process)
            try:
                # The descriptor pins one process: if it carries the mark now, no other process can be entered.
                if _is_node(process, lab, node):
                    return Node(process, descriptor, _environment(process).get("ROUTED_HYPERVISOR_IMAGE", ""))
            except OSError:
                pass
            os.close(descriptor)
    if any(_is_chassis(process, lab, node) for process in candidates):
        raise NoSuchNode(f"node {node} of lab {lab} is not up, because its systemd has ended: make reboot NODE={node}")
    raise NoSuchNode(f"node {node} of lab {lab} is not up{_remedy(lab, node)}")


def _remedy(lab: str, node: str) -> str:
    """The nodes of a lab that has none of this name; for one that its intent has, how to bring it up."""
    try:
        names = sorted(name[:-4] for name in os.listdir(f"{RUN}/{lab}/nodes") if name.endswith(".pid"))
    except FileNotFoundError:
        names = []
    if not names or node in names:
        return ": make lab"
    import difflib  # noqa: PLC0415 - rarely needed

    spelled = {name.lower(): name for name in names}
    near = difflib.get_close_matches(node.lower(), spelled, 1)
    meant = f"; did you mean {spelled[near[0]]}?" if near else "."
    return f"{meant} The lab's nodes: {', '.join(names[:20])}{f', … ({len(names)} in all)' if len(names) > 20 else ''}"
