"""All that `ip` shows of a host, without what differs after each boot."""

from __future__ import annotations

import re

OBJECTS = (
    *("link", "address", "-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule"),
    *("-4 neighbour show proxy", "-6 neighbour show proxy"),
)
# New after each boot: indexes, MAC addresses of VRFs and of the dummy, timers, counters of packets.
CHANCE = {
    "ifindex", "link_index", "link_netnsid", "address", "permaddr", "valid_life_time", "preferred_life_time", "stats64",
    "expires", "bridge_id", "root_id", "last_used", "used",
}  # fmt: skip


def without_chance(value):
    if isinstance(value, dict):
        return {key: without_chance(one) for key, one in value.items() if key not in CHANCE}
    if isinstance(value, list):
        return sorted((without_chance(one) for one in value), key=str)
    # Link-local addresses of the dummy and the VRFs come from their random MAC addresses.
    return re.sub(r"^fe80::[0-9a-f:]+ff:fe[0-9a-f:]+", "fe80::", value) if isinstance(value, str) else value
