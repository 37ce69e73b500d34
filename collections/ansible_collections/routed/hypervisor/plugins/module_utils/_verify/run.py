# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the checks of a node until all pass or the time is over. Private to this collection."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor

from . import bird, firewall, frr, gobgp, kernel, packets

# Commands of checks wait for answers most of their time, so more of them than cores run at once.
AT_ONCE = 8
PAUSE_S = 0.3


class Snapshot:
    """What is the same for all checks of one round is asked for once."""

    def __init__(self):
        self._kept = {}

    def _once(self, key, ask):
        if key not in self._kept:
            self._kept[key] = ask()
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


def check_bgp(check, now):
    """A session of the daemon that the check names: bird, unless it says otherwise."""
    daemon = check.get("daemon", "bird")
    if daemon == "gobgp":
        return gobgp.check_bgp(check, now.gobgp(check["instance"]))
    if daemon == "frr":
        return frr.check_bgp(check, now.frr())
    return bird.check_bgp(check, now.bgp())


def check_bfd(check, now):
    """A BFD session of the daemon that the check names."""
    if check.get("daemon", "bird") == "frr":
        return frr.check_bfd(check, now.frr_bfd())
    return bird.check_bfd(check, now.bfd())


# What is read from a snapshot: (check, snapshot) -> (passed, what was seen). Passed None: it could not be run here.
STATE_CHECKS = {
    "bgp": check_bgp,
    "bfd": check_bfd,
    "route": lambda check, now: kernel.check_route(check, now.routes(check["family"], check["table"])),
    "rules": lambda check, now: kernel.check_rules(check),
    "route_source": lambda check, now: kernel.check_route_source(check),
    "container": lambda check, now: kernel.check_container(check),
    "firewall": lambda check, now: firewall.check_firewall(check),
    "in_step": lambda check, now: gobgp.check_in_step(check),
    "lease": lambda check, now: kernel.check_assigned(check),
    "slaac": lambda check, now: kernel.check_assigned(check),
}
# What sends packets, one check at a time: check -> (passed, what was seen).
PACKET_CHECKS = {"neighbor": packets.check_neighbor}
# The same for all checks at once: checks -> a pair for each.
PACKET_BATCHES = {"ping": packets.check_pings, "trace": packets.check_traces}
# What cannot be had here, and need not, is neither a success nor a failure.
STATES = {True: "passed", False: "failed", None: "not run"}
KINDS = sorted([*STATE_CHECKS, *PACKET_CHECKS, *PACKET_BATCHES])


def expects_silence(check):
    return check.get("expect") == "silence"


def run_checks(checks, deadline_s):
    """Returns a result a check, in the order given: {title, kind, state, seen, seconds}.

    What must be true is tried again until it is, or until the time is over. What must *not* be reachable is tried
    after that, once: before the network is up everything is unreachable, which would prove nothing.
    """
    start = time.monotonic()
    results = [None] * len(checks)
    pending = [index for index, check in enumerate(checks) if not expects_silence(check)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while pending:
            pending = _round(checks, pending, results, pool, start)
            if time.monotonic() - start > deadline_s:
                break
            if pending:
                time.sleep(PAUSE_S)
        _round(checks, [i for i, check in enumerate(checks) if expects_silence(check)], results, pool, start)
    return results


class Part(t.NamedTuple):
    """One result of a batch."""

    batch: Future
    number: int

    def result(self):
        return self.batch.result()[self.number]


def _round(checks, pending, results, pool, start):
    """Tries the pending checks once and returns those that did not pass."""
    now = Snapshot()
    waiting = {
        i: pool.submit(PACKET_CHECKS[checks[i]["kind"]], checks[i])
        for i in pending
        if checks[i]["kind"] in PACKET_CHECKS
    }
    for kind, run_batch in PACKET_BATCHES.items():
        chosen = [i for i in pending if checks[i]["kind"] == kind]
        if chosen:
            batch = pool.submit(run_batch, [checks[i] for i in chosen])
            waiting |= {i: Part(batch, number) for number, i in enumerate(chosen)}
    for index in pending:
        check = checks[index]
        passed, seen = waiting[index].result() if index in waiting else STATE_CHECKS[check["kind"]](check, now)
        results[index] = {
            "title": check["title"],
            "kind": check["kind"],
            "state": STATES[None if passed is None else bool(passed)],
            "seen": seen,
            "seconds": round(time.monotonic() - start, 2),
        }
    return [index for index in pending if results[index]["state"] == "failed"]
