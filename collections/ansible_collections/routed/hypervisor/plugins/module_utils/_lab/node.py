# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

"""Lab nodes: lists and stops running ones, and plans changes.

A node is a set of namespaces held by its PID 1, C(catatonit) from the image. There is no state file; nodes are found in
the process table: PID 1 carries its lab and name in argv[0], its image and owner in the environment.
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
import typing as t
from dataclasses import dataclass

from .._engine.change import Change

MARK = "routed-hypervisor"
INIT = "usr/bin/catatonit"
INIT_ARGUMENT = "-P"  # catatonit without a child: waits and reaps orphans
IMAGE_VARIABLE = "ROUTED_HYPERVISOR_IMAGE"
OWNER_VARIABLE = "ROUTED_HYPERVISOR_OWNER"

LAB_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
NODE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Node:
    """A running node."""

    name: str
    pid: int
    image: str
    owner: str


def mark(lab: str, name: str) -> str:
    return f"{MARK}:{lab}:{name}"


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


def read_node(pid: int, lab: str) -> Node | None:
    """The node of this lab whose PID 1 is this process, or None."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            arguments = file.read().split(b"\0")
        if len(arguments) != 3 or not arguments[0].startswith(f"{MARK}:{lab}:".encode()):
            return None
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
        # Any process can set its argv[0]: only a root process that is PID 1 of its own namespace is trusted.
        # Its namespace is a child of ours: a container's lab of the same name is visible here, but must not be stopped.
        if status["Uid"].split() != ["0"] * 4 or len(pids := status["NSpid"].split()) != 2 or pids[-1] != "1":
            return None
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = [item.partition(b"=") for item in file.read().split(b"\0")]
    except (OSError, KeyError):
        return None
    environment = {os.fsdecode(key): os.fsdecode(value) for key, equals, value in pairs}
    name = os.fsdecode(arguments[0]).split(":", 2)[2]
    return Node(name, pid, environment.get(IMAGE_VARIABLE, ""), environment.get(OWNER_VARIABLE, ""))


def gather_nodes(lab: str) -> list[Node]:
    """The running nodes of a lab, by name."""
    found = (read_node(int(entry), lab) for entry in os.listdir("/proc") if entry.isdigit())
    return sorted((node for node in found if node), key=lambda node: (node.name, node.pid))


def stop_nodes(lab: str, nodes: t.Sequence[Node], timeout: float) -> list[str]:
    """Stops nodes and waits until they have ended; returns a message for each that has not.

    With PID 1, the kernel kills every process of the PID namespace, and reports PID 1 as ended last.
    """
    waiting: dict[int, Node] = {}
    try:
        for node in nodes:
            try:
                fd = os.pidfd_open(node.pid)
            except ProcessLookupError:
                continue
            waiting[fd] = node
            # The descriptor refers to one process: if that carries the mark now, the signal cannot hit another one.
            if read_node(node.pid, lab) == node:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            else:
                os.close(fd)
                del waiting[fd]
        deadline = time.monotonic() + timeout
        poll = select.poll()
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while waiting and (left := deadline - time.monotonic()) > 0:
            for fd, _event in poll.poll(left * 1000):
                poll.unregister(fd)
                os.close(fd)
                del waiting[fd]
        late = f"still runs {timeout:g} s after SIGKILL"
        return [f"node {node.name}: process {node.pid} {late}" for node in waiting.values()]
    finally:
        for fd in waiting:
            os.close(fd)


@dataclass(frozen=True)
class Plan:
    """What a run does: nodes to stop, each with the reason, then names to start. A node in both is replaced."""

    stop: list[tuple[Node, str]]
    start: list[str]

    def changes(self, image: str) -> list[Change]:
        """The changes; `image` is the image that new nodes run on."""
        found, on_image = [], {"image": image}
        for node, why in self.stop:
            is_replaced = node.name in self.start
            op, after = ("replace", on_image) if is_replaced else ("delete", {})
            found.append(Change("nodes", op, node.name, why, {"image": node.image}, after))
        stopped = {node.name for node, _why in self.stop}
        started = [name for name in self.start if name not in stopped]
        return found + [Change("nodes", "create", name, "it is not running", after=on_image) for name in started]

    def after(self, have: t.Sequence[Node], image: str) -> list[dict[str, str]]:
        ended = {node.pid for node, why in self.stop}
        kept = [state_of(node.name, node.image) for node in have if node.pid not in ended]
        return sorted(kept + [state_of(name, image) for name in self.start], key=lambda node: node["name"])


def state_of(name: str, image: str) -> dict[str, str]:
    """A node in the form of `before` and `after`: without its PID, which differs in every run."""
    return {"name": name, "image": image}


def plan_nodes(state: str, have: t.Sequence[Node], names: t.Sequence[str], image: str) -> Plan:
    """The plan that leads to the wanted nodes of a lab. Pure: reads nothing, changes nothing."""
    listed = set(names)
    if state == "deleted":
        return Plan([(node, "to be deleted") for node in have if not names or node.name in listed], [])
    stop: list[tuple[Node, str]] = []
    kept: set[str] = set()
    for node in have:
        if node.name not in listed:
            if state == "overridden":
                stop.append((node, "not listed"))
        elif node.image != image:
            stop.append((node, f"its image is {node.image}, not {image}"))
        elif node.name in kept:
            stop.append((node, "it is a duplicate"))
        else:
            kept.add(node.name)
    return Plan(stop, [name for name in names if name not in kept])
