"""Whatever a leaf's intent may leave out, both platforms render what is left, and a switch takes it."""

from __future__ import annotations

import pytest
from support.intent_samples import REMOVE, changed
from support.nxos_device import Device
from support.nxos_structure import mistakes
from support.nxos_switch import push
from support.templates import render
from test_intent_leaves import HOST, LEAF, pairs, switches, without_ospf
from test_leaf_data import resolved

CASES = {
    "nothing": switches(),
    "nothing, in pairs": pairs(),
    "OSPF": without_ospf(),
    "hosts": changed((f"{HOST}.neighbors", REMOVE), start=switches),
    "ports": changed((f"{LEAF}.fabrics.rack1.ports", REMOVE), start=switches),
    "BFD, with passwords": changed(
        ("bgp", {"as": 500, "peering": "configured"}), ("vrfs.main", {"password": True}), start=switches
    ),
    "the default of maximum_prefix": changed((f"{LEAF}.maximum_prefix", 20), start=switches),
    "nothing, with BFD and MTU": changed(
        ("bgp", {"as": 500, "peering": "configured", "bfd": {"interval_ms": 300, "multiplier": 3}}),
        ("fabrics.rack1.mtu", 9000),
        start=switches,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_is_rendered_and_taken(case):
    for platform in ("nxos", "frr"):
        data = {key: value for key, value in CASES[case].items() if key != "lab"}
        for leaf in data["leaves"].values():
            leaf["platform"] = platform
        for name, values in resolved(data).items():
            if name not in data["leaves"]:
                continue
            values["bgp_passwords"] = {"main": "a-password"}
            if platform == "frr":
                assert "router bgp" in render("frr/frr.conf", values)
            else:
                text = render("nxos/leaf.cfg", values)
                assert mistakes(text) == []
                assert ("ospf" in text) == ("ospf" in data)
                push(Device(), values)
