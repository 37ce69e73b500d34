"""Packets with forged sources: what is lost proves nothing, so it is sent again. Over loopback, with real sockets."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._lab import spoof

EXPECTED = {"node": "vm1", "to_name": "internet", "from": "203.0.113.3", "to": "127.0.0.1"}


class Sender:
    """A socket whose first packets are lost."""

    def __init__(self, lost: int = 0, payload: slice = slice(None)):
        self.lost, self.payload = lost, payload
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def sendto(self, packet: bytes, target) -> None:
        self.lost -= 1
        if self.lost < 0:
            self.socket.sendto(packet[self.payload], target)


def verified(monkeypatch, honest_lost: int, forged_lost: int) -> tuple[bool, str]:
    monkeypatch.setattr(spoof, "ARRIVAL_LIMIT_S", 0.5)
    headers = spoof.IPV4_HEADER.size + spoof.UDP_HEADER.size
    senders = {socket.SOCK_DGRAM: Sender(honest_lost), socket.SOCK_RAW: Sender(forged_lost, slice(headers, None))}

    def socket_in(node, family, kind, protocol):
        return socket.socket(family, kind, protocol) if node == "internet" else senders[kind]

    return spoof.verify_spoof(EXPECTED, socket_in)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_forged_packets_that_do_not_arrive_are_stopped_also_if_an_honest_one_is_lost(monkeypatch, lost):
    assert verified(monkeypatch, lost, 1000) == (True, "3 packets from 203.0.113.3 were stopped")


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_one_forged_packet_that_arrives_is_enough(monkeypatch, lost):
    assert verified(monkeypatch, lost, 2) == (False, "a packet from 203.0.113.3 got through")


def test_without_honest_packets_nothing_is_proved(monkeypatch):
    passed, seen = verified(monkeypatch, 1000, 1000)
    assert not passed and "this proves nothing" in seen
