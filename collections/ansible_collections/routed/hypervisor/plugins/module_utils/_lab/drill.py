# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Breaks something in a lab under traffic, and measures what is lost. Private to this collection.

The packets are those of ping: one every INTERVAL_S in each pair, timed by the kernel that the lab runs in.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import threading
import time
import typing as t
from dataclasses import dataclass

from . import boot, exchange

INTERVAL_S = 0.02
# Without a loss for so long, a pair has recovered.
CALM_S = 2.0
START_S, END_S = 60, 10
COMMAND_S = 120
GRACE_S = 30  # for a node to shut down
ANSWER = re.compile(r"\[(\d+\.\d+)\] .*icmp_seq=(\d+) .*time=([\d.]+) ms")
SILENCE = re.compile(r"icmp_seq=(\d+)$")
SENT = re.compile(r"(\d+) packets transmitted")

Step = dict[str, t.Any]


class DrillFailed(Exception):
    """One sentence for the user."""


class Traffic:
    """Echo requests of one pair, from when it is started until it is ended."""

    def __init__(self, lab: str, pair: dict[str, t.Any]) -> None:
        self.pair = pair
        self.answered: dict[int, float] = {}  # when each request was sent, by its number
        self.sent = 0
        inside = ["ip", "netns", "exec", pair["namespace"]] if pair.get("namespace") else []
        family = "-6" if pair["family"] == "ipv6" else "-4"
        ping = ["ping", family, "-n", "-D", "-O", "-i", str(INTERVAL_S), pair["to"]]
        self._process = subprocess.Popen(
            [enter(lab), pair["node"], *inside, *ping],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # nsenter, which waits for ping, passes no signal on
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._note(line.rstrip())

    def _note(self, line: str) -> None:
        if answer := ANSWER.search(line):
            received, number, took_ms = float(answer[1]), int(answer[2]), float(answer[3])
            self.answered[number] = received - took_ms / 1000
            self.sent = max(self.sent, number)
        elif silence := SILENCE.search(line):
            self.sent = max(self.sent, int(silence[1]))
        elif total := SENT.search(line):
            self.sent = int(total[1])
        elif line:
            self.said = line

    def is_calm(self) -> bool:
        """Whether the last requests were all answered; those of the last moment may be under way."""
        count, last = int(CALM_S / INTERVAL_S), max(self.answered, default=0)
        under_way = self.sent - last
        return under_way <= 2 and all(number in self.answered for number in range(last - count + 1, last + 1))

    def end(self) -> None:
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(END_S)

    @property
    def title(self) -> str:
        return f"{self.pair['from']} to {self.pair['to_name']} ({self.pair['family'].replace('ip', 'IP')})"


def enter(lab: str) -> str:
    """The script that runs a command in a node."""
    return f"{exchange.path(lab)}/enter"


def losses(answered: t.Mapping[int, float], sent: int, start: float) -> dict[str, t.Any]:
    """What is lost of requests that are numbered from 1.

    `gaps` has the time from an answered request to the next answered one for each gap, in milliseconds after START,
    which is a time of the same clock as ANSWERED. Requests after the last answered one do not count: there may be some
    under way when traffic is ended.
    """
    numbers = sorted(answered)
    gaps, lost = [], 0
    for number, later in itertools.pairwise(numbers):
        if later - number > 1:
            lost += later - number - 1
            begin, end = (round((answered[one] - start) * 1000) for one in (number, later))
            gaps.append({"from_ms": begin, "to_ms": end, "lost": later - number - 1})
    return {
        "sent": sent,
        "lost": lost,
        "longest_ms": max((gap["to_ms"] - gap["from_ms"] for gap in gaps), default=0),
        "gaps": gaps,
    }


@dataclass
class Script:
    """What a drill does, in steps."""

    steps: list[Step]
    restore: list[Step]
    prepare: list[Step]  # before the traffic
    cleanup: list[Step]  # after it, in any case
    is_calm: bool  # whether packets must stop being lost before it is restored


class Drill:
    def __init__(self, lab: str, pairs: list[dict[str, t.Any]], limit_s: float) -> None:
        self.lab = lab
        self.pairs = pairs
        self.limit_s = limit_s
        self.traffic: list[Traffic] = []

    def run(self, script: Script) -> dict[str, t.Any]:
        """Raises DrillFailed, but not before everything was tried to restore the lab."""
        try:
            self._do(script.prepare)
            self.traffic = [Traffic(self.lab, pair) for pair in self.pairs]
            self._until_calm("before the drill", START_S)
            broken = time.time()
            try:
                self._do(script.steps)
                recovered = self._until_calm("after the drill", self.limit_s) if script.is_calm else time.time()
                again = time.time()
            finally:
                self._do(script.restore)
            restored = self._until_calm("after everything was restored", self.limit_s) if script.restore else recovered
        finally:
            for one in self.traffic:
                one.end()
            self._do(script.cleanup)
        found = []
        for one in self.traffic:
            whole = losses(one.answered, one.sent, broken)
            found.append({**one.pair, "title": one.title, **whole})
        return {
            "pairs": found,
            "restored_ms": round((again - broken) * 1000) if script.restore else None,
            "ended_ms": round((restored - broken) * 1000),
        }

    def _until_calm(self, when: str, limit_s: float) -> float:
        """Waits until no pair has lost anything for CALM_S, and returns when that was."""
        begin = time.monotonic()
        while True:
            # What was answered before the event says nothing.
            waiting = [one for one in self.traffic if not one.is_calm()]
            waited = time.monotonic() - begin
            if not waiting and waited >= CALM_S:
                return time.time()
            if waited > limit_s:
                said = [f"{one.title}{f' ({one.said})' if one.said else ''}" for one in waiting]
                raise DrillFailed(f"{when}, packets are lost for more than {limit_s:.0f} s: {', '.join(said)}")
            time.sleep(0.02)

    def _do(self, steps: list[Step]) -> None:
        for step in steps:
            if step.get("reboot"):
                self._reboot(step["node"])
                continue
            command = [enter(self.lab), step["node"], *step["command"]]
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_S, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise DrillFailed(f"{step['node']}: {' '.join(step['command'])} took over {COMMAND_S} s") from error
            if done.returncode:
                reason = (done.stderr or done.stdout).strip()
                raise DrillFailed(f"{step['node']}: {' '.join(step['command'])} failed: {reason}")
            time.sleep(step.get("wait_s") or 0)

    def _reboot(self, node: str) -> None:
        try:
            failures = boot.reboot(self.lab, node, GRACE_S, COMMAND_S)
        except OSError as error:
            failures = [str(error)]
        if failures:
            raise DrillFailed("; ".join(failures))
