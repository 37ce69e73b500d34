"""What drills break, whose packets show it, and what is counted as lost."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.modules import PROJECT
from support.report_samples import drilled

from ansible_collections.routed.hypervisor.plugins.module_utils._lab.drill import INTERVAL_S, losses
from ansible_collections.routed.hypervisor.plugins.plugin_utils.drills import model
from ansible_collections.routed.hypervisor.plugins.plugin_utils.drills import plan as drills
from ansible_collections.routed.hypervisor.plugins.plugin_utils.drills import results as drill_results
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import read
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.document import DocumentError
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.lab import LAB_HOST

SYSTEMD = ("reboot",)  # needs a node with it
FOLLOWED = ("kill_agent", "migrate")  # need guests that move, too


def lab(name: str, directory=PROJECT / "inventories") -> model.Lab:
    made = inventory(read(str(directory / name / "fabric.yml")), owner="/")
    facts = made.host_vars[LAB_HOST]["lab"]
    return model.Lab(made.host_vars, made.groups, facts["cables"], model.systemd_nodes(facts))


@pytest.fixture(scope="module")
def default() -> model.Lab:
    return lab("l3_hypervisor")


@pytest.fixture(scope="module")
def moving(tmp_path_factory) -> model.Lab:
    """Two hypervisors with systemd, one without, and a guest that belongs to none."""
    intent = yaml.safe_load((PROJECT / "inventories/l3_hypervisor/fabric.yml").read_text())
    intent["lab"] = {"nodes": {"hv1": {"init": "systemd"}, "hv2": {"init": "systemd"}}}
    intent["guests"] = {"web1": {"ipv4": "203.0.113.11", "mac": "52:54:00:12:34:01", "port": "tap-web1"}}
    directory = tmp_path_factory.mktemp("intents") / "l3_hypervisor"
    directory.mkdir()
    (directory / "fabric.yml").write_text(yaml.safe_dump(intent, sort_keys=False))
    return lab("l3_hypervisor", directory.parent)


@pytest.mark.parametrize("drill", [name for name in drills.DRILLS if name not in SYSTEMD + FOLLOWED])
def test_every_drill_of_the_default_lab_breaks_nodes_that_exist(default, drill):
    plan = drills.plan(model.Wanted(drill), default)
    assert {step["node"] for step in (*plan.steps, *plan.restore)} <= set(default.nodes)
    assert {pair["node"] for pair in plan.pairs} <= set(default.groups["guests"])


@pytest.mark.parametrize("drill", [one for one in drills.DRILLS if one not in ("stop_reflector", *SYSTEMD, *FOLLOWED)])
def test_every_other_drill_is_possible_with_leaves_and_containers(drill):
    found = lab("contiv_leaf_ha")
    plan = drills.plan(model.Wanted(drill), found)
    assert {pair["node"] for pair in plan.pairs} <= set(found.groups["hypervisors"])
    assert all(pair["namespace"] for pair in plan.pairs)


@pytest.mark.parametrize("drill", drills.DRILLS)
def test_every_drill_is_possible_with_systemd_and_guests_that_move(moving, drill):
    plan = drills.plan(model.Wanted(drill), moving)
    assert {step["node"] for step in (*plan.prepare, *plan.steps, *plan.restore, *plan.cleanup)} <= set(moving.nodes)
    assert plan.pairs


@pytest.mark.parametrize(("drill", "needs"), [("reboot", "systemd"), ("kill_agent", "guest"), ("migrate", "two times")])
def test_a_drill_that_the_lab_cannot_do_is_refused_with_what_it_needs(default, drill, needs):
    with pytest.raises(model.DrillMistake, match=f"has no node that the drill could be done with; it needs .*{needs}"):
        drills.plan(model.Wanted(drill), default)


def test_a_node_without_systemd_is_not_rebooted(moving):
    with pytest.raises(model.DrillMistake, match=r"cannot be done with the node hv3: .*it needs a node with systemd"):
        drills.plan(model.Wanted("reboot", "hv3"), moving)


def test_what_is_rebooted_sends_nothing_itself(default):
    """Containers of a node send from there: their programs end with it."""
    found = lab("contiv_leaf_ha")
    plan = drills.plan(model.Wanted("reboot"), model.Lab(found.nodes, found.groups, found.cables, {"host1"}))
    assert plan.steps == [{"node": "host1", "reboot": True}]
    assert plan.pairs and "host1" not in {pair["node"] for pair in plan.pairs}


def test_a_guest_is_paused_here_before_it_is_resumed_there(moving):
    plan = drills.plan(model.Wanted("migrate", "hv2"), moving)
    assert plan.title == "guest web1 moves from hv2 to hv1"
    assert [step["node"] for step in plan.steps] == ["hv2", "hv1", "hv2"]
    assert {pair["family"]: pair["to"] for pair in plan.pairs}["ipv4"] == "203.0.113.11"
    assert {step["node"] for step in plan.cleanup} == {"hv1", "hv2"}


def test_drills_restore_an_impairment_of_the_intent_and_are_refused_if_it_loses_packets(default):
    def impaired(effects):
        cables = [{**cable, "impair": effects} for cable in default.cables]
        return drills.plan(model.Wanted("silence_uplink"), model.Lab(default.nodes, default.groups, cables))

    for step in impaired({"delay_ms": 5}).restore:
        assert " ".join(step["command"]).endswith("root handle 52: netem delay 5ms loss 0%")
    with pytest.raises(model.DrillMistake, match="cables of this lab lose packets"):
        impaired({"loss_percent": 1})


def test_packets_may_be_lost_until_an_impairment_ends(default):
    plan = drills.plan(model.Wanted("impair", "hv2", "B"), default)
    assert not plan.is_calm
    assert plan.steps[-1]["wait_s"] > 0
    assert [step["command"][:3] for step in plan.restore] == [["tc", "qdisc", "del"]] * 2


def test_the_node_and_the_fabric_may_be_chosen(default):
    plan = drills.plan(model.Wanted("cut_uplink", "hv2", "B"), default)
    assert plan.title == "the uplink of hv2 to fabric B is cut"
    assert plan.steps == [{"node": "switch-B", "command": ["ip", "link", "set", "hv2", "down"], "wait_s": 0.0}]
    assert plan.restore == [{"node": "switch-B", "command": ["ip", "link", "set", "hv2", "up"], "wait_s": 0.0}]


def test_pairs_cross_the_fabrics_and_those_of_the_broken_node_come_first(default):
    plan = drills.plan(model.Wanted("cut_uplink", "hv3"), default)
    pairs = [(pair["family"], *sorted((pair["from"], pair["to_name"]))) for pair in plan.pairs]
    assert len(set(pairs)) == len(pairs) == 2 * drills.MOST_PAIRS
    assert ("ipv4", "vm1", "vm2") not in pairs  # both behind hv1
    assert all("vm4" in pair for pair in pairs)  # the only guest of hv3


@pytest.mark.parametrize(
    ("wanted", "right"),
    [
        (("cut_uplnk",), "did you mean cut_uplink?"),
        (("x",), "there are cut_uplink, "),
        (("cut_uplink", "hv9"), "did you mean hv"),
        (("cut_uplink", "hv1", "C"), "there are A, B"),
        (("cut_uplink", "vm1"), "cannot be done with the node vm1"),
        (("stop_reflector", "hv1"), "cannot be done with the reflector hv1"),
        (("",), "no drill is given: there are cut_uplink, "),
        (("lose_fabric", "hv1"), "breaks more than one node, not hv1 alone"),
        (("reload_all", "hv1"), "breaks more than one node, not hv1 alone"),
        (("reboot", "hv1", "A"), "not rehearsed on a single fabric such as A"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_would_be_right(default, wanted, right):
    with pytest.raises(model.DrillMistake) as refused:
        drills.plan(model.Wanted(*wanted), default)
    assert right in str(refused.value)


def test_a_lab_without_reflectors_cannot_stop_one():
    with pytest.raises(model.DrillMistake, match="has no reflector"):
        drills.plan(model.Wanted("stop_reflector"), lab("contiv_leaf_ha"))


@given(st.sets(st.integers(1, 200), min_size=2))
def test_what_is_between_two_answers_is_lost(numbers):
    answered = {number: number * INTERVAL_S for number in numbers}
    found = losses(answered, 200, 0)
    assert found["lost"] == max(numbers) - min(numbers) + 1 - len(numbers)
    assert found["lost"] == sum(gap["lost"] for gap in found["gaps"])
    assert all(abs(gap["to_ms"] - gap["from_ms"] - 20 * (gap["lost"] + 1)) <= 1 for gap in found["gaps"])
    assert found["longest_ms"] == max((gap["to_ms"] - gap["from_ms"] for gap in found["gaps"]), default=0)


def test_a_later_result_replaces_that_of_the_same_drill(tmp_path):
    path = tmp_path / "drills.json"
    for title, bfd in (("a", 1), ("b", 2), ("a", 3)):
        drill_results.add(path, "lab", drilled(title, [[(0, 100, 4)]], bfd_ms=bfd))
    assert [one["bfd_ms"] for one in drill_results.read(path, "lab")] == [2, 3]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be read"),
        ("[]", "has no format number"),
        (json.dumps({"format": 2, "fabric": "lab", "drills": []}), "this version reads up to 1"),
        (json.dumps({"format": 1, "fabric": "lab", "drills": {}}), "has no list of drills"),
        (json.dumps({"format": 1, "fabric": "other", "drills": []}), "has the drills of 'other', not of lab"),
    ],
)
def test_a_file_that_is_not_of_this_lab_is_not_replaced(tmp_path, text, reason):
    path = tmp_path / "drills.json"
    path.write_text(text)
    with pytest.raises(DocumentError, match=reason):
        drill_results.add(path, "lab", {"title": "a"})
    assert path.read_text() == text


WHOLE = drilled("a", [[(0, 100, 4)], [(0, 80, 3)]])
RUN = WHOLE["runs"][0]
PAIR = RUN["pairs"][0]


@pytest.mark.parametrize(
    "broken",
    [
        "a",
        {**WHOLE, "title": None},
        {**WHOLE, "budget_ms": "2000"},
        {**WHOLE, "runs": []},
        {**WHOLE, "runs": [{**RUN, "pairs": []}]},
        {**WHOLE, "runs": [RUN, {**RUN, "pairs": RUN["pairs"][1:]}]},
        {**WHOLE, "runs": [{**RUN, "ended_ms": 10**400}]},
        {**WHOLE, "runs": [{**RUN, "pairs": [{**PAIR, "gaps": [{"from_ms": 0, "to_ms": True, "lost": 1}]}]}]},
        {key: value for key, value in WHOLE.items() if key != "runs"},
    ],
)
def test_an_incomplete_drill_is_refused_with_its_place(tmp_path, broken):
    path = tmp_path / "drills.json"
    path.write_text(json.dumps({"format": 1, "fabric": "lab", "drills": [WHOLE, broken]}))
    with pytest.raises(DocumentError, match=r"has no complete drill at drills\[1\]; remove it") as refused:
        drill_results.read(path, "lab")
    assert "\n" not in str(refused.value)
