"""A hypervisor's network as the kernel described it before a change, and after the change was undone."""

from __future__ import annotations

import json

import pytest
from test_network import CONFIG

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.arming import kernel as former
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.kernel import Kernel

PORTS = ("fabric-A", "fabric-B", "vm1", "vm2")
OF_OTHERS = """
address add 192.0.2.1/24 dev mgmt
route add default via 192.0.2.254 proto static metric 50
route add ::/0 via fe80::1 dev mgmt proto ra expires 1800
route add 198.18.0.0/15 nexthop via 192.0.2.2 weight 3 nexthop via 192.0.2.3
rule add priority 700 to 198.18.0.0/15 table 700
link property add dev mgmt altname management0
"""
CUTS = {
    "the management interface is moved into a VRF": ["ip link set mgmt master public"],
    "a VRF is gone": ["ip link del public"],
    "an uplink is down": ["ip link set fabric-A down"],
    "an uplink is moved into the other VRF": ["ip link set vm1 master private"],
    "a VRF has another table": ["ip link del private", "ip link add private type vrf table 99"],
    "everything of ours is gone": [],
}


@pytest.fixture
def interpreter(hosts_interpreter):
    return hosts_interpreter


def test_cuts_are_undone(namespace):
    host = namespace
    for name in (*PORTS, "mgmt"):
        host.cable(name)
    host.batch(OF_OTHERS.strip())
    host.changed("network", state="overridden", config=CONFIG)
    host.settled()
    for name, commands in CUTS.items():
        with host.inside():
            kernel = Kernel()
        try:
            with host.inside():
                stored = json.loads(json.dumps(former.store(kernel)))
                assert former.differences(kernel, stored) == [], name
            if not commands:
                host.changed("network", state="deleted")
            for command in commands:
                host.run("sh", "-ec", command)
            with host.inside():
                assert former.differences(kernel, stored), name
                assert former.restore(kernel, stored) == [], name
            host.settled()
            with host.inside():
                assert former.differences(kernel, stored) == [], name
        finally:
            kernel.close()
        result = host.module("network", state="overridden", config=CONFIG, _check=True)
        assert not result.get("failed") and result["changes"] == [], (name, result)
