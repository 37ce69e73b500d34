"""What is read from a neighbour advertisement."""

from __future__ import annotations

from ansible_collections.routed.hypervisor.plugins.module_utils._verify import neighbor_solicitation as ndp


def test_the_target_link_layer_address_is_found_behind_other_options():
    other = bytes([14, 1, 0, 0, 0, 0, 0, 0])
    target = bytes([2, 1]) + bytes.fromhex("020100000001")
    assert ndp._link_layer_addresses(other + target) == ["02:01:00:00:00:01"]


def test_an_option_of_length_zero_ends_the_reading():
    assert ndp._link_layer_addresses(bytes(16)) == []


def test_the_filter_lets_only_one_type_through():
    bits = int.from_bytes(ndp._only(136), "little")
    assert [kind for kind in range(256) if not bits >> kind & 1] == [136]
