"""Cables between lab nodes on this machine's kernel (root; veth)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.waiting import until

from ansible_collections.routed.hypervisor.plugins.module_utils._lab.cable import Cable, End, Plan
from ansible_collections.routed.hypervisor.plugins.module_utils._lab.node import gather_nodes
from ansible_collections.routed.hypervisor.plugins.module_utils._lab.plug import Networks


def cable(a, b, mtu=1500, mac=None):
    """A cable from "node:interface" to "node:interface"; mac is that of the first end."""
    ends = [dict(zip(("node", "interface"), end.split(":"), strict=True)) for end in (a, b)]
    if mac:
        ends[0]["mac"] = mac
    return {"a": ends[0], "b": ends[1], "mtu": mtu}


def shown(result):
    return [f"{change['op']} {change['name']}" for change in result["changes"]]


def reaches(lab, a, interface_a, b, interface_b):
    """Whether a frame sent on one interface arrives at the other: by IPv6 link-local addresses, no set-up needed."""

    def usable(node, interface):
        links = lab.ip(node, "-6", "addr", "show", "dev", interface, "scope", "link", "-tentative")
        return [address["local"] for link in links for address in link.get("addr_info", [])]

    until(lambda: usable(a, interface_a), what=f"{a}:{interface_a} has an address")
    (address,) = until(lambda: usable(b, interface_b), what=f"{b}:{interface_b} has an address")
    target = f"{address}%{interface_a}"
    return lab.enter(a, "ping", "-6", "-c", "1", "-i", "0.2", "-w", "5", target).returncode == 0


@pytest.fixture
def pair(lab):
    lab.nodes("n1", "n2", "n3")
    return lab


def test_a_cable_connects_two_nodes(pair):
    result = pair.cables(cable("n1:to-n2", "n2:to-n1"))
    assert shown(result) == ["create n1:to-n2 - n2:to-n1"]
    one, two = pair.links("n1")["to-n2"], pair.links("n2")["to-n1"]
    assert "UP" in one["flags"] and "UP" in two["flags"]
    assert one["linkinfo"]["info_kind"] == "veth" and one["link_index"] == two["ifindex"]
    assert one["ifalias"].startswith(f"routed.hypervisor:{pair.name}")
    assert reaches(pair, "n1", "to-n2", "n2", "to-n1")


def test_a_second_run_changes_nothing_even_with_the_ends_named_the_other_way_round(pair):
    pair.cables(cable("n1:x", "n2:y"), cable("n1:v", "n3:w"))
    assert not pair.cables(cable("n2:y", "n1:x"), cable("n1:v", "n3:w"), state="overridden")["changed"]


def test_a_cable_from_a_node_to_itself(pair):
    pair.cables(cable("n1:x", "n1:y"))
    assert pair.links("n1")["x"]["link"] == "y"
    assert not pair.cables(cable("n1:x", "n1:y"), state="overridden")["changed"]


def test_mac_and_mtu_are_set_and_kept(pair):
    wanted = cable("n1:x", "n2:y", mtu=9000, mac="02:00:00:00:00:01")
    pair.cables(wanted)
    assert pair.links("n1")["x"]["address"] == "02:00:00:00:00:01"
    assert {pair.links("n1")["x"]["mtu"], pair.links("n2")["y"]["mtu"]} == {9000}
    index = pair.links("n1")["x"]["ifindex"]
    pair.ip("n1", "link", "set", "x", "address", "02:00:00:00:00:02")
    pair.ip("n2", "link", "set", "y", "mtu", "1400")
    predicted = pair.cables(wanted, _check=True)
    done = pair.cables(wanted)
    assert predicted["changes"] == done["changes"] and predicted["after"] == done["after"] and len(done["changes"]) == 1
    assert pair.links("n1")["x"]["address"] == "02:00:00:00:00:01" and pair.links("n2")["y"]["mtu"] == 9000
    assert pair.links("n1")["x"]["ifindex"] == index
    assert not pair.cables(wanted)["changed"]


def test_an_mtu_that_was_not_given_is_put_back_too(pair):
    wanted = cable("n1:x", "n2:y")
    del wanted["mtu"]
    pair.cables(wanted)
    pair.ip("n2", "link", "set", "y", "mtu", "1000")
    predicted = pair.cables(wanted, _check=True)["changes"]
    assert pair.cables(wanted)["changes"] == predicted
    assert [change["after"] for change in predicted] == [{"n2:y mtu": 1500}]
    assert pair.links("n2")["y"]["mtu"] == 1500
    assert not pair.cables(wanted)["changed"]


def test_check_mode_tells_what_a_run_does_and_does_nothing(pair):
    wanted = [cable("n1:x", "n2:y"), cable("n2:v", "n3:w", mtu=1400)]
    predicted = pair.cables(*wanted, _check=True, _diff=True)
    assert pair.links("n1") == {}
    done = pair.cables(*wanted, _diff=True)
    for key in ("before", "after", "changes", "changed", "diff"):
        assert predicted[key] == done[key]
    assert pair.cables(_check=True)["before"] == done["after"]


def test_check_mode_before_the_nodes_are_up_tells_the_same(lab):
    predicted = lab.cables(cable("n1:x", "n2:y"), _check=True)
    assert (shown(predicted), predicted["new"]) == (["create n1:x - n2:y"], {"n1": ["x"], "n2": ["y"]})


def test_nodes_that_are_not_up_are_named(pair):
    result = pair.cables(cable("n1:x", "n8:y"), cable("n9:x", "n2:y"))
    assert [line.split(" of ")[0] for line in result["msg"].splitlines()] == ["node n8", "node n9"]
    assert pair.links("n1") == {}


def test_overridden_removes_cables_that_are_not_listed(pair):
    pair.cables(cable("n1:x", "n2:y"), cable("n1:v", "n3:w"), cable("n2:p", "n3:q"))
    pair.ip("n1", "link", "add", "own", "type", "bridge")
    result = pair.cables(cable("n1:x", "n2:y"), state="overridden")
    assert shown(result) == ["delete n1:v - n3:w", "delete n2:p - n3:q"]
    assert sorted(pair.links("n1")) == ["own", "x"]
    assert (list(pair.links("n2")), list(pair.links("n3"))) == (["y"], [])


def test_deleted_twice(pair):
    pair.cables(cable("n1:x", "n2:y"), cable("n1:v", "n3:w"))
    assert shown(pair.cables(cable("n3:w", "n1:v"), state="deleted")) == ["delete n1:v - n3:w"]
    assert shown(pair.cables(state="deleted")) == ["delete n1:x - n2:y"]
    assert not pair.cables(state="deleted")["changed"]
    assert pair.links("n1") == pair.links("n2") == {}


def test_a_cable_is_replugged_to_another_node(pair):
    pair.cables(cable("n1:x", "n2:y"))
    pair.cables(cable("n1:x", "n3:y"))
    assert pair.links("n2") == {}
    assert reaches(pair, "n1", "x", "n3", "y")


def test_ends_swapped_between_two_cables_are_seen_though_all_index_numbers_are_alike(pair):
    pair.nodes("n4")
    pair.cables(cable("n1:x", "n2:x"), cable("n3:x", "n4:x"))
    assert pair.links("n1")["x"]["ifindex"] == pair.links("n3")["x"]["ifindex"]
    pair.cables(cable("n1:x", "n4:x"), cable("n3:x", "n2:x"))
    assert reaches(pair, "n1", "x", "n4", "x") and reaches(pair, "n3", "x", "n2", "x")


def test_a_forged_alias_does_not_make_a_cable(pair):
    pair.nodes("n4")
    pair.cables(cable("n1:x", "n2:x"), cable("n3:x", "n4:x"))
    for node, peer in (("n1", "n4"), ("n4", "n1")):
        pair.ip(node, "link", "set", "x", "alias", f"routed.hypervisor:{pair.name} to {peer}:x")
    assert pair.cables(cable("n1:x", "n4:x"))["changed"]
    assert reaches(pair, "n1", "x", "n4", "x")


def test_a_renamed_end_is_a_cable_made_anew(pair):
    pair.cables(cable("n1:x", "n2:y"))
    for arguments in (("x", "down"), ("x", "name", "z")):
        pair.ip("n1", "link", "set", *arguments)
    assert shown(pair.cables(cable("n1:x", "n2:y"))) == ["delete n2:y", "create n1:x - n2:y"]
    assert list(pair.links("n1")) == ["x"]
    assert reaches(pair, "n1", "x", "n2", "y")


def test_a_deleted_cable_and_one_whose_node_was_replaced_come_back(pair):
    wanted = [cable("n1:x", "n2:y"), cable("n2:v", "n3:w")]
    pair.cables(*wanted)
    pair.ip("n1", "link", "del", "x")
    pair.nodes("n3", state="deleted")
    pair.nodes("n3")
    # The old end in n2 may be on its way out or not: both must do.
    result = pair.cables(*wanted)
    assert not result.get("failed") and shown(result)[-2:] == ["create n1:x - n2:y", "create n2:v - n3:w"]
    assert reaches(pair, "n1", "x", "n2", "y") and reaches(pair, "n2", "v", "n3", "w")


def test_an_end_without_an_alias_is_what_a_killed_run_left_and_is_made_anew(pair):
    pair.cables(cable("n1:x", "n2:y"))
    pair.ip("n1", "link", "set", "x", "alias", "")
    pair.ip("n2", "link", "set", "y", "alias", "")
    assert pair.cables(cable("n1:x", "n2:y"))["changed"]
    assert not pair.cables(cable("n1:x", "n2:y"))["changed"]


def test_killed_runs_are_completed(pair):
    names = [f"m{number}" for number in range(20)]
    pair.nodes(*names)
    wanted = [cable(f"{a}:right", f"{b}:left") for a, b in zip(names, names[1:] + names[:1], strict=True)]
    processes = [pid for pids in pair.processes().values() for pid in pids]

    def lines(table):
        """How many lines about other interfaces than `lo` the nodes have in /proc/net/TABLE."""
        texts = [Path(f"/proc/{pid}/net/{table}").read_text() for pid in processes]
        return sum(("left" in line) + ("right" in line) for text in texts for line in text.splitlines())

    # dev lists all interfaces, if_inet6 those that are up on both sides: ends are made, then marked and set up.
    for table, moment in (("dev", 0), ("dev", 1), ("if_inet6", 1), ("if_inet6", 20), ("if_inet6", 39)):
        process = pair.run_module.start("lab_cables", lab=pair.name, config=wanted, state="merged")
        while process.poll() is None and lines(table) < moment:
            pass
        process.kill()
        process.communicate()
        result = pair.cables(*wanted)
        assert not result.get("failed"), result["msg"]
        assert not pair.cables(*wanted, state="overridden")["changed"]
        pair.cables(state="deleted")
        assert lines("dev") == 0


def test_an_interface_of_someone_else_is_refused_and_nothing_is_done(pair):
    pair.ip("n2", "link", "add", "y", "type", "veth", "peer", "name", "z")
    pair.ip("n3", "link", "add", "w", "type", "bridge")
    result = pair.cables(cable("n1:x", "n2:y"), cable("n1:v", "n3:w"), cable("n1:fine", "n2:fine"))
    assert result["msg"].splitlines() == [
        "n2:y already exists and is not a cable of this lab: remove or rename it",
        "n3:w already exists and is not a cable of this lab: remove or rename it",
    ]
    assert pair.links("n1") == {}
    assert sorted(pair.links("n2")) == ["y", "z"]


def test_what_is_done_to_an_end_later_is_left_alone(pair):
    pair.cables(cable("n1:x", "n2:y"))
    pair.ip("n1", "link", "add", "br0", "type", "bridge")
    pair.ip("n1", "link", "set", "x", "master", "br0")
    pair.ip("n2", "link", "set", "y", "down")
    assert not pair.cables(cable("n1:x", "n2:y"), state="overridden")["changed"]
    assert "UP" not in pair.links("n2")["y"]["flags"]


def test_the_machines_own_links_are_not_touched(pair):
    own = subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=False).stdout
    pair.cables(cable("n1:x", "n2:y"))
    pair.cables(state="deleted")
    assert subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=False).stdout == own


def test_what_the_kernel_refuses_comes_back_with_its_words_and_the_rest_is_done(pair):
    refused = Cable(End("n1", "x"), End("n2", "y" * 16))
    with Networks(pair.name, gather_nodes(pair.name)) as networks:
        failures = networks.carry_out(Plan(create=[refused, Cable(End("n1", "v"), End("n3", "w"))]))
    (said,) = failures
    assert said.startswith(f"cannot plug cable {refused}: ") and len(said) > len(f"cannot plug cable {refused}: ")
    assert list(pair.links("n1")) == ["v"]
