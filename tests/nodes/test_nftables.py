"""Module nftables on this machine's kernel, in a node of its own, with the table of a hypervisor of the default lab."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jinja2
import pytest
from support.lab_nodes import Node

PROJECT = Path(__file__).resolve().parents[2]
NAME = "routed_hypervisor"
OTHERS = "table inet others {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n"


def text(change=lambda nftables: None) -> str:
    values = json.loads((PROJECT / "tests/golden/l3_hypervisor/hv1.json").read_text())
    change(values["nftables"])
    template = (PROJECT / "templates/nftables/nftables.conf.j2").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    return environment.from_string(template).render(values)


@pytest.fixture(scope="module")
def node(run_module_once, lab_image):
    if os.geteuid() != 0:
        pytest.skip("lab nodes need root")
    with Node(run_module_once, lab_image) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_is_left(node):
    node.run("nft", "flush", "ruleset")


def table(node, **args) -> dict:
    return node.module("nftables", **{"table": NAME, **({} if "text" in args else {"text": text()}), **args})


def listed(node) -> str:
    return node.run("nft", "--stateless", "list", "ruleset")


def test_a_second_run_changes_nothing_and_check_mode_tells_what_the_first_does(node):
    told = table(node, _check=True)
    assert told["changed"], told
    assert [(change["op"], change["name"]) for change in told["changes"]] == [("create", f"inet {NAME}")]
    assert listed(node) == ""
    done = table(node)
    assert done["changed"], done
    assert told["diff"] == done["diff"] and told["changes"] == done["changes"]
    assert done["diff"]["after"] == listed(node)
    assert not table(node)["changed"]
    assert not table(node, _check=True)["changed"]


@pytest.mark.parametrize(
    "drift",
    [
        ["delete", "table", "inet", NAME],
        ["flush", "chain", "inet", NAME, "input"],
        ["insert", "rule", "inet", NAME, "input", "accept"],
        ["delete", "element", "inet", NAME, "sources_ipv4", '{ "vm1" . 203.0.113.1 }'],
        ["add", "element", "inet", NAME, "gateways_ipv4", "{ 198.51.100.101 }"],
        ["add", "chain", "inet", NAME, "input", "{ policy drop; }"],
    ],
    ids=lambda words: " ".join(words[:2] + words[4:5]),
)
def test_what_somebody_changes_by_hand_is_noticed_and_put_right(node, drift):
    table(node)
    before = listed(node)
    node.run("nft", *drift)
    assert listed(node) != before
    assert table(node, _check=True)["changed"]
    op = "create" if drift[:2] == ["delete", "table"] else "replace"
    assert [change["op"] for change in table(node)["changes"]] == [op]
    assert listed(node) == before


def test_counting_is_no_difference(node):
    table(node)
    node.run("nft", "add", "rule", "inet", NAME, "check_source", "counter")
    assert table(node)["changed"]
    node.run("ping", "-c", "1", "127.0.0.1", fails=True)
    assert not table(node)["changed"]


def test_other_tables_are_never_touched(node):
    node.run("nft", "--file", "-", text=OTHERS)
    table(node)
    assert OTHERS in listed(node)
    table(node, text=text(lambda nftables: nftables["ports"].pop()))
    table(node, text=None, state="absent")
    assert listed(node) == OTHERS
    assert not table(node, text=None, state="absent")["changed"]


def test_a_table_that_changes_is_replaced_as_a_whole(node):
    table(node)
    assert table(node, text=text(lambda nftables: nftables["ports"].pop()))["changed"]
    assert "vm2" not in listed(node).partition("set guest_ports")[2].partition("}\n")[0]
    assert listed(node).count("chain input {") == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (text() + "planted mistake\n", "syntax error"),
        (text().replace("jump check_source", "jump nowhere"), "nft refuses the text"),
        (text() + "add table ip mine\n", "has other tables than inet routed_hypervisor: ip mine"),
        (text().replace("Managed by", "Written by"), "the first line of the text"),
    ],
    ids=["syntax", "a chain that is not there", "another table", "no mark"],
)
def test_a_bad_text_is_refused_and_the_table_in_force_stays(node, wrong, said):
    table(node)
    before = listed(node)
    for check in (True, False):
        result = table(node, _check=check, text=wrong)
        assert result["failed"] and said in result["msg"], result
    assert listed(node) == before


def test_a_kernel_without_these_tables_is_an_error_unless_the_table_may_be_left_out(node):
    # What such a kernel answers, from an nft that goes before the real one.
    node.run("mkdir", "-p", "/usr/local/sbin")
    node.write(
        "/usr/local/sbin/nft", "#!/bin/sh\necho 'Error: Could not process rule: Operation not supported' >&2\nexit 1\n"
    )
    node.run("chmod", "+x", "/usr/local/sbin/nft")
    try:
        refused, left_out = table(node), table(node, required=False)
    finally:
        node.run("rm", "/usr/local/sbin/nft")
    assert "this kernel has no nftables of family inet" in refused["msg"]
    assert not left_out["changed"] and "Operation not supported" in left_out["left_out"]
    assert any("is omitted" in str(warning) for warning in left_out["warnings"])


def follows(nftables):
    nftables["follows_guests"] = True


ELEMENTS = {
    "followed_ports": '"tap7"',
    "followed_vrf_ports": '"tap7"',
    "followed_vrfs": '"public" . "tap7"',
    "followed_sources_ipv4": '"tap7" . 203.0.113.11',
    "followed_sources_ipv6": '"tap7" . 2001:db8:cb00:7100::b',
}


def test_what_the_agent_adds_is_no_difference_and_stays_when_the_table_is_loaded(node):
    assert table(node, text=text(follows))["changed"]
    for name, element in ELEMENTS.items():
        node.run("nft", "add", "element", "inet", NAME, name, f"{{ {element} }}")
    assert not table(node, text=text(follows))["changed"]
    node.run("nft", "add", "rule", "inet", NAME, "input", "accept")
    assert table(node, text=text(follows))["changed"]
    for name, element in ELEMENTS.items():
        assert element in node.run("nft", "list", "set", "inet", NAME, name)
    assert not table(node, text=text(follows))["changed"]
    # Without guests to follow, the table has no such sets.
    assert table(node)["changed"]
    assert "followed" not in listed(node)
