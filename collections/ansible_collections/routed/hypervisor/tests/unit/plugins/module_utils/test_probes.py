"""The packets of verification, sent on the loopback interface, which needs no root."""

from __future__ import annotations

import errno
import socket
import struct

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._verify import probes


def test_the_checksum_of_a_request_is_right():
    packet = probes.echo_request(socket.AF_INET, b"0123456789abcdef")
    assert sum(struct.unpack(f"!{len(packet) // 2}H", packet)) % 0xFFFF == 0


class Received:
    def __init__(self, family, data):
        self.family, self.data = family, data

    def receive(self):
        return self.data


TOKEN = b"0123456789abcdef"
HEADER = bytes([0x45]) + bytes(19)


@pytest.mark.parametrize(
    ("family", "data", "is_reply"),
    [
        (socket.AF_INET, HEADER + bytes([0]) + bytes(7) + TOKEN, True),
        (socket.AF_INET, HEADER + bytes([8]) + bytes(7) + TOKEN, False),  # our own request, which we receive, too
        (socket.AF_INET, HEADER + bytes([0]) + bytes(7) + TOKEN[::-1], False),  # somebody else's reply
        (socket.AF_INET6, bytes([129]) + bytes(7) + TOKEN, True),
        (socket.AF_INET6, bytes([136]) + bytes(23), False),  # an advertisement
        (socket.AF_INET, b"", False),
    ],
)
def test_only_the_reply_to_our_own_request_counts(family, data, is_reply):
    assert probes.is_reply(Received(family, data), TOKEN) is is_reply


def test_a_trace_ends_at_the_host_that_reports_a_closed_port():
    assert probes.trace([("127.0.0.1", 3), ("127.0.0.1", 1)], 1) == [["127.0.0.1"], ["127.0.0.1"]]


def test_a_request_refused_by_a_route_counts_as_silence_and_one_that_cannot_be_sent_does_not(monkeypatch):
    def refuse(number):
        def send(probe, _packet):
            if number not in probes.REFUSED:
                raise OSError(number, "no")
            probe.refusal = "no"

        return send

    class Fake(probes.Probe):
        def __init__(self, *_arguments, **_options):
            self.socket, self.refusal = socket.socket(), ""

    monkeypatch.setattr(probes, "Probe", Fake)
    monkeypatch.setattr(Fake, "send", refuse(errno.ENETUNREACH))
    assert probes.echo([{"to": "192.0.2.1"}], 1)[0].received is False
    monkeypatch.setattr(Fake, "send", refuse(errno.EADDRNOTAVAIL))
    assert probes.echo([{"to": "192.0.2.1"}], 1)[0].received is None


def test_accepting_and_refusing_a_connection_are_answers_and_everything_else_is_silence():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_server(("127.0.0.1", 0)) as accepting:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            refusing = closed.getsockname()[1]
        ports = full.getsockname()[1], accepting.getsockname()[1]
        with socket.create_connection(("127.0.0.1", ports[0])):  # now its queue is full, and nothing comes back
            requests = [{"to": "127.0.0.1", "port": port} for port in (*ports, refusing)]
            silent, accepted, refused = probes.connect(requests, 0.2)
    assert (silent.received, accepted.received, refused.received) == (False, True, True)
    assert (accepted.text, refused.text) == ("accepts a connection", "Connection refused")


def test_the_interface_after_a_link_local_address_is_used():
    assert probes.address("fe80::1%lo", 179) == ("fe80::1", 179, 0, socket.if_nametoindex("lo"))
    assert probes.address("192.0.2.1", 179) == ("192.0.2.1", 179)
    [answer] = probes.connect([{"to": "fe80::1%no-such-one", "port": 179}], 0.1)
    assert answer.received is None
