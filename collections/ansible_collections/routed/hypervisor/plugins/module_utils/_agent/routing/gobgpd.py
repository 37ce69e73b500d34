# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows one gobgpd: reads its RIB and its changes, keeps its announcements right, survives its restarts. Private to
this collection."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
import typing as t

from ..follow.core import log
from . import gobgp, rib
from .instance import Instance
from .model import Prefix

CONNECT_S = 0.3  # between two attempts to reach a gobgpd
CHECK_S = 1.0  # between two checks whether End-of-RIB was received from all neighbours
AWAIT_S = 5.0  # the same for neighbours that have not come up yet, when all others are in step
QUIET_S = 2.0  # no change for this time counts as End-of-RIB from a neighbour that sends none
AT_ONCE = 4  # commands
FIRST_S = 5.0  # for so long announcing comes before learning
RETRY_S = 1.0
# Between a change without content and a look at the whole table: guests that move are waiting for it; an address that
# containers of two hosts have is only reported.
RIVALS_S, CONFLICTS_S = 0.5, 2.0
CHUNK = 1 << 18
# A gobgpd that is stopped first deletes its neighbours and withdraws everything learned from them. So a withdrawal
# takes effect after HOLD_S if all neighbours still exist; if some do not, after END_S.
HOLD_S = 0.05
END_S = 3.0

Correct = t.Callable[[Instance, "t.Collection[Prefix] | None"], None]


