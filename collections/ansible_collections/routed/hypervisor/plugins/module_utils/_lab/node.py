# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

"""Lab nodes: lists and stops running ones, and plans changes.

A node is a set of namespaces held by its PID 1, C(catatonit) from the image. There is no state file; nodes are found in
the process table: PID 1 carries its lab and name in argv[0], its image and owner in the environment.

A node with systemd is two sets of namespaces, one inside the other. The outer one is that of C(catatonit), which holds
the file system and is called the chassis: it outlives the system. The inner one is the system: systemd is its PID 1,
with a network and mounts of its own, and they are gone when it ends. A chassis without a system is a node that is off.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
import typing as t
from dataclasses import dataclass, field, replace

from .._engine.change import Change
from .._engine.spelling import closest

MARK = "routed-hypervisor"
CHASSIS_MARK = "routed-hypervisor-chassis"
MINIMAL, SYSTEMD = "minimal", "systemd"  # what a node's PID 1 may be
INIT = "usr/bin/catatonit"
INIT_ARGUMENT = "-P"  # catatonit without a child: waits and reaps orphans
SYSTEM_ARGUMENT = "--unit=multi-user.target"  # of systemd
IMAGE_VARIABLE = "ROUTED_HYPERVISOR_IMAGE"
OWNER_VARIABLE = "ROUTED_HYPERVISOR_OWNER"
# systemd loses its argv[0] when it re-executes itself, but not its environment.
NODE_VARIABLE = "ROUTED_HYPERVISOR_NODE"
SYSTEMD_PROGRAMS = (b"/lib/systemd/systemd", b"/usr/lib/systemd/systemd")

LAB_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
NODE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Node:
    """A node: running, or switched off (pid 0), which only a node with systemd can be."""

    name: str
    pid: int
    image: str
    owner: str
    init: str = MINIMAL
    chassis: int = 0  # with systemd: the process that holds the file system

    @property
    def lifeline(self) -> int:
        """The process with which the whole node ends."""
        return self.chassis or self.pid


def mark(lab: str, name: str, prefix: str = MARK) -> str:
    return f"{prefix}:{lab}:{name}"


def name_mistakes(lab: str, names: t.Sequence[str]) -> list[str]:
    """The mistakes in the names of a lab and its nodes."""
    mistakes = []
    if not LAB_NAME.fullmatch(lab):
        rule = "use 1 to 63 of a-z, 0-9, '-' and '_', no '-' or '_' at the ends"
        mistakes.append(f"lab: {lab!r} is not a lab name: {rule}")
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if not NODE_NAME.fullmatch(name):
            rule = "use 1 to 63 letters, digits and '-', no '-' at the ends"
            mistakes.append(f"config[{index}].name: {name!r} is not a host name: {rule}")
        elif name in first:
            mistakes.append(f"config[{index}].name: {name} is also the name of config[{first[name]}]")
        else:
            first[name] = index
    return mistakes


def _arguments(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().split(b"\0")[:-1]


def _is_first_process(pid: int, depth: int) -> bool:
    """Whether a process is PID 1, as root, of a PID namespace that many levels below ours."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
    pids = status["NSpid"].split()
    return status["Uid"].split() == ["0"] * 4 and len(pids) == depth + 1 and pids[-1] == "1"


