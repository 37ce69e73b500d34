"""Which links the kernel deletes with another one. No kernel."""

from __future__ import annotations

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._engine.snapshot import Link
from ansible_collections.routed.hypervisor.plugins.module_utils._kinds.dependents import deleted_with


def link(index, name, kind="dummy", parent=None, **data):
    return Link(name, index, kind, None, 0, True, 1500, None, None, parent, data)


BASE = [link(1, "d"), link(2, "other")]


@pytest.mark.parametrize("kind", ["vlan", "macvlan", "macvtap", "ipvlan", "macsec"])
def test_what_is_on_a_link_goes_with_it(kind):
    assert deleted_with([*BASE, link(3, "x", kind, "d")], ["d"]) == {"x": "d"}
    assert deleted_with([*BASE, link(3, "x", kind, "d")], ["other"]) == {}


def test_a_chain_goes_in_order():
    links = [link(3, "q", "vlan", "v"), link(4, "v", "vlan", "d"), *BASE]
    assert list(deleted_with(links, ["d"]).items()) == [("v", "d"), ("q", "v")]
    assert deleted_with(links, ["d", "v"]) == {"q": "v"}


def test_a_veth_goes_with_its_peer():
    links = [link(1, "a", "veth", "b"), link(2, "b", "veth", "a"), link(3, "b.5", "vlan", "b")]
    assert deleted_with(links, ["a"]) == {"b": "a", "b.5": "b"}


@pytest.mark.parametrize("kind", ["gre", "ipip", "sit", "vti", "xfrm"])
def test_a_tunnel_survives_the_link_that_it_sends_through(kind):
    assert deleted_with([*BASE, link(3, "t", kind, "d")], ["d"]) == {}


def test_a_vxlan_goes_with_the_link_that_it_sends_through():
    assert deleted_with([*BASE, link(3, "x", "vxlan", IFLA_VXLAN_LINK=1)], ["d"]) == {"x": "d"}
