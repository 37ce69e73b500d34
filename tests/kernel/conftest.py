"""Throw-away network namespaces, and modules that run in them, with each pyroute2 that is supported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest


def _interpreters():
    """The test environment's own, and the system's with Debian's older pyroute2 where that can be had."""
    yield pytest.param((sys.executable, None), id="pyroute2-own")
    cache = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache" / "routed-hypervisor"))
    images = [os.environ.get("ROUTED_HYPERVISOR_TEST_IMAGE"), *cache.glob("images/*"), cache / "image-dev"]
    for image in images:
        packages = Path(image or "/nonexistent") / "usr/lib/python3/dist-packages"
        if (packages / "pyroute2").is_dir() and Path("/usr/bin/python3").exists():
            yield pytest.param(("/usr/bin/python3", [packages]), id="pyroute2-debian")
            return


class Namespace:
    """A network namespace `name`, and a second one behind its links."""

    def __init__(self, run_module, interpreter):
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.run_module = run_module
        self.python, self.path = interpreter
        for name in (self.name, self.behind):
            subprocess.run(["ip", "netns", "add", name], check=True)
        self.ip("link set lo up")

    @property
    def behind(self):
        return f"{self.name}-b"

    def remove(self):
        for path in Path("/run/netns").glob(f"{self.name}*"):
            subprocess.run(["ip", "netns", "delete", path.name], check=False)

    def ip(self, command, inside=None):
        """Runs `ip` with a command, in this namespace or in that of one of its containers."""
        return subprocess.run(
            ["ip", "-n", inside or self.name, *command.split()], check=True, capture_output=True, text=True
        ).stdout

    def show(self, command, inside=None):
        """The answer of `ip -json -details` to a command."""
        output = self.ip(f"-json -details {command}", inside)
        return [entry for entry in json.loads(output or "[]") if entry]

    def sysctl(self, path, value=None):
        target = f"/proc/sys/net/{path}"
        command = ["cat", target] if value is None else ["sh", "-c", f"echo {value} >{target}"]
        prefix = ["ip", "netns", "exec", self.name]
        return subprocess.run([*prefix, *command], check=True, capture_output=True, text=True).stdout.strip()

    def cable(self, name):
        """A link of someone else's, up and with carrier."""
        self.ip(f"link add {name} type veth peer name {name} netns {self.behind}")
        subprocess.run(["ip", "-n", self.behind, "link", "set", name, "up"], check=True)
        self.ip(f"link set {name} up")

    def module(self, name, **args):
        # not `ip netns exec`: with its own mounts, a namespace made in it would have no name outside
        args.setdefault("_prefix", ["nsenter", f"--net=/run/netns/{self.name}"])
        return self.run_module(name, _python=self.python, _path=self.path, **args)

    def changed(self, name, **args):
        """Runs a module that must succeed; its changes as (kind, op, name)."""
        result = self.module(name, **args)
        assert not result.get("failed"), result["msg"]
        changes = [(change["kind"], change["op"], change["name"]) for change in result["changes"]]
        assert result["changed"] == bool(changes)
        return changes

    def everything(self):
        """All that the kernel has here, in an order that can be compared."""

        def plain(entry):
            return json.dumps(entry, sort_keys=True)

        links = self.show("link")
        for link in links:
            link.pop("link_index", None)
        addresses = [(link["ifname"], sorted(map(plain, link["addr_info"]))) for link in self.show("address")]
        lists = [
            self.show(command)
            for command in (
                "route show table all",
                "-6 route show table all",
                "rule",
                "-6 rule",
                "neighbor show proxy",
            )
        ]
        return [sorted(map(plain, links)), sorted(addresses), *(sorted(map(plain, entries)) for entries in lists)]

    def settled(self):
        """Waits until no address is tentative: the kernel makes link-local addresses and routes in its own time."""
        deadline = time.monotonic() + 10
        while "tentative" in (now := self.ip("-6 address show")) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "tentative" not in now, now
        return self.everything()


@pytest.fixture(params=_interpreters())
def interpreter(request):
    return request.param


@pytest.fixture
def bare_namespace(run_module, interpreter):
    """On any kernel."""
    space = Namespace(run_module, interpreter)
    try:
        yield space
    finally:
        space.remove()


@pytest.fixture
def namespace(bare_namespace):
    # the first VRF leaves the kernel's l3mdev rule behind for good
    try:
        bare_namespace.ip("link add vrf-probe type vrf table 4711")
    except subprocess.CalledProcessError:
        pytest.skip("this kernel has no VRF: run in the lab kernel (bin/lab-kernel)")
    bare_namespace.ip("link delete vrf-probe")
    return bare_namespace
