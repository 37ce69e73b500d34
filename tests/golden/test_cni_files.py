"""The files of CNI networks, byte for byte, and as JSON."""

from __future__ import annotations

import json
import os

import pytest
from support.templates import GOLDEN, render

NETWORKS = {
    network["name"]: network for network in json.loads((GOLDEN / "cni/host1.json").read_text())["cni"]["networks"]
}
PODMAN = {**NETWORKS["web"]["ranges"][0][0], "first": "10.10.1.128", "last": "10.10.1.191"}
CHAIN = [{"type": "tuning", "sysctl": {"net.core.somaxconn": "512"}}, {"type": "firewall"}]
BOTH = {
    **NETWORKS["web"],
    "name": "both",
    "mtu": 1400,
    "chain": CHAIN,
    "ranges": [[NETWORKS["web"]["ranges"][0][0], PODMAN]],
}
DHCP = {
    "name": "lan",
    "master": "fabric-lan",
    "mode": "l2",
    "mtu": None,
    "dhcp": True,
    "chain": [],
    "ranges": [],
    "routes": [],
}


@pytest.mark.parametrize("network", [*NETWORKS.values(), BOTH, DHCP], ids=lambda network: network["name"])
def test_the_file_is_the_same_as_ever(network):
    golden = GOLDEN / "templates" / "cni" / f"90-{network['name']}.conflist"
    text = render("cni/network.conflist", {"cni_network": network})
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
    plugin, *chain, own = json.loads(text)["plugins"]
    assert (plugin["master"], plugin["mode"], plugin.get("mtu")) == (network["master"], network["mode"], network["mtu"])
    assert chain == network["chain"] and own == {"type": "routed-hypervisor"}
    assert [len(ranges) for ranges in plugin["ipam"].get("ranges", [])] == [len(ranges) for ranges in network["ranges"]]
    assert "Managed by Routed Hypervisor" in text.splitlines()[0]
