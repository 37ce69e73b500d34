"""What tests do at a router, and what routes the host has then."""

from __future__ import annotations

from support.waiting import until_equal

LEFT, RIGHT = "via 192.168.1.2 dev to-left", "via 192.168.2.2 dev to-right"
LEFT6, RIGHT6 = "via 2001:db8:1::2 dev to-left", "via 2001:db8:2::2 dev to-right"


def add(lab, node, *words):
    prefix = words[0]
    lab.gobgp(node, f"global rib -a {'ipv6' if ':' in prefix else 'ipv4'} add {' '.join(words)}")


def withdraw(lab, node, prefix):
    lab.gobgp(node, f"global rib -a {'ipv6' if ':' in prefix else 'ipv4'} del {prefix}")


def until_routes(lab, expected, protocol=83):
    """Waits until these are the routes; shows the difference if they never are."""
    until_equal(lambda: lab.routes(protocol), expected)
