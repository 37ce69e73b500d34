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


def is_late(link):
    """Whether a link that is up has a carrier and is not running, or the reverse."""
    return ("LOWER_UP" in link["flags"]) == ("NO-CARRIER" in link["flags"])


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

    def cable(self, name, carrier=True):
        """A link of someone else, up and with carrier, or never with one: IPv6 stays ready after it is lost."""
        self.ip(f"link add {name} type veth peer name {name} netns {self.behind.name}")
        if carrier:
            self.behind.ip(f"link set {name} up")
        self.ip(f"link set {name} up")
        self.follows_carrier(name)

    def follows_carrier(self, name):
        """Waits until the kernel has handled a change of the carrier, up to a second later: IPv6 follows only then.

        Since Linux 6.7, it does that at once when it is asked for this link alone.
        """
        until(lambda: not is_late(*self.show(f"link show {name}")), what=f"the state of {name} follows its carrier")

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
        while late := [link["ifname"] for link in self.show("link show up") if is_late(link)]:
            for name in late:
                self.follows_carrier(name)
        until(lambda: "tentative" not in self.ip("-6 address show"), what="every address is settled")
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