def _environment(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = [item.partition(b"=") for item in file.read().split(b"\0")]
    return {os.fsdecode(key): os.fsdecode(value) for key, equals, value in pairs}


def read_node(pid: int, lab: str) -> Node | None:
    """The node of this lab whose lifeline is this process, or None.

    A node with systemd is returned as if it were off: `gather_nodes` adds the PID of its systemd.
    """
    try:
        arguments = _arguments(pid)
        if len(arguments) != 2 or arguments[1] != INIT_ARGUMENT.encode():
            return None
        prefix, _colon, rest = os.fsdecode(arguments[0]).partition(":")
        if prefix not in (MARK, CHASSIS_MARK) or not rest.startswith(f"{lab}:"):
            return None
        # Any process can set its argv[0]: only a root process that is PID 1 of its own namespace is trusted.
        # Its namespace is a child of ours: a container's lab of the same name is visible here, but must not be stopped.
        if not _is_first_process(pid, 1):
            return None
        environment = _environment(pid)
    except (OSError, KeyError):
        return None
    name, image, owner = rest.split(":", 1)[1], environment.get(IMAGE_VARIABLE, ""), environment.get(OWNER_VARIABLE, "")
    if prefix == MARK:
        return Node(name, pid, image, owner)
    return Node(name, 0, image, owner, SYSTEMD, pid)


def read_system(pid: int, lab: str) -> str | None:
    """If this process is the systemd of a node of this lab, the name of the node."""
    try:
        arguments = _arguments(pid)
        if not arguments:
            return None
        found = os.fsdecode(arguments[0])
        if arguments[0] in SYSTEMD_PROGRAMS:
            found = _environment(pid).get(NODE_VARIABLE, "")
        if not found.startswith(f"{MARK}:{lab}:") or not _is_first_process(pid, 2):
            return None
    except (OSError, KeyError):
        return None
    return found.split(":", 2)[2]


def gather_nodes(lab: str) -> list[Node]:
    """The nodes of a lab, by name."""
    found: list[Node] = []
    systems: dict[str, int] = {}
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        if node := read_node(pid, lab):
            found.append(node)
        elif name := read_system(pid, lab):
            systems[name] = pid
    found = [replace(node, pid=systems.get(node.name, 0)) if node.chassis else node for node in found]
    return sorted(found, key=lambda node: (node.name, node.pid))


def is_still(node: Node, lab: str) -> bool:
    """Whether the processes of a node are still those that it was gathered with."""
    if (found := read_node(node.lifeline, lab)) is None or found != replace(node, pid=found.pid):
        return False
    return not node.chassis or not node.pid or read_system(node.pid, lab) == node.name


def stop_nodes(lab: str, nodes: t.Sequence[Node], timeout: float) -> list[str]:
    """Stops nodes and waits until they have ended; returns a message for each that has not.

    With PID 1, the kernel kills every process of the PID namespace, and reports PID 1 as ended last.
    """
    lifelines = {node.lifeline: replace(node, pid=0) if node.chassis else node for node in nodes}
    with signalled(lab, lifelines, signal.SIGKILL) as waiting:
        await_end(waiting, timeout)
        late = f"still runs {timeout:g} s after SIGKILL"
        return [f"node {node.name}: process {node.lifeline} {late}" for node in waiting.values()]


@contextlib.contextmanager
def signalled(lab: str, processes: t.Mapping[int, Node], number: int) -> t.Iterator[dict[int, Node]]:
    """Sends a signal to processes of nodes, given by PID. Yields the nodes by descriptor, without those that ended."""
    waiting: dict[int, Node] = {}
    try:
        for pid, node in processes.items():
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            waiting[fd] = node
            # The descriptor refers to one process: if that carries the mark now, the signal cannot hit another one.
            if is_still(node, lab):
                signal.pidfd_send_signal(fd, number)
            else:
                os.close(fd)
                del waiting[fd]
        yield waiting
    finally:
        for fd in waiting:
            os.close(fd)


def await_end(waiting: dict[int, Node], seconds: float) -> None:
    """Waits until processes, given by descriptor, have ended; removes and closes those that have."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    while waiting and (left := deadline - time.monotonic()) > 0:
        for fd, _event in poll.poll(left * 1000):
            poll.unregister(fd)
            os.close(fd)
            del waiting[fd]


@dataclass(frozen=True)
class Plan:
    """What a run does: nodes to stop, each with the reason; names to start; nodes to boot, each with the reason.

    A node that is stopped and started is replaced. Only a node with systemd is booted: it keeps its file system.
    """

    stop: list[tuple[Node, str]]
    start: list[str]
    inits: t.Mapping[str, str]  # of nodes to start; missing ones are minimal
    boot: list[tuple[Node, str]] = field(default_factory=list)

    def init_of(self, name: str) -> str:
        return self.inits.get(name, MINIMAL)

    def changes(self, image: str) -> list[Change]:
        """The changes; `image` is the image that new nodes run on."""
        found = []
        for node, why in self.stop:
            before, after = _shape(node.image, node.init), {}
            if is_replaced := node.name in self.start:
                after = _shape(image, self.init_of(node.name))
                same = before.items() & after.items()
                before, after = (
                    {key: value for key, value in each.items() if (key, value) not in same} for each in (before, after)
                )
            found.append(Change("nodes", "replace" if is_replaced else "delete", node.name, why, before, after))
        found += [Change("nodes", "reboot" if node.pid else "start", node.name, why) for node, why in self.boot]
        stopped = {node.name for node, _why in self.stop}
        started = [(name, _shape(image, self.init_of(name))) for name in self.start if name not in stopped]
        return found + [Change("nodes", "create", name, "it is not running", after=after) for name, after in started]

    def after(self, have: t.Sequence[Node], image: str) -> list[dict[str, str]]:
        ended = {node.lifeline for node, why in self.stop}
        kept = [state_of(node.name, node.image, node.init) for node in have if node.lifeline not in ended]
        new = [state_of(name, image, self.init_of(name)) for name in self.start]
        return sorted(kept + new, key=lambda node: node["name"])


def _shape(image: str, init: str) -> dict[str, str]:
    return {"image": image, "init": init}


def state_of(name: str, image: str, init: str) -> dict[str, str]:
    """A node in the form of `before` and `after`: without its PID, which differs in every run."""
    return {"name": name, **_shape(image, init)}


def plan_nodes(state: str, have: t.Sequence[Node], wanted: t.Mapping[str, str], image: str) -> Plan:
    """The plan that leads to the wanted nodes of a lab, given by name with their init. Reads and changes nothing."""
    if state == "deleted":
        return Plan([(node, "to be deleted") for node in have if not wanted or node.name in wanted], [], {})
    if state == "rebooted":
        return Plan([], [], {}, [(node, "to be rebooted") for node in have if node.name in wanted])
    stop: list[tuple[Node, str]] = []
    kept: dict[str, Node] = {}
    for node in have:
        if node.name not in wanted:
            if state == "overridden":
                stop.append((node, "not listed"))
        elif node.image != image:
            stop.append((node, f"its image is {node.image}, not {image}"))
        elif node.init != wanted[node.name]:
            stop.append((node, f"its init is {node.init}, not {wanted[node.name]}"))
        elif node.name in kept:
            stop.append((node, "it is a duplicate"))
        else:
            kept[node.name] = node
    off = [(node, "its systemd has ended") for node in kept.values() if not node.pid]
    return Plan(stop, [name for name in wanted if name not in kept], wanted, off)


def reboot_mistakes(have: t.Sequence[Node], names: t.Sequence[str]) -> list[str]:
    """Why nodes cannot be rebooted."""
    if not names:
        return ["config: name the nodes to reboot"]
    found = {node.name: node for node in have}
    mistakes = []
    for name in names:
        if name not in found:
            near = closest(name, sorted(found))
            right = f"did you mean {near}?" if near else "bring the lab up first"
            mistakes.append(f"node {name} is not up: {right}")
        elif found[name].init != SYSTEMD:
            remedy = f"set lab.nodes.{name}.init to systemd in the intent, and run make lab"
            mistakes.append(f"node {name} cannot be rebooted, because it does not run systemd: {remedy}")
    return mistakes
