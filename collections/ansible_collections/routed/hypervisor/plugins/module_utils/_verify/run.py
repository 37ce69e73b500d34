# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies a node; retries expectations that do not hold yet until the deadline. Private to this collection."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor

from . import bird, firewall, frr, gobgp, guests, kernel, packets, presence, rollback, runtimes

# Probes mostly wait for answers, so there may be more workers than cores.
WORKERS = 8
PAUSE_S = 0.3


class Snapshot:
    """Reads what several expectations of one round need only once."""

    def __init__(self):
        self._kept = {}

    def _once(self, key, read):
        if key not in self._kept:
            self._kept[key] = read()
        return self._kept[key]

    def bgp(self):
        return self._once("bgp", bird.bgp_sessions)

    def gobgp(self, instance):
        return self._once(("gobgp", instance), lambda: gobgp.sessions(instance))

    def frr(self):
        return self._once("frr", frr.sessions)

    def bfd(self):
        return self._once("bfd", bird.bfd_sessions)

    def frr_bfd(self):
        return self._once("frr bfd", frr.bfd_sessions)

    def routes(self, family, table):
        return self._once((family, table), lambda: kernel.routes(family, table))


def verify_bgp(expected, now):
    """A session of the given daemon, by default BIRD."""
    daemon = expected.get("daemon", "bird")
    if daemon == "gobgp":
        return gobgp.verify_bgp(expected, now.gobgp(expected["instance"]))
    if daemon == "frr":
        return frr.verify_bgp(expected, now.frr())
    return bird.verify_bgp(expected, now.bgp())


def verify_bfd(expected, now):
    """A BFD session of the given daemon, by default BIRD."""
    if expected.get("daemon", "bird") == "frr":
        return frr.verify_bfd(expected, now.frr_bfd())
    return bird.verify_bfd(expected, now.bfd())


# Read from a snapshot: (expected, snapshot) -> (passed, what was seen), and possibly more facts for the result. Passed
# is None if it cannot be run here.
STATE = {
    "bgp": verify_bgp,
    "bfd": verify_bfd,
    "route": lambda expected, now: kernel.verify_route(expected, now.routes(expected["family"], expected["table"])),
    "listening": lambda expected, now: kernel.verify_listening(expected),
    "present": lambda expected, now: (True, expected["interface"]),
    "rules": lambda expected, now: kernel.verify_rules(expected),
    "route_source": lambda expected, now: kernel.verify_route_source(expected),
    "container": lambda expected, now: kernel.verify_container(expected),
    "runtimes": lambda expected, now: runtimes.verify_runtimes(expected),
    "probe": lambda expected, now: runtimes.verify_probe(expected),
    "firewall": lambda expected, now: firewall.verify_firewall(expected),
    "in_step": lambda expected, now: gobgp.verify_in_step(expected),
    "followed_guests": lambda expected, now: guests.verify_followed(expected),
    "announced_guests": lambda expected, now: guests.verify_announced(expected),
    "rollback": lambda expected, now: rollback.verify_rollback(),
    "lease": lambda expected, now: kernel.verify_assigned(expected),
    "slaac": lambda expected, now: kernel.verify_assigned(expected),
}
# Send packets, one expectation at a time: expected -> (passed, what was seen).
PACKETS = {"neighbor": packets.verify_neighbor}
# The same for all expectations together: expectations -> a pair for each.
PACKET_BATCHES = {"ping": packets.verify_pings, "trace": packets.verify_traces, "tcp": packets.verify_tcp}
# An expectation that this node need not support is neither a success nor a failure, nor is one that needs a guest that
# does not run (presence.py).
STATES = {True: "passed", False: "failed", None: "not run"}
KINDS = sorted([*STATE, *PACKETS, *PACKET_BATCHES])


def expects_silence(expected):
    return expected.get("expect") == "silence"


def run(expectations, deadline_s, absent=()):
    """Returns a result for each expectation, in the order given: {title, kind, state, seen, seconds}.

    What must be true is retried until it is, or until the deadline. What must *not* be reachable is tried afterwards,
    once: before the network is up everything is unreachable, which would prove nothing. What needs an absent guest is
    not tried at all; `absent` are guests of other nodes.
    """
    start = time.monotonic()
    results = [None] * len(expectations)
    absent = presence.absent_guests(expectations).union(absent)
    for index, expected in enumerate(expectations):
        missing = presence.missing_for(expected, absent)
        if missing:
            results[index] = _result(expected, presence.ABSENT, missing, start)
    left = [index for index, found in enumerate(results) if found is None]
    pending = [index for index in left if not expects_silence(expectations[index])]
    with ThreadPoolExecutor(WORKERS) as pool:
        while pending:
            pending = _round(expectations, pending, results, pool, start)
            if time.monotonic() - start > deadline_s:
                break
            if pending:
                time.sleep(PAUSE_S)
        silent = [index for index in left if expects_silence(expectations[index])]
        _round(expectations, silent, results, pool, start)
    return results


def _result(expected, state, seen, start):
    seconds = round(time.monotonic() - start, 2)
    found = {"title": expected["title"], "kind": expected["kind"], "state": state, "seen": seen, "seconds": seconds}
    return {**found, "guests": expected["guests"]} if expected["kind"] == "present" else found


class Part(t.NamedTuple):
    """One result of a batch."""

    batch: Future
    number: int

    def result(self):
        return self.batch.result()[self.number]


def _round(expectations, pending, results, pool, start):
    """Verifies the pending expectations once and returns those that did not pass."""
    now = Snapshot()
    waiting = {
        i: pool.submit(PACKETS[expectations[i]["kind"]], expectations[i])
        for i in pending
        if expectations[i]["kind"] in PACKETS
    }
    for kind, run_batch in PACKET_BATCHES.items():
        chosen = [i for i in pending if expectations[i]["kind"] == kind]
        if chosen:
            batch = pool.submit(run_batch, [expectations[i] for i in chosen])
            waiting |= {i: Part(batch, number) for number, i in enumerate(chosen)}
    for index in pending:
        expected = expectations[index]
        found = waiting[index].result() if index in waiting else STATE[expected["kind"]](expected, now)
        passed, seen, *facts = found
        results[index] = _result(expected, STATES[None if passed is None else bool(passed)], seen, start)
        results[index].update(*facts)
    return [index for index in pending if results[index]["state"] == "failed"]
