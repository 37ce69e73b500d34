"""The text of NX-OS leaves, byte for byte, and its structure: what planted mistakes show."""

from __future__ import annotations

import copy
import os

import jinja2
import pytest
import yaml
from nxos_structure import mistakes
from test_templates import HERE, render, variables

LEAVES = ["leaf_contiv", "leaf_full"]
FILES = ["leaf.cfg", "secrets.cfg"]
FULL = "leaf_full"


def text_of(values: dict, file: str = "leaf.cfg") -> str:
    return render(f"nxos/{file}", values)


def changed(name: str, change) -> str:
    values = copy.deepcopy(variables(name))
    change(values["leaf"])
    return text_of(values)


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("file", FILES)
def test_the_text_is_the_same_as_ever(leaf, file):
    golden = HERE / "templates" / leaf / file
    text = text_of(variables(leaf), file)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
    managed = f"! Managed by Routed Hypervisor (templates/nxos/{file}.j2): changes made here are overwritten."
    assert text.splitlines()[0] == managed


@pytest.mark.parametrize("leaf", LEAVES)
def test_the_structure_is_right(leaf):
    assert mistakes(text_of(variables(leaf))) == []


def test_passwords_are_in_the_secrets_file_only():
    values = variables(FULL)
    for password in values["bgp_passwords"].values():
        assert password not in text_of(values)
        assert password in text_of(values, "secrets.cfg")


def test_a_variable_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        changed(FULL, lambda leaf: leaf["bgp"]["neighbors"][0].pop("address"))


PLANTED = yaml.safe_load((HERE / "data" / "nxos_planted.yml").read_text())


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted["told"])
def test_a_planted_mistake_is_seen(planted):
    text = (HERE / "templates" / FULL / "leaf.cfg").read_text()
    assert planted["right"] in text
    seen = mistakes(text.replace(planted["right"], planted["wrong"], 1))
    assert any(planted["told"] in mistake for mistake in seen), seen


def test_what_definitions_need_stands_above_them():
    text = text_of(variables(FULL))
    section = text[text.index("route-map CONTAINERS permit 10") : text.index("ip access-list")]
    assert any("is not defined above" in mistake for mistake in mistakes(text.replace(section, "") + section))


def test_only_what_a_policy_lists_is_announced():
    """No access list is behind a route map, and no route map permits what no list names."""
    for leaf in LEAVES:
        lines = text_of(variables(leaf)).splitlines()
        for place, line in enumerate(lines):
            if line.startswith("route-map ") and " permit " in line:
                assert " prefix-list " in lines[place + 1]
        assert not any(line.strip().startswith("redistribute") and "route-map" not in line for line in lines)


def test_a_policy_without_prefixes_denies():
    text = changed(FULL, lambda leaf: leaf["policies"][4].update(permit=[]))
    assert "route-map BLUE-SUBNETS deny 10\n" in text
    assert mistakes(text) == []


def test_a_leaf_without_ospf_has_no_process_of_it():
    def change(leaf):
        for interface in leaf["interfaces"]:
            interface["ospf"] = None

    text = changed("leaf_contiv", change)
    assert "ospf" not in text
    assert mistakes(text) == []


def test_a_second_address_does_not_take_the_place_of_the_first():
    text = changed("leaf_contiv", lambda leaf: leaf["interfaces"][0]["addresses"].append("50.1.2.2/24"))
    assert "  ip address 50.1.1.2/24\n  ip address 50.1.2.2/24 secondary\n" in text


def test_one_path_is_no_multipath():
    text = changed("leaf_contiv", lambda leaf: leaf["bgp"].update(maximum_paths=1))
    assert "multipath" not in text and "maximum-paths" not in text
    assert mistakes(text) == []
