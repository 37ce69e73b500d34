# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows one gobgpd: reads its RIB, takes in changes, keeps its announcements right, outlives its restarts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import time
import typing as t

from . import gobgp, rib
from .instance import Instance
from .model import Prefix

CONNECT_S = 0.3  # between two attempts to reach a gobgpd that is not there
CHECK_S = 1.0  # between two looks whether all neighbours have told all
AWAIT_S = 5.0  # between two looks for neighbours that have not come up yet, when those that have are in step
QUIET_S = 2.0  # a neighbour that does not say when it told all has done so when nothing was heard for this time
AT_ONCE = 4  # commands
FIRST_S = 5.0  # for so long what we announce comes before what there is to learn
RETRY_S = 1.0
CHUNK = 1 << 18
# A gobgpd that is told to end first deletes its neighbours and withdraws all that it has learned from them. So a
# withdrawal holds when this time has passed and all neighbours are still there; if some are not, when END_S has passed.
HOLD_S = 0.05
END_S = 3.0

SetRight = t.Callable[[Instance, t.Collection[Prefix] | None], None]

log = logging.getLogger("routed-hypervisor-routes")


class Follower:
    """`set_right` is called with the prefixes of which GoBGP says something new, None for all."""

    def __init__(self, instance: Instance, stale_s: float, set_right: SetRight) -> None:
        self.instance, self.stale_s, self.set_right = instance, stale_s, set_right
        self.api = instance.settings.api
        self.deadline = time.monotonic() + stale_s  # then what GoBGP has not mentioned again goes
        self.process: subprocess.Popen | None = None
        self.parting: set[Prefix] = set()  # withdrawn, but that does not hold yet
        self.parter: asyncio.Task | None = None
        self.tasks = asyncio.TaskGroup()  # the error of one ends all, and with them the service
        self.neighbors: set[str] = set()
        self.awaited: set[str] = set()  # neighbours that have not come up since this gobgpd started
        self.wake = asyncio.Event()  # there may be something to announce or to withdraw
        self.idle = asyncio.Event()  # nothing is left to announce or to withdraw

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def run(self) -> None:
        async with self.tasks:
            self.tasks.create_task(self._connect())
            self.tasks.create_task(self._announce())

    async def _connect(self) -> None:
        said = ""
        while True:
            problem = f"gobgpd does not answer at {self.api}"
            if gobgp.listens(self.api):
                try:
                    await self._follow()
                except (gobgp.GobgpError, OSError) as error:
                    problem = str(error)
            if problem != said or self.instance.announced is not None:
                self._lost(problem)
            said = problem
            self._expire()
            await asyncio.sleep(CONNECT_S)

    def _lost(self, problem: str) -> None:
        self.parting.clear()
        if self.instance.announced is None:
            log.warning("%s: %s", self.instance, problem)
            return
        self.deadline = time.monotonic() + self.stale_s
        count = len(self.instance.learned)
        log.warning("%s: lost gobgpd (%s); its %d routes stay for %g s", self.instance, problem, count, self.stale_s)
        self.instance.lose()

    def _expire(self) -> None:
        instance = self.instance
        if not instance.complete and time.monotonic() > self.deadline:
            log.warning("%s: no gobgpd for %g s: its routes go", instance, self.stale_s)
            instance.give_up()
            self.set_right(instance, None)

    async def _follow(self) -> None:
        """Returns, or raises, when the stream ends."""
        self.process = gobgp.stream(self.api)
        assert self.process.stdout is not None
        reader = asyncio.StreamReader(limit=CHUNK)
        loop = asyncio.get_running_loop()
        transport, _protocol = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self.process.stdout
        )
        try:
            with contextlib.suppress(OSError):
                # a gobgpd that has run for long knows all that there is, whoever of its neighbours is away
                if time.time() - gobgp.started(self.api) > self.stale_s:
                    self.deadline = time.monotonic()
                else:
                    await self._announce_first()
            await self._read_table(complete=False)
            log.info("%s: gobgpd answers, %d routes", self.instance, len(self.instance.learned))
            await self._listen(reader)
        finally:
            transport.close()
            self.close()

    async def _announce_first(self) -> None:
        """A gobgpd that has just started knows nothing of ours, and neighbours forget what it does not tell them soon.

        So it is told before anything is asked. What it knew already is told once more, which changes nothing.
        """
        self.instance.announced = set()
        self.idle.clear()
        self.wake.set()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.idle.wait(), FIRST_S)

    async def _read_table(self, complete: bool) -> None:
        whole = await asyncio.to_thread(gobgp.table, self.api, self.instance.settings.families)
        self.neighbors = {entry.address for entry in whole.neighbors}
        if not complete:
            self.awaited = {entry.address for entry in whole.neighbors if entry.wanted}
        self.parting.clear()
        self.instance.take_table(whole, complete)
        self.set_right(self.instance, None)
        self.wake.set()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        heard = checked = time.monotonic()
        rest = b""
        while True:
            chunk: bytes | None = None
            pause = CHECK_S if not self.instance.complete else AWAIT_S if self.awaited else None
            with contextlib.suppress(asyncio.TimeoutError):
                chunk = await asyncio.wait_for(reader.read(CHUNK), pause)
            if chunk == b"":
                raise gobgp.GobgpError(rest.decode(errors="replace").strip()[:200] or "the stream of changes ended")
            if chunk:
                heard = time.monotonic()
                *lines, rest = (rest + chunk).split(b"\n")
                self._take(lines)
            now = time.monotonic()
            if pause is not None and now - checked >= pause:
                checked = now
                await self._look(now, heard)

    async def _look(self, now: float, heard: float) -> None:
        """At the neighbours: whether all have told all they know, and have been told."""
        found = await asyncio.to_thread(gobgp.neighbors, self.api)
        up = {entry.address for entry in found if entry.established}
        new = up & self.awaited
        if not self.instance.complete and (rib.is_complete(found, now - heard >= QUIET_S) or now >= self.deadline):
            # Read again: what changed between the first reading and the first line of the stream is missing.
            await self._read_table(complete=True)
            log.info("%s: in step, %d routes", self.instance, len(self.instance.learned))
            new = up
        for entry in found:
            # GoBGP that was started with --graceful-restart waits for all neighbours, and then forgets to tell those
            # that have none (3.10).
            if entry.address in new and entry.complete is None:
                await asyncio.to_thread(gobgp.tell_again, self.api, entry.address)
        self.awaited = {entry.address for entry in found if entry.wanted} & self.awaited - up

    def _take(self, lines: list[bytes]) -> None:
        touched: set[Prefix] = set()
        for line in lines:
            if line:
                try:
                    changes = rib.event(line)
                except (ValueError, KeyError, TypeError) as error:
                    raise gobgp.GobgpError(f"the stream of changes says {error}"[:300]) from error
                for where, hops in changes.items():
                    if hops:
                        self.parting.discard(where)
                        self.instance.take_change(where, hops)
                        touched.add(where)
                    else:
                        self.parting.add(where)
        if touched:
            self.set_right(self.instance, touched)
        if self.parting and (self.parter is None or self.parter.done()):
            self.parter = self.tasks.create_task(self._part())

    async def _part(self) -> None:
        """Lets withdrawals hold, unless they are the last that a gobgpd says before it ends."""
        while self.parting:
            await asyncio.sleep(HOLD_S)
            due = set(self.parting)
            await self._stays()
            gone = due & self.parting
            self.parting -= gone
            for where in gone:
                self.instance.take_change(where, ())
            if gone:
                self.set_right(self.instance, gone)

    async def _stays(self) -> None:
        """Waits until it is clear that gobgpd is not about to end."""
        until = time.monotonic() + END_S
        there = None
        while time.monotonic() < until:
            with contextlib.suppress(gobgp.GobgpError, OSError):
                there = {entry.address for entry in await asyncio.to_thread(gobgp.neighbors, self.api)}
                if self.neighbors <= there:
                    return
            await asyncio.sleep(CONNECT_S)
        if there is not None:  # those that are missing were taken out of its configuration
            self.neighbors = there

    async def _announce(self) -> None:
        """Brings what GoBGP announces to what it should, a few commands at a time."""
        said = ""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while (announced := self.instance.announced) is not None:
                wanted = self.instance.to_announce()
                todo = [(gobgp.withdraw, where) for where in sorted(announced - wanted)]
                todo += [(gobgp.announce, where) for where in sorted(wanted - announced)]
                if not todo:
                    self.idle.set()
                    break
                results = await asyncio.gather(
                    *(asyncio.to_thread(do, self.api, where) for do, where in todo[:AT_ONCE]), return_exceptions=True
                )
                for (do, where), result in zip(todo, results, strict=False):
                    if isinstance(result, gobgp.GobgpError):
                        if str(result) != said:
                            log.warning("%s: %s", self.instance, result)
                        said = str(result)
                    elif isinstance(result, BaseException):
                        raise result
                    else:
                        log.info("%s: %s %s", self.instance, "announced" if do is gobgp.announce else "withdrew", where)
                        (announced.add if do is gobgp.announce else announced.discard)(where)
                if any(isinstance(result, gobgp.GobgpError) for result in results):
                    await asyncio.sleep(RETRY_S)
