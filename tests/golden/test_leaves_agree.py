"""A leaf on NX-OS and one on FRR, made from the same data, are the same leaf: their texts, field by field."""

from __future__ import annotations

import copy
import re

import pytest
from support.leaf_values import RESOLVED, values_of
from support.templates import TEMPLATES, render, variables
from test_nxos import LEAVES

from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.tree import MARK, Line, parse

pytestmark = pytest.mark.skipif(not (TEMPLATES / "frr" / "frr.conf.j2").exists(), reason="no FRR on leaves yet")

# A line of a neighbour in both languages: the name of a field, and what is its value.
NEIGHBOR = [
    ("as", r"remote-as (\d+)"),
    ("description", r"description (\S+)"),
    ("source", r"update-source (\S+)"),
    ("ttl security", r"ttl-security hops (\d+)"),
    ("multihop", r"ebgp-multihop (\d+)"),
    ("bfd", r"(bfd)"),
    ("timers", r"timers (\d+ \d+)"),
    ("password", r"password (?:0 )?(\S+)"),
    ("as-override", r"(as-override)"),
    ("next-hop-self", r"(next-hop-self)"),
    ("maximum-prefix", r"maximum-prefix (\d+)"),
    ("import", r"route-map (\S+) in"),
    ("export", r"route-map (\S+) out"),
]
FAMILY = [
    ("redistribute", r"redistribute (?:direct|connected) route-map (\S+)"),
    ("static", r"redistribute static route-map (\S+)"),
    ("paths", r"maximum-paths (\d+)"),
    ("paths of iBGP", r"maximum-paths ibgp (\d+)"),
]
# What only one of the two needs, wants or shows. (Addresses and VRFs of interfaces are the kernel's, not FRR's.)
ONLY = re.compile(
    r"disable-peer-as-check|send-community|solo|timers connect|soft-reconfiguration|activate|bfd profile"
    r"|address-family "
)


def fields(kinds: list, texts: list[str]) -> dict:
    found = {}
    for text in texts:
        match = next(((name, match[1]) for name, pattern in kinds if (match := re.fullmatch(pattern, text))), None)
        assert match or ONLY.match(text), f"no field for {text!r}"
        if match:
            found[match[0]] = match[1].removesuffix(MARK)
    return found


def lists(lines: list[Line]) -> dict:
    """Prefix lists and route maps, which are written alike. The numbers of a route map's sequences may differ."""
    found = {"lists": [], "maps": {}}
    for line in lines:
        if " prefix-list " in line.text:
            found["lists"].append(line.text)
        elif match := re.fullmatch(r"route-map (\S+) (permit|deny) \d+", line.text):
            matches = [child.text for child in line.children if child.text.startswith("match ")]
            found["maps"].setdefault(match[1], []).append((match[2], *matches))
    found["lists"].sort()
    return found


def nxos(values: dict) -> dict:
    lines = parse(render("nxos/leaf.cfg", values))
    secrets = parse(render("nxos/secrets.cfg", values))
    found = {**lists(lines), "neighbors": {}, "families": {}, "interfaces": {}, "ids": set()}

    def bgp(line: Line, vrf: str | None, secret: Line | None) -> None:
        for child in line.children:
            hidden = next((other for other in secret.children if other.text == child.text), None) if secret else None
            if child.text.startswith("neighbor "):
                below = [text for one in child.children for text in (one.text, *(deep.text for deep in one.children))]
                family = next(text for text in below if text.startswith("address-family ")).split()[1]
                below += [one.text for one in hidden.children] if hidden else []
                found["neighbors"][(vrf, child.text.split()[1])] = {"family": family, **fields(NEIGHBOR, below)}
            elif child.text.startswith("vrf "):
                bgp(child, child.text.split()[1], hidden)
            elif child.text.startswith("address-family "):
                found["families"][(vrf, child.text.split()[1])] = fields(FAMILY, [one.text for one in child.children])
            elif child.text.startswith("router-id "):
                found["ids"].add(("bgp", vrf, child.text.split()[1]))
            elif child.text == "bestpath always-compare-med":
                found["ids"].add(("bgp", vrf, "always-compare-med"))

    for line in lines:
        if line.text.startswith("router bgp "):
            found["as"] = line.text.split()[2]
            bgp(line, None, next(iter(secrets), None))
        elif match := re.fullmatch(r"router (ospf|ospfv3) \S+", line.text):
            name = {"ospf": "ospf", "ospfv3": "ospf6"}[match[1]]
            for child in line.children:
                if child.text.startswith("vrf "):
                    found["ids"].add((name, child.text.split()[1], child.children[0].text.split()[1]))
                else:
                    found["ids"].add((name, None, child.text.split()[1]))
        elif line.text.startswith("interface "):
            texts = [child.text for child in line.children]
            # On NX-OS a loopback is passive without a word.
            loopback = line.text.startswith("interface loopback")
            areas = {
                word: {"area": text.split()[-1], "passive": f"{of} passive-interface" in texts or loopback}
                for word, of, start in (
                    ("ospf", "ip ospf", "ip router ospf "),
                    ("ospf6", "ospfv3", "ipv6 router ospfv3 "),
                )
                for text in texts
                if text.startswith(start)
            }
            if areas:
                found["interfaces"][line.text.split()[1]] = areas
    return found


