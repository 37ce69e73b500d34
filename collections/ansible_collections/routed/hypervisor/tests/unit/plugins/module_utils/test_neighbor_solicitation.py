"""How neighbour advertisements are parsed."""

from __future__ import annotations

from ansible_collections.routed.hypervisor.plugins.module_utils._verify import neighbor_solicitation as ndp


def test_the_target_link_layer_address_is_found_after_other_options():
    other = bytes([14, 1, 0, 0, 0, 0, 0, 0])
    target = bytes([2, 1]) + bytes.fromhex("020100000001")
    assert ndp._link_layer_addresses(other + target) == ["02:01:00:00:00:01"]


def test_an_option_of_length_zero_ends_parsing():
    assert ndp._link_layer_addresses(bytes(16)) == []


def test_the_filter_passes_only_one_type():
    bits = int.from_bytes(ndp._only(136), "little")
    assert [kind for kind in range(256) if not bits >> kind & 1] == [136]
