# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service's loop: one netlink socket for all followers. Private to this collection.

A follower brings the kernel in line with something that comes and goes. Notifications only say that it has to look; at
the start, after an overrun and after a crash it reads everything again.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import typing as t

from ..._netlink.sockets import Notifications, Overrun

TOGETHER_S = 0.002  # notifications within this time are handled together
TABLE_S = 1.0  # between two looks at the stored state


class Follower(t.Protocol):
    groups: tuple[str, ...]  # of notifications

    def reload(self) -> bool:
        """Reads the stored state if it has changed; returns whether it has."""

    def read(self) -> None:
        """Reads everything again."""

    def take(self, kind: int, body: bytes) -> bool:
        """Handles a notification; returns whether there is something to correct."""

    def correct(self) -> None:
        """Brings the kernel in line with what was seen."""


class Core:
    def __init__(self) -> None:
        self.followers: list[Follower] = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._on_error)
        self.error: BaseException | None = None
        self.pending: dict[t.Any, asyncio.TimerHandle] = {}

    def run(self) -> None:
        """Returns after SIGTERM or SIGINT. What is in the kernel stays."""
        groups = dict.fromkeys(group for follower in self.followers for group in follower.groups)
        self.notifications = Notifications(groups)
        self.loop.add_reader(self.notifications.fileno(), self._on_notification)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.loop.stop)
        self.loop.add_signal_handler(signal.SIGHUP, self._on_state)
        for follower in self.followers:
            follower.reload()
            self.restart(follower)
        self.soon(self._on_state, TABLE_S)
        self.loop.run_forever()
        if self.error:
            raise self.error  # the unit starts the service again, which reads everything

    def restart(self, follower: Follower) -> None:
        self.skip_notifications()
        follower.read()
        follower.correct()

    def skip_notifications(self) -> None:
        """For a follower that is about to read everything."""
        while True:
            try:
                for _message in self.notifications.read():
                    pass
                return
            except Overrun:
                continue

    def soon(self, action: t.Callable[[], None], delay: float = TOGETHER_S) -> None:
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

    def take_notifications(self) -> None:
        """For a follower that is about to act on something else: it must not act on an older state."""
        try:
            for _where, kind, body in self.notifications.read():
                for follower in self.followers:
                    if follower.take(kind, body):
                        self.soon(follower.correct)
        except Overrun:
            log("notifications were lost: reading everything again")
            for follower in self.followers:
                self.restart(follower)

    def _on_notification(self) -> None:
        self.take_notifications()

    def _on_state(self) -> None:
        for follower in self.followers:
            if follower.reload():
                self.restart(follower)
        self.soon(self._on_state, TABLE_S)


def log(sentence: str) -> None:
    """To the journal."""
    sys.stderr.write(f"routed-hypervisor: {sentence}\n")
    sys.stderr.flush()
