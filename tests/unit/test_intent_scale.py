"""A node's cost does not depend on how many others there are."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.intent_samples import changed, containers, default, many

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


def guests_of_hv1(count, guest):
    return changed(("hypervisors.hv1.guests", {f"g{number}": guest(number) for number in range(count)}))


def network(number):
    return {"networks": {"private": {"ipv4": f"100.{number // 200}.{number % 200}.0/24"}}}


def leaf(number):
    address = f"10.1.{number // 200}.{number % 200}"
    return {"as": 65020, "fabrics": {"east": {"addresses": {"main": {"ipv4": address}}}}}


# Files in which something is there often; each makes the intent of a size.
CROWDED = {
    "hypervisors and guests": lambda size: many(size // 5, 5),
    "guests in another prefix": lambda size: guests_of_hv1(size, lambda n: {"ipv4": f"9.9.{n // 200}.{n % 200}"}),
    "guests with one address": lambda size: guests_of_hv1(size, lambda n: {"ipv4": "203.0.113.9"}),
    "guests with an unknown key": lambda size: guests_of_hv1(size, lambda n: {"ipv4": "203.0.113.9", f"key{n}": 1}),
    "guests in unknown segments": lambda size: guests_of_hv1(size, lambda n: {"segment": f"s{n}"}),
    "unknown sections": lambda size: {**default(), **{f"key{number}": 1 for number in range(size)}},
    "one prefix again and again": lambda size: changed(("vrfs.private.host", ["9.9.9.9/32"] * size)),
    "prefixes": lambda size: changed(("vrfs.private.host", [f"9.9.{n // 200}.{n % 200}/32" for n in range(size)])),
    "fabrics without reflectors": lambda size: changed(
        ("fabrics", {**default()["fabrics"], **{f"f{number}": network(number) for number in range(size)}})
    ),
    "leaves": lambda size: changed(
        ("leaves", {f"l{number}": leaf(number) for number in range(1, size + 1)}), start=containers
    ),
    "VRFs": lambda size: changed(
        ("vrfs", {**default()["vrfs"], **{f"v{n}": {"table": 1000 + n, "vlan": 100 + n} for n in range(size)}})
    ),
    "containers without addresses left": lambda size: changed(
        ("hypervisors.quay.container_networks.span.containers", {f"c{n}": {} for n in range(size)}), start=containers
    ),
    "packages that have no such name": lambda size: changed(("lab", {"packages": [f"_{n}" for n in range(size)]})),
}


@pytest.mark.parametrize("crowd", CROWDED)
def test_checking_twice_as_much_costs_twice_as_much(crowd, warm):
    def cost(size):
        data, mistakes = CROWDED[crowd](size), Mistakes()
        calls = calls_of(lambda: check(data, mistakes))
        return calls + calls_of(mistakes.lines)

    empty, small, large = (cost(size) for size in (5, 400, 800))
    assert large - empty < 2.2 * (small - empty)


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
