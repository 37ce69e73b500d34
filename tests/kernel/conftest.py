"""Throw-away network namespaces, and modules that run in them with each supported pyroute2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.namespace import Namespace
from support.waiting import until


def _interpreters():
    """The test environment's interpreter, and the system's with Debian's older pyroute2 if available."""
    yield pytest.param((sys.executable, None), id="pyroute2-own")
    cache = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache" / "routed-hypervisor"))
    images = [os.environ.get("ROUTED_HYPERVISOR_TEST_IMAGE"), *cache.glob("images/*"), cache / "image-dev"]
    for image in images:
        packages = Path(image or "/nonexistent") / "usr/lib/python3/dist-packages"
        if (packages / "pyroute2").is_dir() and Path("/usr/bin/python3").exists():
            yield pytest.param(("/usr/bin/python3", [packages]), id="pyroute2-debian")
            return


class Host(Namespace):
    """A namespace for modules, and a second one behind its links."""

    def __init__(self, run_module, interpreter):
        super().__init__(Namespace.made().name)
        self.behind = Namespace.made(f"{self.name}-b")
        self.run_module = run_module
        self.python, self.library = interpreter
        self.ip("link set lo up")

    def remove(self):
        for path in Path("/run/netns").glob(f"{self.name}*"):
            Namespace(path.name).remove()

    def cable(self, name):
        """A link of someone else, up and with carrier."""
        self.ip(f"link add {name} type veth peer name {name} netns {self.behind.name}")
        self.behind.ip(f"link set {name} up")
        self.ip(f"link set {name} up")

    def module(self, name, **args):
        return self.run_module(name, **{"_python": self.python, "_path": self.library, "_prefix": self.prefix, **args})

    def changed(self, name, **args):
        """Runs a module that must succeed; its changes as (kind, op, name)."""
        result = self.module(name, **args)
        assert not result.get("failed"), result["msg"]
        changes = [(change["kind"], change["op"], change["name"]) for change in result["changes"]]
        assert result["changed"] == bool(changes)
        return changes

    def everything(self):
        """Everything the kernel has here, sorted for comparison."""

        def plain(entry):
            return json.dumps(entry, sort_keys=True)

        links = self.show("link")
        for link in links:
            link.pop("link_index", None)
            link.pop("operstate")  # follows the carrier asynchronously, and so does this flag
            link["flags"] = [flag for flag in link["flags"] if flag != "NO-CARRIER"]
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
        """Waits until no address is tentative: the kernel adds link-local addresses and routes asynchronously."""
        until(lambda: "tentative" not in self.ip("-6 address show"), 10, "every address is settled")
        return self.everything()


@pytest.fixture(params=_interpreters())
def interpreter(request):
    return request.param


@pytest.fixture(scope="session")
def hosts_interpreter():
    """The one that a host has, for programs that run without Ansible."""
    *_others, last = _interpreters()
    return last.values[0]


@pytest.fixture
def bare_namespace(run_module, interpreter):
    """On any kernel."""
    space = Host(run_module, interpreter)
    try:
        yield space
    finally:
        space.remove()


@pytest.fixture
def namespace(bare_namespace):
    # the first VRF adds the kernel's l3mdev rule, which is never removed
    try:
        bare_namespace.ip("link add vrf-probe type vrf table 4711")
    except subprocess.CalledProcessError:
        pytest.skip("this kernel has no VRF: run in the lab kernel (bin/lab-kernel)")
    bare_namespace.ip("link delete vrf-probe")
    return bare_namespace
