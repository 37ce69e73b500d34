"""Every line of a leaf is understood by cisco.nxos: parsed to data and rendered from them, it is there again.

The modules drop what they do not know without a word, so lines are compared, each with the lines that it is below.
"""

from __future__ import annotations

import importlib
import json
import re

import pytest
from ansible.module_utils.testing import patch_module_args
from support.leaf_values import values_of
from support.templates import variables
from test_nxos import FULL, LEAVES, changed, text_of

from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.tree import Line, parse

MODULES = "ansible_collections.cisco.nxos.plugins.modules"
# The module, and the blocks that it is given, as it would ask a switch for them.
SECTIONS = {
    "hostname": "hostname ",
    "vrf_global": "vrf context ",
    "static_routes": r"((ip|ipv6) route |vrf context )",
    "prefix_lists": r"(ip|ipv6) prefix-list ",
    "route_maps": "route-map ",
    "acls": r"(ip|ipv6) access-list ",
    "interfaces": "interface ",
    "l2_interfaces": "interface ",
    "l3_interfaces": "interface ",
    "ospf_interfaces": "interface ",
    "vrf_interfaces": "interface ",
    "ospfv2": "router ospf ",
    "ospfv3": "router ospfv3 ",
    "bgp_global": "router bgp ",
    "bgp_address_family": "router bgp ",
    "bgp_neighbor_address_family": "router bgp ",
}
# What there is no such module for, or only one that cannot parse a configuration (nxos_vlans reads JSON), that refuses
# VLAN interfaces (nxos_acl_interfaces: a test of its own is below), or that leaves out what it takes for the default
# of the switch it is not connected to (no switchport), or that reads what is off and does not write it (no
# graceful-restart: a test of its own, too).
WITHOUT = re.compile(
    r"feature |bfd interval |vlan \d"
    r"|router bgp .*/no graceful-restart$"
    r"|interface .*/(no switchport$|ipv6 nd |spanning-tree port type |ip access-group |ipv6 traffic-filter )"
)


def module(name: str, capsys, **arguments) -> dict:
    pytest.importorskip(MODULES, reason="no cisco.nxos: run bin/setup --dev")
    main = importlib.import_module(f"{MODULES}.nxos_{name}").main
    with patch_module_args(arguments), pytest.raises(SystemExit):
        main()
    result = json.loads(capsys.readouterr().out)
    assert not result.get("failed"), result
    return result


def block_of(text: str, pattern: str) -> str:
    return "\n".join(block for block in re.split(r"\n(?=\S)", text.rstrip()) if re.match(pattern, block))


def round_trip(name: str, text: str, capsys) -> list[str]:
    parsed = module(name, capsys, state="parsed", running_config=text)["parsed"]
    return module(name, capsys, state="rendered", config=parsed)["rendered"]


def paths(lines: list[Line], above: str = "") -> list[str]:
    """Each line behind those that it is below: a/b/c."""
    found = []
    for line in lines:
        path = f"{above}{line.text}"
        found += [path, *paths(line.children, f"{path}/")]
    return found


def placed(commands: list[str], known: list[str]) -> set[str]:
    """Commands come without indentation: what each is below is found from where it may be."""
    above: list[str] = []
    places = set()
    for raw in commands:
        command = re.sub(r"\bhost (\S+)", lambda found: found[1] + ("/128" if ":" in found[1] else "/32"), raw)
        while above and "/".join([*above, command]) not in known:
            above.pop()
        places.add("/".join([*above, command]))
        above.append(command)
    return places


def lost(text: str, capsys) -> list[str]:
    known = paths(parse(text))
    found = set()
    for name, pattern in SECTIONS.items():
        if section := block_of(text, pattern):
            found |= placed(round_trip(name, section, capsys), known)
    assert found <= set(known), "lines that are not in the text"
    return [path for path in known if path not in found and not WITHOUT.match(path)]


@pytest.mark.parametrize("leaf", LEAVES)
def test_no_line_is_lost(leaf, capsys):
    assert lost(text_of(values_of(leaf)), capsys) == []


@pytest.mark.parametrize(
    ("right", "wrong", "missing"),
    [
        ("    timers 3 9\n", "    timer 3 9\n", "timer 3 9"),
        ("  neighbor 50.1.1.1\n    remote-as 65002\n", "  neighbor 50.1.1.1 remote-as 65002\n", "neighbor 50.1.1.1"),
        ("  mtu 9000\n", "  mtuu 9000\n", "mtuu 9000"),
    ],
)
def test_a_line_that_the_modules_do_not_know_is_seen(right, wrong, missing, capsys):
    text = text_of(variables(FULL))
    assert right in text
    try:
        gone = lost(text.replace(right, wrong, 1), capsys)
    except AssertionError as error:
        gone = [str(error)]
    assert any(missing in path for path in gone) or "lines that are not in the text" in gone[0], gone


def test_vlans_are_rendered_alike(capsys):
    values = variables(FULL)
    config = [{"vlan_id": vlan["id"], "name": vlan["name"]} for vlan in values["leaf"]["vlans"]]
    rendered = module("vlans", capsys, state="rendered", config=config)["rendered"]
    ours = [line.strip() for line in block_of(text_of(values), r"vlan \d").splitlines()]
    assert [line for line in rendered if line != "exit"] == ours


def test_what_is_off_is_read(capsys):
    section = block_of(text_of(variables(FULL)), "router bgp ")
    parsed = module("bgp_global", capsys, state="parsed", running_config=section)["parsed"]
    assert [place["graceful_restart"] for place in (parsed, *parsed["vrfs"])] == [{"set": False, "helper": True}] * 2


def test_access_lists_of_a_port_survive(capsys):
    def change(values):
        for acl in values["leaf"]["acls"]:
            acl["interface"] = "Ethernet1/51"

    section = block_of(changed(FULL, change), "interface Ethernet1/51")
    rendered = round_trip("acl_interfaces", section, capsys)
    assert {"ip access-group FROM-HOSTS in", "ipv6 traffic-filter FROM-HOSTS-IPV6 in"} < set(rendered)
