"""The plan: what changes in each state, and what is never touched. No kernel."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.routed.hypervisor.plugins.module_utils._engine.change import Item
from ansible_collections.routed.hypervisor.plugins.module_utils._engine.kind import Kind
from ansible_collections.routed.hypervisor.plugins.module_utils._engine.plan import Refused, plan


class Boxes(Kind):
    name = "boxes"
    noun = "box"
    lists = ("members",)
    immutable = ("wood",)

    def defaults(self, want, have):
        return {"color": "white"}


KIND = Boxes()


def box(key, owned=False, marked=(), **attributes):
    full = {"color": "white", "wood": "oak", "members": {}, **attributes}
    return Item(key, key, full, owned=owned, marked={"members": set(marked)})


def want_box(key, creates=True, **attributes):
    return Item(key, key, attributes, creates=creates, place=f"boxes[{key}]")


def carry_out(have, changes):
    """The state in which a faithful kernel would be after the changes."""
    after = copy.deepcopy(have)
    for change in changes:
        if change.want is None:
            del after[change.have.key]
            continue
        old = have.get(change.want.key)
        attributes = {"color": "white", "wood": "oak", "members": {}, **change.want.attributes}
        marked = set()
        if old is not None:
            marked = old.marked["members"]
        marked = (marked | set(change.after.get("members", {}))) & set(attributes["members"])
        owned = change.op == "create" or bool(old and old.owned)
        after[change.want.key] = Item(change.want.key, change.want.label, attributes, owned, {"members": marked})
    return after


def test_merged_compares_only_what_is_given():
    have = {"a": box("a", owned=True, color="red", members={"x": "1"})}
    assert plan(KIND, have, [want_box("a", members={"x": "1"})], "merged") == []


def test_merged_adds_members_and_keeps_the_others():
    have = {"a": box("a", owned=True, members={"x": "1"}, marked={"x"})}
    [change] = plan(KIND, have, [want_box("a", members={"y": "2"})], "merged")
    assert (change.op, change.before, change.after) == ("change", {"members": {}}, {"members": {"y": "2"}})
    assert change.want.attributes["members"] == {"x": "1", "y": "2"}


def test_replaced_removes_only_our_members():
    have = {"a": box("a", members={"ours": "1", "theirs": "1"}, marked={"ours"})}
    [change] = plan(KIND, have, [want_box("a", creates=False)], "replaced")
    assert change.before == {"members": {"ours": "1"}}
    assert change.want.attributes["members"] == {"theirs": "1"}


def test_replaced_restores_defaults_only_on_our_objects():
    have = {"a": box("a", owned=True, color="red"), "b": box("b", color="red")}
    changes = plan(KIND, have, [want_box("a"), want_box("b", creates=False)], "replaced")
    assert [(change.want.key, change.after) for change in changes] == [("a", {"color": "white"})]


def test_overridden_deletes_our_objects_and_leaves_others_alone():
    have = {"ours": box("ours", owned=True), "theirs": box("theirs")}
    [change] = plan(KIND, have, [], "overridden")
    assert (change.op, change.have.key) == ("delete", "ours")


def test_overridden_removes_our_members_from_an_object_of_others():
    have = {"theirs": box("theirs", members={"ours": "1", "x": "1"}, marked={"ours"})}
    [change] = plan(KIND, have, [], "overridden")
    assert (change.op, change.want.attributes["members"]) == ("change", {"x": "1"})


def test_deleted_without_objects_deletes_all_of_ours():
    have = {"ours": box("ours", owned=True), "theirs": box("theirs")}
    assert [change.have.key for change in plan(KIND, have, [], "deleted")] == ["ours"]


def test_deleted_with_objects_deletes_only_these():
    have = {"a": box("a", owned=True), "b": box("b", owned=True)}
    assert [change.have.key for change in plan(KIND, have, [want_box("a"), want_box("missing")], "deleted")] == ["a"]


def test_deleting_an_object_of_others_is_refused():
    with pytest.raises(Refused, match=r"boxes\[a\]: box a is not ours"):
        plan(KIND, {"a": box("a")}, [want_box("a")], "deleted")


def test_creating_an_object_that_exists_and_is_not_ours_is_refused():
    with pytest.raises(Refused, match="exists but is not ours"):
        plan(KIND, {"a": box("a")}, [want_box("a", wood="oak")], "merged")


def test_a_change_of_an_immutable_attribute_replaces_the_object():
    [change] = plan(KIND, {"a": box("a", owned=True)}, [want_box("a", wood="pine")], "merged")
    assert (change.op, change.before, change.after) == ("replace", {"wood": "oak"}, {"wood": "pine"})


def test_a_change_of_an_immutable_attribute_of_an_object_of_others_is_refused():
    with pytest.raises(Refused, match="wood of box a cannot be changed from oak to pine"):
        plan(KIND, {"a": box("a")}, [want_box("a", creates=False, wood="pine")], "merged")


class Detailed(Boxes):
    def same(self, attribute, have, want):
        return have == want or (attribute == "color" and have.startswith(want))


def test_an_observed_value_that_satisfies_the_wanted_one_keeps_its_detail():
    have = {"a": box("a", owned=True, color="white, matt")}
    [change] = plan(Detailed(), have, [want_box("a", color="white", members={"x": "1"})], "merged")
    assert (list(change.after), change.want.attributes["color"]) == (["members"], "white, matt")


@pytest.mark.parametrize(
    ("state", "want", "why"),
    [
        ("overridden", [], "members of ours are not in the configuration"),
        ("deleted", [want_box("a", creates=False)], "members of ours are to be deleted"),
    ],
)
def test_the_reason_why_members_are_removed_from_an_object_of_others(state, want, why):
    [change] = plan(KIND, {"a": box("a", members={"x": "1"}, marked={"x"})}, want, state)
    assert change.why == why


def test_all_refusals_are_reported_together():
    with pytest.raises(Refused) as refused:
        plan(
            KIND, {"a": box("a"), "b": box("b")}, [want_box("a"), want_box("b"), want_box("c", creates=False)], "merged"
        )
    assert len(refused.value.mistakes) == 3


def test_gathered_changes_nothing():
    assert plan(KIND, {"a": box("a", owned=True)}, [], "gathered") == []


MEMBERS = st.dictionaries(st.sampled_from("xyz"), st.sampled_from("12"), max_size=3)


@st.composite
def observed(draw):
    have = {}
    for key in draw(st.sets(st.sampled_from("abcd"))):
        members = draw(MEMBERS)
        marked = draw(st.sets(st.sampled_from(sorted(members)))) if members else set()
        have[key] = box(
            key,
            owned=draw(st.booleans()),
            marked=marked,
            members=members,
            color=draw(st.sampled_from(["white", "red"])),
            wood=draw(st.sampled_from(["oak", "pine"])),
        )
    return have


@st.composite
def wanted_boxes(draw, have):
    want = []
    for key in sorted(draw(st.sets(st.sampled_from("abcde")))):
        owned = key not in have or have[key].owned
        options = {"color": st.sampled_from(["white", "red"]), "members": MEMBERS}
        if owned:
            options["wood"] = st.sampled_from(["oak", "pine"])
        want.append(want_box(key, creates=owned, **draw(st.fixed_dictionaries({}, optional=options))))
    return want


@given(st.data(), st.sampled_from(["merged", "replaced", "overridden", "deleted"]))
def test_after_a_run_the_wanted_state_is_reached_and_a_second_plan_is_empty(data, state):
    have = data.draw(observed())
    want = data.draw(wanted_boxes(have))
    after = carry_out(have, plan(KIND, have, want, state))
    assert plan(KIND, after, want, state) == []
    if state == "deleted":
        assert not [item for item in after.values() if item.owned and (not want or item.key in {w.key for w in want})]
        return
    for item in want:
        for name, value in item.attributes.items():
            observed_value = after[item.key].attributes[name]
            assert observed_value.items() >= value.items() if name == "members" else observed_value == value
    if state == "overridden":
        assert {key for key, item in after.items() if item.owned} <= {item.key for item in want}


@given(st.data(), st.sampled_from(["merged", "replaced", "overridden", "deleted"]))
def test_objects_and_members_of_others_are_never_removed(data, state):
    have = data.draw(observed())
    want = data.draw(wanted_boxes(have))
    after = carry_out(have, plan(KIND, have, want, state))
    wanted = {item.key for item in want}
    for key, item in have.items():
        if not item.owned:
            assert key in after
            for member in set(item.attributes["members"]) - item.marked["members"]:
                assert member in after[key].attributes["members"]
            if key not in wanted:
                assert after[key].attributes["color"] == item.attributes["color"]
