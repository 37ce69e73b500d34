# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

"""Starts lab nodes: everything between fork and the exec of the node's PID 1.

Until just before exec, a child dies with the module. So a killed module leaves only complete, marked nodes.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import stat
import struct
import time
import typing as t
from dataclasses import dataclass

from .._fast.garbage import no_collections
from .._netlink import namespaces as ns
from .node import IMAGE_VARIABLE, INIT, INIT_ARGUMENT, MARK, OWNER_VARIABLE, mark, read_node

CONCURRENT = 32
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
DEVICE_LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
# Container engines, and where they stack overlays of their own, which cannot be on another overlay.
ENGINES = {"usr/bin/podman": "var/lib/containers", "usr/sbin/dockerd": "var/lib/docker"}
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


@dataclass(frozen=True)
class Recipe:
    """What the nodes started in one call have in common. timeout: seconds until each must be ready."""

    lab: str
    image: str
    owner: str
    exchange: str
    timeout: float
    prefix: str = MARK  # or CHASSIS_MARK


def overlay_path(path: str) -> str:
    """A path as an overlay mount option, where backslash, comma and colon are special."""
    for character in "\\,:":
        path = path.replace(character, "\\" + character)
    return path


def make_devices(dev: str) -> None:
    ns.mount("tmpfs", dev, "tmpfs", ns.MS_NOSUID | ns.MS_NOEXEC, "mode=0755,size=1m")
    devices = dict(DEVICES)
    if os.path.exists("/dev/net/tun"):
        os.mkdir(f"{dev}/net")
        devices["net/tun"] = (10, 200)
    for name, (major, minor) in devices.items():
        os.mknod(f"{dev}/{name}", stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(f"{dev}/{name}", 0o666)
    for name, target in DEVICE_LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    for name in ("pts", "shm"):
        os.mkdir(f"{dev}/{name}")
    ns.mount("devpts", f"{dev}/pts", "devpts", ns.MS_NOSUID | ns.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    ns.mount("tmpfs", f"{dev}/shm", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=1777")


def make_root(image: str, exchange: str) -> None:
    """Gives this process its own writable copy of the image; only `exchange` is shared with the host."""
    ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
    # Any existing directory would do as a mount point; the mount is visible only in this namespace.
    stage = f"{exchange}/nodes"
    ns.mount("tmpfs", stage, "tmpfs", 0, "mode=0755")
    for name in ("upper", "work", "root"):
        os.mkdir(f"{stage}/{name}")
    root = f"{stage}/root"
    ns.mount(
        "overlay", root, "overlay", 0, f"lowerdir={overlay_path(image)},upperdir={stage}/upper,workdir={stage}/work"
    )
    for program, place in ENGINES.items():
        if os.path.exists(f"{image}/{program}"):
            os.makedirs(f"{stage}/engines/{place}", 0o711)
            os.makedirs(f"{root}/{place}", 0o711, exist_ok=True)
            ns.mount(f"{stage}/engines/{place}", f"{root}/{place}", flags=ns.MS_BIND)
    furnish(root, exchange)
    ns.become_root(root)


def furnish(root: str, exchange: str) -> None:
    """Mounts what belongs to the kernel, and the exchange directory, below a root file system."""
    os.makedirs(f"{root}/root/.ansible/tmp", 0o700, exist_ok=True)  # Ansible warns if a module has to create it
    ns.mount("proc", f"{root}/proc", "proc", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    # sysfs shows the network namespace of the process that mounts it.
    ns.mount("sysfs", f"{root}/sys", "sysfs", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    make_devices(f"{root}/dev")
    ns.mount("tmpfs", f"{root}/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV, "mode=0755")
    os.mkdir(f"{root}/run/lock")
    os.chmod(f"{root}/run/lock", 0o1777)
    os.makedirs(root + exchange)
    ns.mount(exchange, root + exchange, flags=ns.MS_BIND)


def set_identity(name: str) -> None:
    socket.sethostname(name)
    with open("/etc/hostname", "w", encoding="utf-8") as file:
        file.write(f"{name}\n")
    with open("/etc/hosts", "w", encoding="utf-8") as file:
        file.write(f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n")


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        request = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", request)[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def parent_of_self() -> int:
    """The parent according to the host's /proc (getppid() returns 0 in a new PID namespace)."""
    with open("/proc/self/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def detach(*keep: int) -> None:
    """A session of its own, default signals, no descriptors except `keep`, /dev/null as input and output."""
    os.setsid()
    os.umask(0o022)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    first = 3
    for fd in sorted(keep):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, 65536)