def frr(values: dict) -> dict:
    lines = parse(render("frr/frr.conf", values))
    found = {**lists(lines), "neighbors": {}, "families": {}, "interfaces": {}, "ids": set()}
    for line in lines:
        match = re.fullmatch(
            r"(router bgp (?P<as>\d+)|router (?P<ospf>ospf6?)|interface (?P<name>\S+))( vrf (?P<vrf>\S+))?", line.text
        )
        if not match:
            continue
        texts = [child.text for child in line.children]
        if match["as"]:
            found["as"] = match["as"]
            frr_bgp(line, match["vrf"], found)
        elif match["ospf"]:
            (number,) = [text.split()[-1] for text in texts if " router-id " in text]
            found["ids"].add((match["ospf"], match["vrf"], number))
        else:
            areas = {
                word: {"area": text.split()[-1], "passive": f"{start} passive" in texts}
                for word, start in (("ospf", "ip ospf"), ("ospf6", "ipv6 ospf6"))
                for text in texts
                if text.startswith(f"{start} area ")
            }
            if areas:
                found["interfaces"][match["name"]] = areas
    return found


def frr_bgp(line: Line, vrf: str | None, found: dict) -> None:
    neighbors, family_of = {}, {}
    for child in line.children:
        if child.text.startswith("bgp router-id "):
            found["ids"].add(("bgp", vrf, child.text.split()[2]))
        if child.text == "bgp always-compare-med":
            found["ids"].add(("bgp", vrf, "always-compare-med"))
        if child.text.startswith("neighbor "):
            _word, address, text = child.text.split(maxsplit=2)
            neighbors.setdefault(address, []).append(text)
        if child.text.startswith("address-family "):
            family = child.text.split()[1]
            for deep in child.children:
                if deep.text.startswith("neighbor "):
                    _word, address, text = deep.text.split(maxsplit=2)
                    neighbors[address].append(text)
                    family_of[address] = family
            own = [deep.text for deep in child.children if not deep.text.startswith("neighbor ")]
            found["families"][(vrf, family)] = fields(FAMILY, own)
    for address, texts in neighbors.items():
        found["neighbors"][(vrf, address)] = {"family": family_of[address], **fields(NEIGHBOR, texts)}


def compared(values: dict) -> tuple[dict, dict]:
    ours, theirs = nxos(values), frr(values)
    # FRR is told the address of the interface that NX-OS is told the name of.
    addresses = {interface["name"]: interface["addresses"] for interface in values["leaf"]["interfaces"]}
    for (_vrf, address), neighbor in ours["neighbors"].items():
        if "source" in neighbor:
            same = [own for own in addresses[neighbor["source"]] if (":" in own) == (":" in address)]
            neighbor["source"] = same[0].split("/")[0]
    # FRR has address families without neighbours, too.
    for family in theirs["families"].keys() - ours["families"].keys():
        assert set(theirs["families"].pop(family)) <= {"paths", "paths of iBGP"}
    return ours, theirs


@pytest.mark.parametrize("leaf", LEAVES)
def test_both_texts_have_the_same_fields(leaf):
    values = values_of(leaf)
    ours, theirs = compared(values)
    assert len(ours["neighbors"]) == len(values["bgp"]["sessions"])
    assert {name.rpartition("-")[0] for name in ours["maps"]} == {one["name"] for one in values["bgp"]["policies"]}
    for part in ours.keys() | theirs.keys():
        assert ours[part] == theirs[part], part


KEYS = ("bgp", "ospf", "leaf")


@pytest.mark.parametrize("leaf", RESOLVED)
def test_one_word_makes_a_switch_of_a_leaf(leaf):
    """Nothing but the platform and the slashes in names tells the two apart."""
    there, here = ({key: values_of(leaf, platform)[key] for key in KEYS} for platform in ("nxos", "frr"))
    assert (there["bgp"].pop("daemon"), here["bgp"].pop("daemon")) == ("nxos", "frr")
    for interface in (*there["leaf"]["interfaces"], *there["ospf"]["interfaces"]):
        interface["name"] = interface["name"].replace("/", "-")
    for session in there["bgp"]["sessions"]:
        for key in ("update_source", "interface"):
            session[key] = session[key] and session[key].replace("/", "-")
    assert there == here


CHANGES = [
    lambda values: values["bgp"]["sessions"][0].update(neighbor_as=64999),
    lambda values: values["bgp"]["sessions"][0].update(maximum_prefix=5),
    lambda values: values["bgp"]["sessions"][0].update(password_key="leaves"),
    lambda values: values["bgp"]["sessions"][0].update(export_policy="LEAF-SUBNETS"),
    lambda values: values["bgp"]["sessions"][0].update(as_override=False),
    lambda values: values["bgp"]["sessions"][3].update(next_hop="self"),
    lambda values: values["bgp"]["sessions"][2].update(multihop=3),
    lambda values: values["bgp"]["timers"].update(hold_s=30),
    lambda values: values["bgp"]["sessions"].pop(),
    lambda values: values["bgp"]["redistribute"].pop(),
    lambda values: values["bgp"]["policies"][0]["permit"].pop(),
    lambda values: values["ospf"]["interfaces"][1].update(passive=False),
    lambda values: values["ospf"].update(area="0.0.0.1"),
    lambda values: values["ospf"].update(router_id="10.255.0.9"),
    lambda values: values["bgp"].update(router_id="10.255.0.9"),
    lambda values: values["bgp"].update(compare_med=True),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_change_is_seen_in_both_and_a_difference_is_told(number):
    """The comparison is not blind: what changes in the data changes what is compared, on both sides alike."""
    values = variables("leaf_full")
    other = copy.deepcopy(values)
    CHANGES[number](other)
    before, after = compared(values), compared(other)
    assert after[0] == after[1]
    assert before[0] != after[0] and before[1] != after[0]
