"""Lab nodes without a kernel: names and plans."""

from __future__ import annotations

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._lab.node import Node, name_mistakes, plan_nodes
from ansible_collections.routed.hypervisor.plugins.module_utils._lab.start import overlay_path


def node(name, pid=1, image="/new"):
    return Node(name, pid, image, "/owner")


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
    plan = plan_nodes("merged", [node("a"), node("other")], ["a", "b"], "/new")
    assert sentences(plan) == ["create b: it is not running"]
    assert [item["name"] for item in plan.after([node("a"), node("other")], "/new")] == ["a", "b", "other"]


def test_overridden_stops_unlisted_nodes():
    plan = plan_nodes("overridden", [node("a"), node("b")], ["a"], "/new")
    assert sentences(plan) == ["delete b: not listed"]


def test_a_node_on_another_image_is_replaced():
    plan = plan_nodes("merged", [node("a", image="/old")], ["a"], "/new")
    assert sentences(plan) == ["replace a: its image is /old, not /new"]
    (change,) = plan.changes("/new")
    assert (change.before, change.after) == ({"image": "/old"}, {"image": "/new"})
    assert plan.after([node("a", image="/old")], "/new") == [{"name": "a", "image": "/new"}]


def test_a_duplicate_node_is_stopped():
    plan = plan_nodes("merged", [node("a", 1), node("a", 2)], ["a"], "/new")
    assert [item.pid for item, _why in plan.stop] == [2] and plan.start == []


def test_deleted_means_all_if_nothing_is_listed():
    have = [node("a"), node("b")]
    assert len(plan_nodes("deleted", have, [], "").stop) == 2
    assert [item.name for item, _why in plan_nodes("deleted", have, ["b", "c"], "").stop] == ["b"]


def test_separators_of_overlay_options_are_escaped():
    assert overlay_path("/a,b:c\\d") == "/a\\,b\\:c\\\\d"
