"""Cables without a kernel: mistakes and plans."""

from __future__ import annotations

from ansible_collections.routed.hypervisor.plugins.module_utils._lab.cable import (
    Cable,
    End,
    Impairment,
    Observed,
    after,
    cable_from,
    cable_mistakes,
    plan_cables,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import IFF_UP, Link


def cable(a, b, mtu=1500, mac=None):
    return Cable(End(*a.split(":"), mac), End(*b.split(":")), mtu)


def link(name, mac="02:00:00:00:00:09", mtu=1500):
    return Link(2, name, "veth", mac=mac, mtu=mtu, flags=IFF_UP, peer=2, peer_network=0)


def observed(*cables, loose=(), foreign=()):
    links = {}
    for end in [end for item in cables for end in item.ends] + list(loose) + list(foreign):
        links.setdefault(end.node, {})[end.interface] = link(end.interface)
    return Observed(links, list(cables), list(loose))


def changes(state, seen, *want):
    plan, mistakes = plan_cables(state, seen, want)
    assert mistakes == []
    return [f"{change.op} {change.name}" for change in plan.changes()]


def test_an_existing_cable_is_left_alone_whichever_end_is_named_first():
    assert changes("overridden", observed(cable("a:x", "b:y", 1500)), cable("b:y", "a:x")) == []


def test_a_missing_cable_is_plugged():
    assert changes("merged", observed(), cable("a:x", "b:y")) == ["create a:x - b:y"]


def test_merged_leaves_other_cables_and_overridden_removes_them():
    seen = observed(cable("a:x", "b:y", 1500), loose=[End("c", "z")])
    assert changes("merged", seen) == []
    assert changes("overridden", seen) == ["delete a:x - b:y", "delete c:z"]


def test_a_cable_replugged_elsewhere_is_removed_first():
    seen = observed(cable("a:x", "b:y", 1500))
    assert changes("merged", seen, cable("a:x", "c:z")) == ["delete a:x - b:y", "create a:x - c:z"]


def test_a_loose_end_is_replaced_by_a_complete_cable():
    seen = observed(loose=[End("b", "y")])
    assert changes("merged", seen, cable("a:x", "b:y")) == ["delete b:y", "create a:x - b:y"]


def test_a_name_taken_by_another_interface_is_refused():
    _plan, mistakes = plan_cables("merged", observed(foreign=[End("b", "y")]), [cable("a:x", "b:y")])
    assert mistakes == ["b:y already exists and is not a cable of this lab: remove or rename it"]


def test_drift_of_mac_and_mtu_is_repaired_only_if_they_are_given():
    seen = observed(cable("a:x", "b:y", 1500))
    want = cable("a:x", "b:y", 9000, "02:00:00:00:00:01")
    plan, _mistakes = plan_cables("merged", seen, [want])
    (change,) = plan.changes()
    assert (change.op, change.name) == ("change", "a:x - b:y")
    assert change.before == {"a:x mac": "02:00:00:00:00:09", "a:x mtu": 1500, "b:y mtu": 1500}
    assert change.after == {"a:x mac": "02:00:00:00:00:01", "a:x mtu": 9000, "b:y mtu": 9000}
    assert after(seen, plan, [want]) == [
        {
            "a": {"node": "a", "interface": "x", "mac": "02:00:00:00:00:01"},
            "b": {"node": "b", "interface": "y"},
            "mtu": 9000,
        }
    ]


SLOW, LOSSY = Impairment(20), Impairment(20, 1)


def impaired(a, b, impairment):
    return cable_from({**cable(a, b).as_dict(), "impair": impairment.as_dict()})


def test_an_impairment_is_made_changed_and_ended_at_both_ends():
    for before, wanted in ((Impairment(), SLOW), (SLOW, LOSSY), (LOSSY, Impairment())):
        seen = observed(impaired("a:x", "b:y", before))
        if before:
            seen.impaired.update({("a", "x"): before, ("b", "y"): before})
        want = impaired("a:x", "b:y", wanted)
        plan, _mistakes = plan_cables("merged", seen, [want])
        (change,) = plan.changes()
        assert change.before == {"a:x impair": before.as_dict(), "b:y impair": before.as_dict()}
        assert change.after == {"a:x impair": wanted.as_dict(), "b:y impair": wanted.as_dict()}
        assert after(seen, plan, [want]) == [want.as_dict()]
        seen = observed(want)
        seen.impaired.update({("a", "x"): wanted, ("b", "y"): wanted})
        assert changes("merged", seen, want) == []


def test_an_end_that_is_not_impaired_any_more_is_impaired_again():
    seen = observed(impaired("a:x", "b:y", Impairment()))
    seen.impaired["a", "x"] = SLOW
    plan, _mistakes = plan_cables("merged", seen, [impaired("a:x", "b:y", SLOW)])
    assert [change.after for change in plan.changes()] == [{"b:y impair": {"delay_ms": 20}}]


def test_an_impairment_is_the_same_after_the_kernel_had_it():
    for percent in range(101):
        for delay in (0, 1, 10_000):
            assert Impairment.of_netem(*Impairment(delay, percent).netem) == Impairment(delay, percent)


def test_impossible_impairments_are_mistakes():
    items = [{**cable("a:x", "b:y").as_dict(), "impair": {"delay_ms": -1, "loss_percent": 101}}]
    assert cable_mistakes([cable_from(item) for item in items]) == [
        "config[0].impair.delay_ms: -1 is not between 0 and 10000",
        "config[0].impair.loss_percent: 101 is not between 0 and 100",
    ]


def test_deleted_means_all_if_nothing_is_listed():
    seen = observed(cable("a:x", "b:y", 1500), cable("a:v", "b:w", 1500), loose=[End("c", "z")])
    assert len(changes("deleted", seen)) == 3
    assert changes("deleted", seen, cable("b:w", "a:v"), cable("a:no", "b:no")) == ["delete a:v - b:w"]


def test_all_mistakes_are_reported_together_each_with_its_place():
    items = [
        {"a": {"node": "a", "interface": "x" * 16}, "b": {"node": "b", "interface": "lo"}},
        {"a": {"node": "a", "interface": "x", "mac": "01:00:00:00:00:01"}, "b": {"node": "a", "interface": "x"}},
        {"a": {"node": "c", "interface": "x"}, "b": {"node": "c", "interface": "y"}, "mtu": 60},
    ]
    places = [text.split(": ")[0] for text in cable_mistakes([cable_from(item) for item in items])]
    assert places == [
        "config[0].a.interface",
        "config[0].b.interface",
        "config[1].a.mac",
        "config[1].b",
        "config[2].mtu",
    ]
