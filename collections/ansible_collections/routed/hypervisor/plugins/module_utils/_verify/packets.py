# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies with packets: echo requests, connections, hops, ARP and neighbour discovery. Private to this collection."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from .._daemon.nftables import lacking
from . import probes
from .command import run
from .firewall import NOT_RUN
from .neighbor_solicitation import solicit

MAC = re.compile(r"\b([0-9a-f]{2}(?::[0-9a-f]{2}){5})\b", re.IGNORECASE)
ANSWER_S = 1.0
ECHO_ATTEMPTS = 5  # before silence proves nothing: one packet may be lost
# A proxy may wait before it answers: Linux up to 0.8 s (proxy_delay), others up to 1 s (RFC 4861, 7.2.8).
NEIGHBOR_S = 2


def verify_pings(expectations):
    """Sends one echo request each, with the kernel's source address unless one is given."""
    reason = lacking(run) if any(expected.get("needs_firewall") for expected in expectations) else None
    answers = probes.echo(expectations, ANSWER_S)
    return [
        (NOT_RUN, reason) if reason and expected.get("needs_firewall") else verdict(expected, *answer)
        for expected, answer in zip(expectations, answers, strict=True)
    ]


def verdict(expected, answered, seen):
    wanted = expected.get("expect", "reply") == "reply"
    return answered == wanted, seen


def verify_tcp(expectations):
    """Verifies that a firewall drops packets to a port: nothing comes back, not even a refusal. Or that it does not:
    the port is open, or refuses.

    Where silence is expected, an echo request to the same address must be answered, or it would prove nothing.
    """
    reason = lacking(run)
    if reason is not None:
        return [(NOT_RUN, reason)] * len(expectations)
    echoes = _echoes(expectations)
    answers = probes.connect(expectations, ANSWER_S)
    return [
        verdict(expected, *answer) if expected["expect"] == "reply" else silence(echo, answer)
        for expected, echo, answer in zip(expectations, echoes, answers, strict=True)
    ]


def _echoes(expectations):
    """An answer for each; where silence is expected, a request that is not answered is sent again."""
    requests = [{"to": one["to"], "namespace": one.get("namespace")} for one in expectations]
    answers = probes.echo(requests, ANSWER_S)
    for _attempt in range(ECHO_ATTEMPTS - 1):
        silent = [
            index
            for index, answer in enumerate(answers)
            if not answer.received and expectations[index]["expect"] == "silence"
        ]
        if not silent:
            break
        for index, answer in zip(silent, probes.echo([requests[index] for index in silent], ANSWER_S), strict=True):
            answers[index] = answer
    return answers


def silence(echo, answer):
    if not echo.received:
        return False, f"it does not answer an echo request either ({echo.text}), so this proves nothing"
    return answer.received is False, answer.text


def verify_traces(expectations):
    """Every hop must be the router that the intent has at this distance, and the last one the destination."""
    try:
        found = probes.trace([(expected["to"], len(expected["hops"])) for expected in expectations], ANSWER_S)
    except OSError as error:
        return [(False, str(error)) for _expected in expectations]
    return [
        compare_hops(expected["hops"], expected["networks"], seen)
        for expected, seen in zip(expectations, found, strict=True)
    ]


def compare_hops(allowed, networks, seen):
    """A router answers from any address that it has. Outside of NETWORKS, its address is none of the intent's."""
    *routers, _destination = allowed
    passed = len(seen) == len(allowed) and seen[-1] in allowed[-1]
    passed = passed and all(
        hop in hops or _is_foreign(hop, networks) for hop, hops in zip(seen[:-1], routers, strict=True)
    )
    return passed, " > ".join(seen) or "no hop answered"


def _is_foreign(hop, networks):
    return hop != probes.NO_ANSWER and not any(ip_address(hop) in ip_network(network) for network in networks)


def verify_neighbor(expected):
    """Verifies which MAC address answers ARP or a neighbour solicitation on the wire; without `mac`, any may."""
    query = _query_arp if expected["family"] == "ipv4" else solicit
    try:
        macs = query(expected["interface"], expected["to"], NEIGHBOR_S)
    except OSError as error:
        return False, str(error)
    if expected.get("expect", "reply") == "silence":
        passed = not macs
    else:
        passed = len(macs) == 1 and macs[0] == (expected["mac"] or macs[0]).lower()
    return passed, ", ".join(macs) or "no answer"


def _query_arp(interface, target, seconds):
    _code, output, _errors = run(["arping", "-c", "1", "-w", str(seconds), "-I", interface, target])
    answers = (line for line in output.splitlines() if not line.startswith("ARPING"))
    return sorted({mac.lower() for line in answers for mac in MAC.findall(line)})