class Gobgpd:
    """`correct` is called with the prefixes that changed in GoBGP, None for all."""

    def __init__(self, instance: Instance, stale_s: float, correct: Correct) -> None:
        self.instance, self.stale_s, self.correct = instance, stale_s, correct
        self.api = instance.settings.api
        self.deadline = time.monotonic() + stale_s  # routes that GoBGP has not learned again by then are removed
        self.process: subprocess.Popen[bytes] | None = None
        self.pending_withdrawals: set[Prefix] = set()
        self.withdrawing: asyncio.Task[None] | None = None
        self.looking: asyncio.Task[None] | None = None
        self.tasks = asyncio.TaskGroup()  # an error in one ends all, and with them the service
        self.neighbors: set[str] = set()
        self.conflicts: set[str] = set()  # that were logged
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
        logged = ""
        while True:
            problem = f"gobgpd does not answer at {self.api}"
            if gobgp.listens(self.api):
                try:
                    await self._follow()
                except (gobgp.GobgpError, OSError) as error:
                    problem = str(error)
            if problem != logged or self.instance.announced is not None:
                self._lost(problem)
            logged = problem
            self._expire()
            await asyncio.sleep(CONNECT_S)

    def _lost(self, problem: str) -> None:
        self.pending_withdrawals.clear()
        if self.instance.announced is None:
            log(f"{self.instance}: {problem}")
            return
        self.deadline = time.monotonic() + self.stale_s
        kept = f"its learned routes ({len(self.instance.learned)}) are kept for {self.stale_s:g} s"
        log(f"{self.instance}: lost gobgpd ({problem}); {kept}")
        self.instance.lose()

    def _expire(self) -> None:
        instance = self.instance
        if not instance.complete and time.monotonic() > self.deadline:
            log(f"{instance}: no gobgpd for {self.stale_s:g} s: removing its routes")
            instance.give_up()
            self.correct(instance, None)

    async def _follow(self) -> None:
        """Returns, or raises, when the stream ends."""
        self.process = gobgp.stream(self.api)
        stdout = t.cast("t.IO[bytes]", self.process.stdout)
        reader = asyncio.StreamReader(limit=CHUNK)
        loop = asyncio.get_running_loop()
        transport, _protocol = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdout)
        try:
            with contextlib.suppress(OSError):
                # a gobgpd that has run for long is complete, even if some of its neighbours are down
                if time.time() - gobgp.started(self.api) > self.stale_s:
                    self.deadline = time.monotonic()
                else:
                    await self._announce_first()
            await self._read_table(complete=False)
            log(f"{self.instance}: gobgpd answers, {len(self.instance.learned)} routes")
            await self._read_changes(reader)
        finally:
            transport.close()
            self.close()

    async def _announce_first(self) -> None:
        """A gobgpd that has just started announces nothing of ours, and neighbours drop what it does not announce soon.

        So announcing comes before reading. To announce a prefix again changes nothing.
        """
        self.instance.announced = {}
        self.idle.clear()
        self.wake.set()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.idle.wait(), FIRST_S)

    async def _read_table(self, complete: bool) -> None:
        whole = await asyncio.to_thread(gobgp.table, self.api, self.instance.settings.families)
        self.neighbors = {entry.address for entry in whole.neighbors}
        if not complete:
            self.awaited = {entry.address for entry in whole.neighbors if entry.wanted}
        self.pending_withdrawals.clear()
        self.instance.take_table(whole, complete)
        self.correct(self.instance, None)
        self.wake.set()
        conflicts = set(self.instance.conflicts())
        for line in sorted(conflicts - self.conflicts):
            log(f"{self.instance}: {line}")
        self.conflicts = conflicts

    async def _read_changes(self, reader: asyncio.StreamReader) -> None:
        changed = checked = time.monotonic()
        rest = b""
        while True:
            chunk: bytes | None = None
            pause = CHECK_S if not self.instance.complete else AWAIT_S if self.awaited else None
            with contextlib.suppress(asyncio.TimeoutError):
                chunk = await asyncio.wait_for(reader.read(CHUNK), pause)
            if chunk == b"":
                raise gobgp.GobgpError(rest.decode(errors="replace").strip()[:200] or "the stream of changes ended")
            if chunk:
                changed = time.monotonic()
                *lines, rest = (rest + chunk).split(b"\n")
                self._take(lines)
            now = time.monotonic()
            if pause is not None and now - checked >= pause:
                checked = now
                await self._check_neighbors(now, changed)

    async def _check_neighbors(self, now: float, changed: float) -> None:
        """Whether End-of-RIB was received from all neighbours; announces everything to those that GoBGP left out."""
        found = await asyncio.to_thread(gobgp.neighbors, self.api)
        up = {entry.address for entry in found if entry.established}
        new = up & self.awaited
        if not self.instance.complete and (rib.is_complete(found, now - changed >= QUIET_S) or now >= self.deadline):
            # Read again: changes between the first reading and the first line of the stream are missing.
            await self._read_table(complete=True)
            log(f"{self.instance}: in step, learned routes: {len(self.instance.learned)}")
            new = up
        for entry in found:
            # After a start with --graceful-restart, GoBGP 3.10 waits for all neighbours and then announces nothing to
            # those without graceful restart.
            if entry.address in new and entry.complete is None:
                await asyncio.to_thread(gobgp.refresh, self.api, entry.address)
        self.awaited = {entry.address for entry in found if entry.wanted} & self.awaited - up

    def _change(self, where: Prefix, preference: int | None) -> None:
        if preference is None:
            gobgp.withdraw(self.api, where)
        else:
            gobgp.announce(self.api, where, preference)

    async def _look_for_rivals(self) -> None:
        await asyncio.sleep(RIVALS_S if self.instance.holds_guests() else CONFLICTS_S)
        if self.instance.complete:
            with contextlib.suppress(gobgp.GobgpError):  # the stream ends, too
                await self._read_table(complete=True)

    def _may_have_rivals(self, changes: dict[Prefix, rib.NextHops]) -> bool:
        """GoBGP only says that something has changed, and not what, where its best path is the same as before. Of a
        container that another host has announced already, our own path becomes the best."""
        instance = self.instance
        if not changes:
            return bool(instance.containers) or instance.holds_guests()
        return any(where in instance.containers and where in instance.learned for where in changes)

    def _take(self, lines: list[bytes]) -> None:
        touched: set[Prefix] = set()
        for line in lines:
            if line:
                try:
                    changes = rib.event(line)
                except (ValueError, KeyError, TypeError) as error:
                    raise gobgp.GobgpError(f"the stream of changes has an error: {error}"[:300]) from error
                if self._may_have_rivals(changes) and (self.looking is None or self.looking.done()):
                    self.looking = self.tasks.create_task(self._look_for_rivals())
                for where, hops in changes.items():
                    if hops:
                        self.pending_withdrawals.discard(where)
                        self.instance.take_change(where, hops)
                        touched.add(where)
                    else:
                        self.pending_withdrawals.add(where)
        if touched:
            self.correct(self.instance, touched)
        if self.pending_withdrawals and (self.withdrawing is None or self.withdrawing.done()):
            self.withdrawing = self.tasks.create_task(self._withdraw())

    async def _withdraw(self) -> None:
        """Carries out withdrawals, unless they are the last output of a gobgpd that is stopped."""
        while self.pending_withdrawals:
            await asyncio.sleep(HOLD_S)
            due = set(self.pending_withdrawals)
            await self._until_not_stopping()
            gone = due & self.pending_withdrawals
            self.pending_withdrawals -= gone
            for where in gone:
                self.instance.take_change(where, ())
            if gone:
                self.correct(self.instance, gone)

    async def _until_not_stopping(self) -> None:
        """Waits until it is clear that gobgpd is not being stopped."""
        until = time.monotonic() + END_S
        remaining = None
        while time.monotonic() < until:
            with contextlib.suppress(gobgp.GobgpError, OSError):
                remaining = {entry.address for entry in await asyncio.to_thread(gobgp.neighbors, self.api)}
                if self.neighbors <= remaining:
                    return
            await asyncio.sleep(CONNECT_S)
        if remaining is not None:  # the others were removed from its configuration
            self.neighbors = remaining

    async def _announce(self) -> None:
        """Makes GoBGP announce what it should, a few commands at a time."""
        logged = ""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while (announced := self.instance.announced) is not None:
                wanted = self.instance.to_announce()
                different = [where for where in wanted if announced.get(where) != wanted[where]]
                todo: list[tuple[Prefix, int | None]] = [
                    (where, wanted[where]) for where in sorted(different)
                ]  # moved guests first
                todo += [(where, None) for where in sorted(announced.keys() - wanted.keys())]
                if not todo:
                    self.idle.set()
                    break
                results = await asyncio.gather(
                    *(asyncio.to_thread(self._change, where, preference) for where, preference in todo[:AT_ONCE]),
                    return_exceptions=True,
                )
                for (where, preference), result in zip(todo, results, strict=False):
                    if isinstance(result, gobgp.GobgpError):
                        if str(result) != logged:
                            log(f"{self.instance}: {result}")
                        logged = str(result)
                    elif isinstance(result, BaseException):
                        raise result
                    else:
                        log(f"{self.instance}: {'withdrew' if preference is None else 'announced'} {where}")
                        if preference is None:
                            announced.pop(where, None)
                        else:
                            announced[where] = preference
                if any(isinstance(result, gobgp.GobgpError) for result in results):
                    await asyncio.sleep(RETRY_S)
