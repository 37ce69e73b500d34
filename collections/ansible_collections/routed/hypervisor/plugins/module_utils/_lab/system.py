# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

"""Boots and shuts down systemd in lab nodes: the inner namespaces of a node, on the file system of its chassis.

systemd follows the interface for containers (https://systemd.io/CONTAINER_INTERFACE). It reports the end of its boot
to a socket in the exchange directory.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import time
import typing as t
import uuid

from .._netlink import namespaces as ns
from . import exchange, groups
from .node import IMAGE_VARIABLE, NODE_VARIABLE, OWNER_VARIABLE, SYSTEM_ARGUMENT, Node, await_end, mark, signalled
from .start import ENGINES, PATH, Recipe, detach, furnish, loopback_up

PROGRAM = "lib/systemd/systemd"
STAGE = "/mnt"  # any directory of the image; the mount on it is moved to /
PAUSE_S = 0.05
REBOOT = signal.SIGRTMIN + 5  # systemd(1), Signals: starts reboot.target
# Units that need a console or hardware, and those that change the kernel of the machine, not of the node.
MASKED = (
    "console-getty.service",
    "dev-hugepages.mount",
    "getty.target",
    "kmod-static-nodes.service",
    "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-logind.service",
    "systemd-modules-load.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
)
# Each is a process at boot and in every daemon-reload; all but systemd-sysv-generator are about disks and consoles.
MASKED_GENERATORS = (
    "systemd-cryptsetup-generator",
    "systemd-debug-generator",
    "systemd-fstab-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-veritysetup-generator",
)
# A file system in memory: journald would allocate 8 MB per file.
JOURNAL = (
    "[Journal]\nStorage=persistent\nSystemMaxUse=8M\nSystemMaxFileSize=1M\nRuntimeMaxUse=4M\nRuntimeMaxFileSize=1M\n"
)
# `reboot` in the node would end it, and nothing would plug its cables again.
REFUSAL = """\
#!/bin/sh
echo "this is a lab node: switch it off and on with \\`make reboot NODE={name}\\`, which also plugs its cables" >&2
exit 1
"""
REFUSED = ("halt", "poweroff", "reboot", "shutdown")

Plug = t.Callable[[str, int], list[str]]  # plugs the cables of a node into the network of a process; returns failures


class BootError(Exception):
    """Why a node has not booted, in one sentence."""


def _ids(proc: int) -> tuple[int, int]:
    """This process and its parent, as numbered by the machine, whose /proc is open."""
    with open("self/stat", "rb", opener=lambda path, flags: os.open(path, flags, dir_fd=proc)) as file:
        head, _parenthesis, rest = file.read().rpartition(b")")
    return int(head.split()[0]), int(rest.split()[1])


def _write(path: str, text: str, mode: int = 0o644) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)


def make_root(name: str, lab: str, exchange_path: str) -> None:
    """Gives this process, PID 1 of the system, the file system of the chassis, with mounts of its own."""
    ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
    ns.mount("/", STAGE, flags=ns.MS_BIND)
    for place in ENGINES.values():
        if os.path.ismount(f"/{place}"):
            ns.mount(f"/{place}", f"{STAGE}/{place}", flags=ns.MS_BIND)
    furnish(STAGE, exchange_path)
    ns.mount("cgroup2", f"{STAGE}/sys/fs/cgroup", "cgroup2", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    # Of /proc/sys, only the network belongs to the node: systemd-sysctl would change the machine.
    sysctls, network = f"{STAGE}/proc/sys", f"{STAGE}/proc/sys/net"
    boot_id = f"{STAGE}/run/boot-id"
    _write(boot_id, f"{uuid.uuid4()}\n", 0o444)
    ns.mount(sysctls, sysctls, flags=ns.MS_BIND)
    ns.mount(network, network, flags=ns.MS_BIND)
    ns.mount(boot_id, f"{sysctls}/kernel/random/boot_id", flags=ns.MS_BIND)
    ns.mount(
        "none", sysctls, flags=ns.MS_BIND | ns.MS_REMOUNT | ns.MS_RDONLY | ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC
    )
    for kind, names in (("system", MASKED), ("system-generators", MASKED_GENERATORS)):
        os.makedirs(f"{STAGE}/run/systemd/{kind}")
        for masked in names:
            os.symlink("/dev/null", f"{STAGE}/run/systemd/{kind}/{masked}")
    _write(f"{STAGE}/run/systemd/journald.conf.d/lab.conf", JOURNAL)
    _write(f"{STAGE}/etc/machine-id", f"{uuid.uuid5(uuid.NAMESPACE_DNS, mark(lab, name)).hex}\n")
    for program in REFUSED:
        _write(f"{STAGE}/usr/local/sbin/{program}", REFUSAL.format(name=name), 0o755)
    ns.become_root(STAGE)
    # As on a host: services see what is mounted after their start.
    ns.mount("none", "/", flags=ns.MS_REC | ns.MS_SHARED)


def _step(report: int, text: str) -> None:
    os.write(report, f"{text}\n".encode())


def _system(node: Node, recipe: Recipe, proc: int, report: int, go: int, held: int) -> None:
    """In PID 1 of the inner namespaces: becomes systemd."""
    _step(report, "leave the module's session")
    detach(proc, report, go, held)
    _step(report, "create its file system")
    make_root(node.name, recipe.lab, recipe.exchange)
    _step(report, "set its name")
    socket.sethostname(node.name)
    loopback_up()
    _step(report, "wait for its cables")
    _step(report, f"={_ids(proc)[0]}")
    if not os.read(go, 1):
        os._exit(1)
    _step(report, f"start /{PROGRAM}")
    identity = mark(recipe.lab, node.name)
    environment = {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "container": "routed-hypervisor",
        "NOTIFY_SOCKET": exchange.boot_socket(recipe.lab),
        IMAGE_VARIABLE: node.image,
        OWNER_VARIABLE: node.owner,
        NODE_VARIABLE: identity,
    }
    ns.set_parent_death_signal(0)
    os.execve(f"/{PROGRAM}", [identity, SYSTEM_ARGUMENT], environment)


def _child(node: Node, recipe: Recipe, parent: int, report: int, go: int) -> t.NoReturn:
    """Enters the chassis, and forks twice: the PID namespace of the system is inside that of the chassis.

    Until systemd runs, each process dies with its parent.
    """

    def fork(parent: int) -> int:
        """0 in the child, which dies with its parent."""
        if (pid := os.fork()) == 0:
            ns.set_parent_death_signal(signal.SIGKILL)
            if _ids(proc)[1] != parent:
                os._exit(1)
        return pid

    try:
        ns.set_parent_death_signal(signal.SIGKILL)
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if _ids(proc)[1] != parent:
            os._exit(1)
        _step(report, "enter its control group")
        groups.join(recipe.lab, node.name)
        _step(report, "enter its chassis")
        ns.setns(os.pidfd_open(node.chassis), ns.CLONE_NEWNS | ns.CLONE_NEWPID)
        own = _ids(proc)[0]
        alive, held = os.pipe()
        if fork(own):
            os.close(report)
            os.close(held)
            os.wait()
            os._exit(0)
        _step(report, "create its namespaces")
        kinds = ns.CLONE_NEWNS | ns.CLONE_NEWNET | ns.CLONE_NEWUTS | ns.CLONE_NEWIPC | ns.CLONE_NEWCGROUP
        ns.unshare(kinds | ns.CLONE_NEWPID)
        own = _ids(proc)[0]
        if fork(own) == 0:
            _system(node, recipe, proc, report, go, held)
        os.close(held)
        os.close(report)
        os.read(alive, 1)  # until its child has become systemd, or has ended
    except BaseException as error:  # a forked copy of the module must never return into it
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        with contextlib.suppress(OSError):
            os.write(report, f"!{reason}{where}\n".encode(errors="replace"))
    finally:
        os._exit(1)


def _switch_on(node: Node, recipe: Recipe, plug: Plug | None, deadline: float) -> int:
    """Starts systemd in a node, and returns its PID. The boot has only begun then."""
    parent = os.getpid()
    reports, report = os.pipe()
    go, release = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(release)
        _child(node, recipe, parent, report, go)
    os.close(report)
    os.close(go)
    lines, pid, rest = ["start"], 0, b""
    poll = select.poll()
    poll.register(reports, select.POLLIN)
    try:
        while True:
            if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
                raise BootError(f"node {node.name}: not ready in time, stuck at the step '{lines[-1]}'")
            data = os.read(reports, 65536)
            if not data:
                break
            *new, rest = (rest + data).split(b"\n")
            for line in (each.decode(errors="replace") for each in new):
                if line.startswith("!"):
                    raise BootError(f"node {node.name}: cannot {lines[-1]}: {line[1:]}")
                if not line.startswith("="):
                    lines.append(line)
                    continue
                pid = int(line[1:])
                if plug and (failures := plug(node.name, pid)):
                    raise BootError("\n".join(failures))
                os.write(release, b"x")
        if lines[-1] != f"start /{PROGRAM}":
            raise BootError(f"node {node.name}: died at the step '{lines[-1]}'")
        return pid
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(reports)
        os.close(release)
        os.waitpid(child, 0)


class Booting:
    """Nodes whose systemd has been started, until each has finished its boot."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self.waiting: dict[int, tuple[str, int, float]] = {}  # by descriptor of the process: name, PID, deadline
        self.seconds: dict[str, float] = {}  # from the start of systemd to the end of the boot
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        path = exchange.boot_socket(recipe.lab)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.socket.bind(path)

    def __enter__(self) -> Booting:
        return self

    def __exit__(self, *exception) -> None:
        for fd in self.waiting:
            os.close(fd)
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(exchange.boot_socket(self.recipe.lab))

    def begin(self, node: Node, plug: Plug | None = None) -> None:
        exchange.note_boot(self.recipe.lab, node.name)
        deadline = time.monotonic() + self.recipe.timeout
        try:
            pid = _switch_on(node, self.recipe, plug, deadline)
            exchange.note_pid(self.recipe.lab, node.name, pid)
            self.waiting[os.pidfd_open(pid)] = (node.name, pid, deadline)
        except BootError:
            exchange.forget_boot(self.recipe.lab, node.name)
            raise
        except ProcessLookupError:
            exchange.forget_boot(self.recipe.lab, node.name)
            raise BootError(ended(node.name)) from None

    def finish(self) -> list[str]:
        """Waits until every node has booted; returns a message for each that has not."""
        failures = []
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        for fd in self.waiting:
            poll.register(fd, select.POLLIN)
        while self.waiting:
            left = min(deadline for _name, _pid, deadline in self.waiting.values()) - time.monotonic()
            over: set[int] = set()
            for fd, _event in poll.poll(max(0, left) * 1000):
                if fd == self.socket.fileno():
                    over |= self._reported()
                elif fd in self.waiting:
                    failures.append(ended(self.waiting[fd][0]))
                    over.add(fd)
            for fd, (name, _pid, deadline) in self.waiting.items():
                if fd not in over and time.monotonic() > deadline:
                    jobs = command(self.recipe.lab, name, "systemctl", "list-jobs", "--plain", "--no-legend")
                    names = ", ".join(line.split()[1] for line in jobs.splitlines() if len(line.split()) > 1)
                    late = f"has not booted after {self.recipe.timeout:g} s"
                    failures.append(f"node {name}: systemd {late}: waiting for {names or 'an unknown unit'}")
                    over.add(fd)
            for fd in over:
                poll.unregister(fd)
                os.close(fd)
                exchange.forget_boot(self.recipe.lab, self.waiting.pop(fd)[0])
        return failures

    def _reported(self) -> set[int]:
        data, ancillary, _flags, _address = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
        if b"READY=1" not in data.split(b"\n"):
            return set()
        senders = {struct.unpack("3i", value)[0] for _level, _kind, value in ancillary}
        booted = {fd: node for fd, node in self.waiting.items() if node[1] in senders}
        for name, _pid, deadline in booted.values():
            self.seconds[name] = round(time.monotonic() - deadline + self.recipe.timeout, 2)
        return set(booted)


