"""The routing manager is installed by itself, without the collection: what both must agree on."""

from __future__ import annotations

from routing_manager import model

from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.marks import PROTOCOL


def test_it_announces_the_routes_that_carry_the_mark_of_the_modules():
    assert model.ANNOUNCED_PROTOCOL == PROTOCOL
