"""Throw-away network namespaces of this machine's kernel."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import typing as t
import uuid

from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.namespaces import inside_network


class Entered:
    """Commands in namespaces, which a prefix such as nsenter's enters."""

    def __init__(self, prefix: list[str]) -> None:
        self.prefix = prefix

    def run(self, *command: t.Any, check: bool = True, text: str | None = None) -> str:
        command = (*self.prefix, *map(str, command))
        return subprocess.run(command, check=check, input=text, capture_output=True, text=True).stdout

    def start(self, *command: t.Any, **options: t.Any) -> subprocess.Popen:
        """A command that goes on running; it is this process's child itself."""
        return subprocess.Popen([*self.prefix, *map(str, command)], **options)

    def ip(self, command: str) -> str:
        return self.run("ip", *command.split())

    def batch(self, commands: str) -> None:
        self.run("ip", "-batch", "-", text=commands)

    def show(self, command: str) -> list[dict]:
        """The answer of `ip -json -details` to a command."""
        return [entry for entry in json.loads(self.ip(f"-json -details {command}") or "[]") if entry]

    def listens(self, process: int) -> bool:
        """Whether a process receives the kernel's notifications on a netlink socket."""
        sockets = [line.split() for line in self.run("cat", "/proc/net/netlink").splitlines()[1:]]
        return any(fields[2] == str(process) and int(fields[3], 16) for fields in sockets)

    def sysctl(self, path: str, value: object = None) -> str:
        target = f"/proc/sys/net/{path}"
        command = ["cat", target] if value is None else ["sh", "-c", f"echo {value} >{target}"]
        return self.run(*command).strip()


class Namespace(Entered):
    """A network namespace that has a name below /run/netns."""

    def __init__(self, name: str) -> None:
        self.name, self.path = name, f"/run/netns/{name}"
        # not `ip netns exec`: with its own mounts, a namespace made in it would have no name outside
        super().__init__(["nsenter", f"--net={self.path}"])

    @classmethod
    def made(cls, name: str = "") -> Namespace:
        space = cls(name or f"test-{uuid.uuid4().hex[:8]}")
        subprocess.run(["ip", "netns", "add", space.name], check=True)
        return space

    def holds(self, process: int) -> bool:
        """Whether a process is in the namespace: nsenter enters a moment after it was started."""
        return os.path.samefile(f"/proc/{process}/ns/net", self.path)

    def remove(self) -> None:
        """Its name, if it has one still."""
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)

    @contextlib.contextmanager
    def inside(self) -> t.Iterator[None]:
        """Sockets that are made here belong to the namespace."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with inside_network(fd):
                yield
        finally:
            os.close(fd)
