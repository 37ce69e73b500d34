# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's loop: one netlink socket for all followers. Private to this collection.

A follower brings the kernel in line with something that comes and goes. Notifications only say that it has to look; at
the start, after an overrun and after a crash it reads everything again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import typing as t

from ..._netlink.sockets import Notifications, Overrun
from .. import stored as states

STATE_S = 1.0  # between two looks at the stored state
GROUPS = ("link", "address4", "address6", "route4", "route6")  # of notifications


class Follower(t.Protocol):
    together_s: float  # notifications within this time are handled together

    def use(self, stored: states.Stored) -> bool:
        """Takes a new stored state; returns whether it has something to follow that it has not read yet, or had before.

        Raises Unusable, and keeps to the state before."""

    def read(self) -> None:
        """Reads everything again."""

    def take(self, kind: int, body: bytes) -> bool:
        """Handles a notification; returns whether there is something to correct."""

    def correct(self) -> None:
        """Brings the kernel in line with what was seen."""

    def close(self) -> None:
        """Ends what would go on without the service."""


class Core:
    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.version: tuple[int, int] | None = None
        self.followers: list[Follower] = []
        self.active: list[Follower] = []  # those that have, or had, something to follow
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._on_error)
        self.error: BaseException | None = None
        self.pending: dict[t.Any, asyncio.TimerHandle] = {}

    def run(self) -> None:
        """Returns after SIGTERM or SIGINT. What is in the kernel stays."""
        self.notifications = Notifications(GROUPS)
        self.loop.add_reader(self.notifications.fileno(), self._on_notification)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.loop.stop)
        self.loop.add_signal_handler(signal.SIGHUP, self._on_state)
        self._on_state()
        self.loop.run_forever()
        for follower in self.followers:
            follower.close()
        if self.error:
            raise self.error  # the unit starts the service again, which reads everything

    def restart(self, follower: Follower) -> None:
        self.take_notifications(follower)
        follower.read()
        follower.correct()

    def take_notifications(self, reader: Follower | None = None) -> None:
        """Before a follower acts on something else: it must not act on an older state. READER is about to read
        everything, and takes none."""
        others = [follower for follower in self.active if follower is not reader]
        is_lost = False
        while True:
            try:
                for _where, kind, body in self.notifications.read():
                    for follower in others:
                        if follower.take(kind, body):
                            self.soon(follower.correct, follower.together_s)
                break
            except Overrun:
                is_lost = True
        if is_lost:
            log("notifications were lost: reading everything again")
            for follower in others:
                follower.read()
                follower.correct()

    def soon(self, action: t.Callable[[], None], delay: float) -> None:
        """Calls an action once, however often it is requested until then; the earliest request counts."""
        before = self.pending.get(action)
        if before is not None and before.when() <= self.loop.time() + delay:
            return
        if before is not None:
            before.cancel()

        def do() -> None:
            del self.pending[action]
            action()

        self.pending[action] = self.loop.call_later(delay, do)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, t.Any]) -> None:
        self.error = context.get("exception") or RuntimeError(context["message"])
        loop.stop()

    def _on_notification(self) -> None:
        self.take_notifications()

    def _on_state(self) -> None:
        """Waits for a state, and keeps to the last good one: what is there stays."""
        self.soon(self._on_state, STATE_S)
        try:
            status = os.stat(os.path.join(self.directory, states.CURRENT))
        except OSError:
            return
        version = (status.st_mtime_ns, status.st_ino)
        if version == self.version:
            return
        self.version = version
        try:
            stored, notes = states.read(self.directory, states.this_machine())
        except states.Unusable as error:
            log(str(error))
            return
        for note in notes:
            log(note)
        for follower in self.followers:
            try:
                if not follower.use(stored):
                    continue
            except states.Unusable as error:
                log(str(error))
                continue
            if follower not in self.active:
                self.active.append(follower)
            self.restart(follower)


def log(sentence: str) -> None:
    """To the journal, which adds the time, or to a log file."""
    when = "" if "JOURNAL_STREAM" in os.environ else time.strftime("%Y-%m-%d %H:%M:%S ")
    sys.stderr.write(f"{when}routed-hypervisor: {sentence}\n")
    sys.stderr.flush()