def ended(name: str) -> str:
    return f"node {name}: its systemd ended while it was booting; make reboot NODE={name} tries again"


def command(lab: str, node: str, *argv: str, timeout: float = 30) -> str:
    """The output of a command in a node; empty if it fails."""
    with contextlib.suppress(subprocess.TimeoutExpired, OSError):
        done = subprocess.run(
            [f"{exchange.path(lab)}/enter", node, *argv], capture_output=True, text=True, check=False, timeout=timeout
        )
        return done.stdout
    return ""


def failed_units(lab: str, node: str) -> list[str]:
    listed = command(lab, node, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def wait_for_interrupted_boot(lab: str, node: str, timeout: float) -> None:
    """A killed run may have left a node that is still booting."""
    if exchange.is_boot_noted(lab, node):
        deadline = time.monotonic() + timeout
        asked = ("systemctl", "is-system-running", "--wait")
        # It does not wait for a systemd that has only just begun, and does not answer yet.
        while command(lab, node, *asked, timeout=timeout).strip() in ("", "unknown") and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
        exchange.forget_boot(lab, node)


def shut_down(lab: str, nodes: t.Sequence[Node], grace: float, timeout: float) -> list[str]:
    """Shuts systemd down in nodes, and waits until it has ended. After `grace` seconds, nodes are switched off.

    Returns the names of those that had to be switched off, which is none if there is no grace.
    """
    with signalled(lab, {node.pid: node for node in nodes}, REBOOT if grace else signal.SIGKILL) as waiting:
        await_end(waiting, grace)
        forced = list(waiting.items())
        for fd, _node in forced:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        await_end(waiting, timeout)
        if waiting:
            names = ", ".join(node.name for node in waiting.values())
            raise TimeoutError(f"systemd still runs {timeout:g} s after SIGKILL: {names}")
        return [node.name for _fd, node in forced] if grace else []
