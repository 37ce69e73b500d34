"""The examples in the documentation of kernel modules: each changes something, and nothing when run again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.module_examples import tasks
from support.namespace import Entered

# What an example expects to exist, as commands of ip. A veth is up and has carrier.
UPLINK = ["link add uplink type veth peer name far-uplink", "link set far-uplink up", "link set uplink up"]
GUEST = ["link add vm1 type veth peer name far-vm1", "link set far-vm1 up", "link set vm1 up"]
PUBLIC = ["link add public type vrf table 90", "link set public up"]
PRIVATE = ["link add private type vrf table 20", "link set private up"]
TWO_FABRICS = [
    *(f"link add uplink-{side} type veth peer name far-{side}" for side in "ab"),
    *(f"link add uplink-{side}.20 link uplink-{side} type vlan id 20" for side in "ab"),
    *(f"link set uplink-{side}.20 vrf private" for side in "ab"),
    *(f"link set {name} up" for side in "ab" for name in (f"far-{side}", f"uplink-{side}", f"uplink-{side}.20")),
    "address add 172.22.15.1/25 dev uplink-a.20",
    "address add 172.22.15.129/25 dev uplink-b.20",
]
THERE = {
    "interfaces": [*UPLINK, *PUBLIC],
    "ipvlan_links": [*UPLINK, "netns add c1"],
    "namespaces": [],
    "network": [*UPLINK, *GUEST],
    "proxy_arp": GUEST,
    "routes": [*GUEST, *PUBLIC, "link set vm1 vrf public", *PRIVATE, *TWO_FABRICS],
    "rules": PRIVATE,
    "sysctls": [],
    "vrfs": [],
}
PROCESS = 1234  # the examples' placeholder for a process in its own network namespace
ON_ANY_KERNEL = ("namespaces", "proxy_arp", "sysctls")


class Host(Entered):
    """A network namespace with private namespace names: those of the examples may be taken outside."""

    def __init__(self, run_module):
        self.run_module = run_module
        self.processes = []
        names = "mount -t tmpfs none /run && mkdir /run/netns"
        super().__init__(["nsenter", "-t", str(self.process("--mount", before=names)), "--net", "--mount"])
        self.ip("link set lo up")

    def process(self, *more, before="true"):
        """The PID of a process in a network namespace of its own."""
        script = f"{before} && echo ready && exec sleep infinity"
        started = subprocess.Popen(["unshare", "--net", *more, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        self.processes.append(started)
        assert started.stdout.readline() == "ready\n"
        return started.pid

    def module(self, name, arguments):
        return self.run_module(name, _prefix=self.prefix, **arguments)

    def remove(self):
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def host(run_module):
    made = Host(run_module)
    try:
        yield made
    finally:
        made.remove()


def test_every_kernel_module_is_covered():
    directory = Path(__file__).resolve().parents[2] / "collections/ansible_collections/routed/hypervisor/plugins"
    main = "module_utils._network.module import"
    assert sorted(THERE) == sorted(path.stem for path in directory.glob("modules/*.py") if main in path.read_text())


@pytest.mark.parametrize("name", THERE)
def test_an_example_changes_something_only_once(host, name):
    if name not in ON_ANY_KERNEL:
        try:
            host.ip("link add vrf-probe type vrf table 4711")
        except subprocess.CalledProcessError:
            pytest.skip("this kernel has no VRF: run in the lab kernel (bin/lab-kernel)")
        host.ip("link delete vrf-probe")
    for command in THERE[name]:
        host.ip(command)
    for sentence, module, given in tasks(name, instead={PROCESS: host.process()}):
        first = host.module(module, given)
        assert not first.get("failed"), f"{sentence}: {first['msg']}"
        if given.get("state") == "gathered":
            assert first["gathered"] and not first["changed"], sentence
            continue
        assert first["changed"], sentence
        again = host.module(module, given)
        assert not again.get("failed") and not again["changed"], f"{sentence}, again: {again}"