def child(name: str, recipe: Recipe, parent: int, report: int) -> t.NoReturn:
    """Becomes the node. Writes a line to `report` before each step; after a failed one, a line `!reason`."""

    def step(text: str) -> None:
        os.write(report, f"{text}\n".encode())

    try:
        ns.set_parent_death_signal(signal.SIGKILL)
        if parent_of_self() != parent:
            os._exit(1)
        step("leave the module's session")
        detach(report)
        step("create its namespaces")
        ns.unshare(ns.CLONE_NEWNS | ns.CLONE_NEWNET | ns.CLONE_NEWUTS | ns.CLONE_NEWIPC)
        step("create its file system")
        make_root(recipe.image, recipe.exchange)
        step("set its name")
        set_identity(name)
        step("set lo up")
        loopback_up()
        step(f"start /{INIT}")
        environment = {
            "PATH": PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            IMAGE_VARIABLE: recipe.image,
            OWNER_VARIABLE: recipe.owner,
        }
        # From here on it no longer dies with the module; only a system call separates this from exec.
        ns.set_parent_death_signal(0)
        os.execve(f"/{INIT}", [mark(recipe.lab, name, recipe.prefix), INIT_ARGUMENT], environment)
    except BaseException as error:  # a forked copy of the module must never return into it
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        os.write(report, f"!{reason}{where}\n".encode(errors="replace"))
    finally:
        os._exit(1)


class _Start:
    """A child between fork and exec."""

    def __init__(self, name: str, pid: int, report: int, deadline: float):
        self.name, self.pid, self.report, self.deadline = name, pid, report, deadline
        self.reported = b""

    def failure(self, lab: str) -> str | None:
        """After the end of its report: why it did not become a node, or None if it did."""
        while not self.lines()[-1].startswith("!"):
            if (node := read_node(self.pid, lab)) is not None and node.name == self.name:
                return None
            # The report is closed during exec, shortly before the kernel shows the new arguments.
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return f"node {self.name}: died at the step '{self.lines()[-1]}'"
            if time.monotonic() > self.deadline:
                return self.kill()
            time.sleep(0.0005)
        os.waitpid(self.pid, 0)
        return f"node {self.name}: cannot {self.lines()[-2]}: {self.lines()[-1][1:]}"

    def lines(self) -> list[str]:
        return ["start", *self.reported.decode(errors="replace").splitlines()]

    def kill(self) -> str:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return f"node {self.name}: not ready in time, stuck at the step '{self.lines()[-1]}'"


def _fork(name: str, recipe: Recipe) -> _Start:
    parent = os.getpid()
    ours, theirs = os.pipe()
    try:
        with ns.new_pid_namespace_for_children():
            pid = os.fork()
            if pid == 0:
                child(name, recipe, parent, theirs)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return _Start(name, pid, ours, time.monotonic() + recipe.timeout)


def start_nodes(recipe: Recipe, names: t.Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Starts nodes and waits until each is ready. Returns the PIDs of ready nodes, and a message for each other."""
    ready: dict[str, int] = {}
    failures: list[str] = []
    queue = list(reversed(names))
    running: dict[int, _Start] = {}
    poll = select.poll()
    with no_collections():
        while queue or running:
            while queue and len(running) < CONCURRENT and not failures:
                start = _fork(queue.pop(), recipe)
                running[start.report] = start
                poll.register(start.report, select.POLLIN)
            left = min(start.deadline for start in running.values()) - time.monotonic()
            ended = []
            for fd, _event in poll.poll(max(0, left) * 1000):
                data = os.read(fd, 65536)
                running[fd].reported += data
                if not data:
                    start = running[fd]
                    ended.append(start)
                    failure = start.failure(recipe.lab)
                    if failure:
                        failures.append(failure)
                    else:
                        ready[start.name] = start.pid
            for start in running.values():
                if start not in ended and time.monotonic() > start.deadline:
                    ended.append(start)
                    failures.append(start.kill())
            for start in ended:
                poll.unregister(start.report)
                os.close(start.report)
                del running[start.report]
            if failures and not running:
                # What fails for one node fails for the next 300, too: no point in trying each.
                failures += [f"node {name}: not tried" for name in reversed(queue)]
                break
    return ready, failures
