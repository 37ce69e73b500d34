"""Which solicitations the agent answers by itself, and how."""

from __future__ import annotations

import pytest
from support.following import ELSEWHERE, GATEWAYS, MACS, PORT_MACS, WEB1, WEB2, raw, table

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow import frames
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.answering import of_guest
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.guests import Guests
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.neighbors import answer
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import packed

KNOWN = Guests(table("public", {"web1": "tap-web1", "web2": None}))
WEB = KNOWN.all["web1"]
ANSWERS = of_guest(WEB, KNOWN.kind(WEB))
OWN, NOBODY = packed(WEB1[1]), bytes(16)
ALL_NODES = packed("ff02::1")


def nodes(target: str) -> bytes:
    return packed("ff02::1:ff00:0")[:13] + packed(target)[-3:]


def question(target: str, source: bytes = OWN, destination: bytes | None = None, **more) -> bytes:
    message = bytes([more.get("number", frames.SOLICITATION), more.get("code", 0)]) + bytes(6) + packed(target)
    option = b"\x01\x01" + raw(MACS["web1"]) if source != NOBODY else b""
    to = nodes(target) if destination is None else destination
    return frames.icmpv6(b"\x33\x33" + to[-4:], raw(MACS["web1"]), source, to, message + option)


def replied(frame: bytes) -> dict:
    found = answer(frame, ANSWERS)
    assert found is not None
    pseudo = found[22:54] + len(found[54:]).to_bytes(4, "big") + bytes([0, 0, 0, frames.ICMPV6])
    assert frames.checksum(pseudo + found[54:]) == 0
    assert found[:6] in (raw(MACS["web1"]), b"\x33\x33\x00\x00\x00\x01")
    assert (found[6:12], found[20], found[21]) == (raw(PORT_MACS["web1"]), frames.ICMPV6, 255)
    assert found[78:] == b"\x02\x01" + raw(PORT_MACS["web1"])
    return {"from": found[22:38], "to": found[38:54], "flags": found[58], "target": found[62:78]}


@pytest.mark.parametrize("target", [WEB2[1], ELSEWHERE])
def test_others_are_answered_for_with_the_mac_of_the_port(target):
    found = replied(question(target))
    router, solicited = 0x80, 0x40
    gateway = packed(GATEWAYS[1])
    assert found == {"from": gateway, "to": OWN, "flags": router | solicited, "target": packed(target)}
    asked_again = question(target, destination=packed(target))  # the guest sees whether it is still reachable
    assert replied(asked_again)["to"] == OWN


def test_the_address_of_another_guest_is_a_duplicate():
    found = replied(question(WEB2[1], source=NOBODY))
    assert (found["to"], found["flags"]) == (ALL_NODES, 0x80)


NOT_ANSWERED = {
    "its own address": question(WEB1[1]),
    "its own address, to find duplicates": question(WEB1[1], source=NOBODY),
    "an address of no guest": question("2001:db8:cb00:7100::77"),
    "from nobody, but not to those who may have the address": question(WEB2[1], NOBODY, packed(WEB2[1])),
    "an advertisement": question(WEB2[1], number=frames.ADVERTISEMENT),
    "another code": question(WEB2[1], code=1),
    "forwarded": question(WEB2[1])[:21] + b"\xfe" + question(WEB2[1])[22:],
    "with a wrong checksum": question(WEB2[1])[:-1] + b"\x00",
    "cut off": question(WEB2[1])[:-8],
    "much shorter": question(WEB2[1])[:70],
    "something else": bytes(100),
}


@pytest.mark.parametrize("case", NOT_ANSWERED)
def test_nothing_else_is_answered(case):
    assert answer(NOT_ANSWERED[case], ANSWERS) is None
