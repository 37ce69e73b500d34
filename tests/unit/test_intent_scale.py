"""A node's cost does not depend on how many others there are."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.intent_samples import many

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory
from ansible_collections.routed.hypervisor.plugins.plugin_utils.verify.sample import others


def calls_of(work) -> int:
    """How many Python functions WORK calls: a measure of its cost that does not depend on the machine."""
    count = 0

    def profile(_frame, event, _argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.fixture(scope="module")
def warm():
    inventory(check(many(2, 1), Mistakes()), "/")


def test_the_cost_of_a_node_is_constant(warm):
    def cost(hypervisors):
        mistakes = Mistakes()
        calls = calls_of(lambda: inventory(check(many(hypervisors, 3), mistakes), "/"))
        assert not mistakes, mistakes.lines()
        return calls / hypervisors

    small, large = cost(20), cost(100)
    assert large < 1.1 * small


def test_what_is_verified_of_a_node_stops_growing(warm):
    def counts(hypervisors):
        made = inventory(check(many(hypervisors, 3), Mistakes()), "/")
        return len(made.host_vars["hv1"]["verify"]), len(made.host_vars["vm1-1"]["verify"])

    assert counts(60) == counts(120)


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_a_sample_is_of_others_and_fair(count, everyone, data):
    items = list(range(count))
    few = data.draw(st.integers(1, everyone))
    position = data.draw(st.integers(0, count - 1))
    sample = others(items, position, everyone, few)
    assert position not in sample
    assert len(sample) == len(set(sample)) == (count - 1 if count - 1 <= everyone else few)
    if count > 1:
        assert (position + 1) % count in sample
    seen_by = sum(others(items, other, everyone, few).count(position) for other in items)
    assert seen_by == len(sample)
