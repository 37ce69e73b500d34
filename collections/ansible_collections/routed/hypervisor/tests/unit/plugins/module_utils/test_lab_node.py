"""Lab nodes without a kernel: names and plans."""

from __future__ import annotations

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._lab.node import (
    Node,
    name_mistakes,
    plan_nodes,
    reboot_mistakes,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._lab.start import overlay_path


def node(name, pid=1, image="/new", **more):
    return Node(name, pid, image, "/owner", **more)


def system(name, pid=1):
    return node(name, pid, init="systemd", chassis=100)


def planned(state, have, names, image):
    return plan_nodes(state, have, dict.fromkeys(names, "minimal"), image)


def test_valid_names_are_accepted():
    assert name_mistakes("l3_hypervisor-2", ["hv1", "switch-A", "x" * 63]) == []


def test_all_mistakes_in_names_are_reported_together_each_with_its_place():
    mistakes = name_mistakes("a b", ["hv1", "h/v", "hv1", "", "x" * 64, "-a"])
    assert [text.split(":")[0] for text in mistakes] == [
        "lab",
        "config[1].name",
        "config[2].name",
        "config[3].name",
        "config[4].name",
        "config[5].name",
    ]
    assert "also the name of config[0]" in mistakes[2]


@pytest.mark.parametrize("name", ["../x", "a:b", "a b", "a\n", "é"])
def test_a_name_cannot_leave_its_directory_or_its_mark(name):
    assert name_mistakes("lab", [name]) and name_mistakes(name, [])


def sentences(plan):
    return [f"{change.op} {change.name}: {change.why}" for change in plan.changes("/new")]


def test_merged_starts_missing_nodes_and_leaves_the_others():
    plan = planned("merged", [node("a"), node("other")], ["a", "b"], "/new")
    assert sentences(plan) == ["create b: it is not running"]
    assert [item["name"] for item in plan.after([node("a"), node("other")], "/new")] == ["a", "b", "other"]


def test_overridden_stops_unlisted_nodes():
    plan = planned("overridden", [node("a"), node("b")], ["a"], "/new")
    assert sentences(plan) == ["delete b: not listed"]


def test_a_node_on_another_image_is_replaced():
    plan = planned("merged", [node("a", image="/old")], ["a"], "/new")
    assert sentences(plan) == ["replace a: its image is /old, not /new"]
    (change,) = plan.changes("/new")
    assert (change.before, change.after) == ({"image": "/old"}, {"image": "/new"})
    assert plan.after([node("a", image="/old")], "/new") == [{"name": "a", "image": "/new", "init": "minimal"}]


def test_a_duplicate_node_is_stopped():
    plan = planned("merged", [node("a", 1), node("a", 2)], ["a"], "/new")
    assert [item.pid for item, _why in plan.stop] == [2] and plan.start == []


def test_deleted_means_all_if_nothing_is_listed():
    have = [node("a"), node("b")]
    assert len(planned("deleted", have, [], "").stop) == 2
    assert [item.name for item, _why in planned("deleted", have, ["b", "c"], "").stop] == ["b"]


def test_a_node_with_another_init_is_replaced():
    plan = plan_nodes("merged", [node("a")], {"a": "systemd"}, "/new")
    assert sentences(plan) == ["replace a: its init is minimal, not systemd"]
    (change,) = plan.changes("/new")
    assert (change.before, change.after) == ({"init": "minimal"}, {"init": "systemd"})
    assert plan.after([node("a")], "/new") == [{"name": "a", "image": "/new", "init": "systemd"}]


def test_a_node_that_is_off_is_booted_and_stays_the_same_node():
    have = [system("a", 0)]
    plan = plan_nodes("merged", have, {"a": "systemd"}, "/new")
    assert sentences(plan) == ["start a: its systemd has ended"]
    assert plan.after(have, "/new") == [{"name": "a", "image": "/new", "init": "systemd"}]
    assert sentences(plan_nodes("rebooted", have, {"a": "minimal"}, "")) == ["start a: to be rebooted"]


def test_only_listed_nodes_are_rebooted():
    plan = plan_nodes("rebooted", [system("a"), system("b")], {"b": "minimal"}, "")
    assert sentences(plan) == ["reboot b: to be rebooted"]
    assert plan.stop == [] and plan.start == []


def test_a_node_without_systemd_is_not_rebooted_and_the_remedy_is_named():
    have = [node("a"), system("b")]
    assert reboot_mistakes(have, ["b"]) == []
    no_systemd, absent = reboot_mistakes(have, ["a", "c"])
    assert "does not run systemd: set lab.nodes.a.init to systemd" in no_systemd
    assert absent == "node c is not up: bring the lab up first"
    assert reboot_mistakes([system("hv1")], ["hv9"]) == ["node hv9 is not up: did you mean hv1?"]
    assert reboot_mistakes(have, []) == ["config: name the nodes to reboot"]


def test_separators_of_overlay_options_are_escaped():
    assert overlay_path("/a,b:c\\d") == "/a\\,b\\:c\\\\d"
