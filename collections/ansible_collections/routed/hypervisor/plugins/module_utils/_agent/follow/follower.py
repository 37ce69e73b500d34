# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows guests that may run on any hypervisor: their ports, and whether they run behind them. Private to this
collection."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
import typing as t

from ..._engine.lock import Held, host_lock
from ..._netlink.kernel import Kernel
from .. import stored as states
from . import answering, firewall, frames, neighbors, ports, report, routes
from .core import Core, log
from .decide import Decision, decide, is_configured
from .guests import Guest, Guests
from .seen import Seen

DAEMONS_S = 1.0  # after ports were configured
FIREWALL_S = 0.1  # between a change of the firewall's tables and a look at ours
BUSY_S = 0.02  # after another run held the host's lock
CHECK_S = 5.0  # between two looks at what no notification tells
CHECK_SHARE = 0.02  # of the time, at most
AGAIN_S = 0.1  # after a port changed while it was configured
RETRY_S = 2.0  # after something was refused
ASK_S = 1.0  # between two questions to a guest that was not received
SETTLED_S = 60.0  # after which no announcement of an earlier place can be on its way
ROUNDS = 4  # of configuring ports, before anything else is looked at
FRAMES = 32  # of others than the guest, after which its port is not listened to for a moment
PAUSE_S = 0.1
# Two hosts that receive one guest would outbid each other forever. A guest that moves is slower.
MOST_TURNS, TURNS_S = 6, 10.0


def refresh_daemons() -> None:
    from ..daemons import late  # noqa: PLC0415 - a host without guests that come and go does not need it

    try:
        with host_lock(also_after_rollback=True):
            changes, problems = late(True, wait=False)  # ports that appear meanwhile need the lock
    except (Held, OSError) as error:
        problems, changes = [str(error)], []
    for change in changes:
        log(f"{change.name}: {change.op} ({change.why})")
    for problem in problems:
        log(problem)


class State(t.NamedTuple):
    """What a port was configured for, and how it was then."""

    guest: Guest
    name: str
    mac: str
    master: int
    up: bool
    mtu: int
    marked: frozenset[bytes]


@dataclasses.dataclass
class Ear:
    """An open socket on the port of a guest that is not held."""

    guest: Guest
    name: str
    socket: socket.socket


class GuestFollower:
    together_s = 0.002

    def __init__(self, core: Core) -> None:
        self.core = core
        self.kernel = Kernel()
        self.guests: Guests | None = None  # until there is a table, nothing is decided, and so nothing withdrawn
        self.own = answering.OwnPorts({})
        self.answering: dict[int, tuple[str, answering.OwnPort]] = {}  # links with the proxy entries of own ports
        self.may_have_stale_entries = False  # on ports of no guest
        self.refused_entries: list[str] = []
        self.seen = Seen({})
        self.ears: dict[int, Ear] = {}
        self.heard: dict[str, int] = {}
        self.turns: dict[str, list[float]] = {}
        self.since: dict[str, float] = {}
        self.configured: dict[int, State] = {}
        self.elements: firewall.Elements | None = None
        self.held: dict[str, tuple[int, int]] = {}
        self.refused: list[str] = []  # by the kernel or nft, while ports were configured
        self.responder = neighbors.Responder(core.loop)
        self.answers_by_itself = False
        self.problems: list[str] = []  # all of them, as they were last reported
        self.strangers: list[str] = []
        self.tables = firewall.Notifications()
        core.loop.add_reader(self.tables.fileno(), self._on_firewall)
        self.report = report.Report()

    # the stored state

    def use(self, stored: states.Stored) -> bool:
        guests, own = Guests(stored.guests, states.interfaces(stored)), answering.OwnPorts(stored.proxy_ndp)
        if not guests.all and not own.all and self.guests is None:
            return False
        self.guests, self.own, self.may_have_stale_entries = guests, own, True
        self.seen.destinations = guests.by_destination
        self._forget()
        self.core.soon(self._check_ports, CHECK_S)
        log(f"following {len(guests.all)} guests, answering neighbor solicitations of {len(own.all)} others")
        return True

    # the kernel

    def read(self) -> None:
        self.seen.read(self.kernel.network)
        self.elements = None
        self._forget()

    def _forget(self) -> None:
        """Everything has to be looked at again."""
        self.configured.clear()
        self.answering.clear()

    def take(self, kind: int, body: bytes) -> bool:
        return self.seen.take(kind, body)

    def correct(self) -> None:
        if self.guests is None:
            return
        for index in self.seen.emptied:
            self.configured.pop(index, None)
            self.answering.pop(index, None)
        self.seen.emptied.clear()
        decision = self._decide(self.guests)
        for _round in range(ROUNDS):
            if not self._set_up(self.guests, decision):
                break
            # What has appeared in the meantime is seen now, and its notifications are skipped: another round.
            self.core.take_notifications(self)
            self.seen.read(self.kernel.network)
            self.answering.clear()
            self._remember(self.guests, decision)
            decision = self._decide(self.guests)
            if self.refused:
                break
        else:
            self.core.soon(self.correct, AGAIN_S)
        refused = routes.write(self.kernel.network, self.seen.own, decision.routes)
        self.seen.wrote(decision.routes)
        routes.announce_lost(self.kernel.network, self.seen.lost)
        self.seen.lost.clear()
        if refused:
            self.core.soon(self._again, RETRY_S)
        if self._set_up_own(decision) and not self.answers_by_itself:  # the kernel answers by now
            self.responder.follow({})
        self._log_changes(decision)
        self._log_strangers(decision)
        self.heard.clear()  # what was not acted on now, because its port went, must not count for a later one
        self._listen(decision)
        self._report(decision, [*decision.problems, *self.refused, *refused, *self.refused_entries])

    def _again(self) -> None:
        self.core.restart(self)

    def _check_ports(self) -> None:
        """No notification that is taken tells of changes of sysctls and proxy entries."""
        start = time.monotonic()
        self.core.take_notifications()
        if drifted := self._drifted():
            log(f"somebody has changed {', '.join(drifted)}")
            self._forget()
            self.correct()
        self.core.soon(self._check_ports, max(CHECK_S, (time.monotonic() - start) / CHECK_SHARE))

    def _drifted(self) -> list[str]:
        found: list[str] = []
        if self.guests and self.configured:
            here = {state.name: state.guest for state in self.configured.values()}
            found += ports.drifted(self.kernel, ports.config_of(self.guests, here, not self.answers_by_itself))
        if self.answering:
            own = dict(self.answering.values())
            found += ports.drifted(self.kernel, ports.entries_of(self.own, own, not self.answers_by_itself))
        return found

    def _on_firewall(self) -> None:
        """Somebody has changed a table: ours may have been flushed."""
        self.tables.drain()
        self.core.soon(self._check_firewall, FIREWALL_S)

    def _check_firewall(self) -> None:
        self.elements = None
        self.correct()

    def _decide(self, guests: Guests) -> Decision:
        now = time.monotonic()
        settled = {name for name, start in self.since.items() if now - start > SETTLED_S}
        return decide(guests, self.seen, self.heard, settled)

    # ports

    def _set_up(self, guests: Guests, decision: Decision) -> bool:
        """Configures ports and the firewall; returns whether the kernel has changed."""
        names = {self.seen.links[index].name: guest for index, guest in decision.bound.items()}
        elements = firewall.wanted(guests, names)
        self._choose_who_answers(guests, decision)
        due = [index for index in decision.bound if self.configured.get(index) != self._state_of(index, decision)]
        released = [self.seen.links[index].name for index in decision.released if index in self.seen.links]
        if not due and not released and elements == self.elements:
            self.refused = []  # what was refused is no longer wanted
            return False
        try:
            with host_lock(0, also_after_rollback=True):
                return self._set_up_now(guests, decision, due, released, elements)
        except Held:
            self.core.soon(self.correct, BUSY_S)
            return False

    def _choose_who_answers(self, guests: Guests, decision: Decision) -> None:
        """The kernel, or the agent itself: see ports.MOST_ENTRIES."""
        links, own = self.seen.links, self.own.here(self.seen.links)
        number = sum(len(guests.kind(guest).neighbors) for guest in decision.bound.values())
        number += sum(map(self.own.number, own.values()))
        by_itself = number > ports.MOST_ENTRIES // (2 if self.answers_by_itself else 1)
        if by_itself != self.answers_by_itself:
            self.answers_by_itself = by_itself
            self._forget()
            log(f"{number} answers to neighbor solicitations: {'by the agent' if by_itself else 'by the kernel'}")
        if by_itself:
            here = {index: answering.of_guest(guest, guests.kind(guest)) for index, guest in decision.bound.items()}
            here.update({index: self.own.answers(port, links[index]) for index, port in own.items()})
            self.responder.follow({index: (links[index].name, one) for index, one in here.items() if one})

    def _set_up_own(self, decision: Decision) -> bool:
        """The entries of the hypervisor's own ports, as far as they are up; whether they are as they should be."""
        links, here = self.seen.links, self.own.here(self.seen.links)
        wanted = {index: (links[index].name, port) for index, port in here.items()}
        due = {index: state for index, state in wanted.items() if self.answering.get(index) != state}
        for index in self.answering.keys() - here.keys():  # it has another name now
            del self.answering[index]
            self.may_have_stale_entries = True
        if not due and not self.may_have_stale_entries:
            return True
        entries = ports.entries_of(self.own, dict(due.values()), not self.answers_by_itself)
        used = {*self.own.all, *(links[index].name for index in decision.bound)}
        try:
            with host_lock(0, also_after_rollback=True):
                stale = set(ports.with_entries(self.kernel)) - used if self.may_have_stale_entries else set()
                for config in (ports.no_entries(stale), entries):
                    _done, self.refused_entries = ports.configure(self.kernel, config)
                    if self.refused_entries:
                        self.core.soon(self._again, RETRY_S)
                        return False
        except Held:
            self.core.soon(self.correct, BUSY_S)
            return False
        self.may_have_stale_entries = False
        self.answering.update(due)
        return True

    def _set_up_now(
        self, guests: Guests, decision: Decision, due: list[int], released: list[str], elements: firewall.Elements
    ) -> bool:
        self.refused, count = [], 0
        try:
            firewall.bring(elements)
            self.elements = elements
        except OSError as error:
            self.refused.append(str(error))
        if due:
            self.core.soon(self._refresh_daemons, DAEMONS_S)
            here = {self.seen.links[index].name: decision.bound[index] for index in due}
            count += self._refusals(
                ports.configure(self.kernel, ports.config_of(guests, here, not self.answers_by_itself))
            )
        if released:
            count += self._refusals(ports.release(self.kernel, released))
        if self.refused:
            self.core.soon(self._again, RETRY_S)
        return bool(due or count)

    def _refresh_daemons(self) -> None:
        """Daemons for guests may use ports that came after them. In a thread: it takes a while."""
        threading.Thread(target=refresh_daemons, daemon=True).start()

    def _refusals(self, result: tuple[int, list[str]]) -> int:
        done, refused = result
        self.refused += refused
        return done

    def _state_of(self, index: int, decision: Decision) -> State:
        link = self.seen.links[index]
        marked = frozenset(address for where, address in self.seen.marked if where == index)
        return State(decision.bound[index], link.name, link.mac, link.master, link.up, link.mtu, marked)

    def _remember(self, guests: Guests, decision: Decision) -> None:
        """What is as it should be is looked at again when it changes. The rest may have changed in the meantime."""
        links = self.seen.links
        there = {index: guest for index, guest in decision.bound.items() if index in links}
        good = [index for index, guest in there.items() if is_configured(guests, guest, links[index], self.seen)]
        self.configured = {} if self.refused else {index: self._state_of(index, decision) for index in good}
        if len(good) < len(there) and not self.refused:
            self.core.soon(self.correct, AGAIN_S)

    # what guests send

    def _listen(self, decision: Decision) -> None:
        for index in [index for index, ear in self.ears.items() if decision.silent.get(index) != ear.guest]:
            self._close(index)
        for index, guest in decision.silent.items():
            if index not in self.ears:
                self._open(index, guest)

    def _open(self, index: int, guest: Guest) -> None:
        name = self.seen.links[index].name
        try:
            ear = Ear(guest, name, frames.listen(name, guest))
        except OSError:
            return  # the port is gone again, as its notification will say
        self.ears[index] = ear
        self.core.loop.add_reader(ear.socket.fileno(), self._on_frame, index)
        self._ask(index)

    def _close(self, index: int) -> None:
        ear = self.ears.pop(index)
        self.core.loop.remove_reader(ear.socket.fileno())
        ear.socket.close()

    def _ask(self, index: int) -> None:
        """A guest that runs replies, even if it has nothing to send."""
        ear = self.ears.get(index)
        if ear is None:
            return
        gateways = self.guests.kind(ear.guest).gateways if self.guests else ()
        for frame in frames.questions(ear.guest, gateways):
            try:
                ear.socket.send(frame)
            except OSError:
                break
        self.core.loop.call_later(ASK_S, self._ask_again, index, ear)

    def _ask_again(self, index: int, ear: Ear) -> None:
        if self.ears.get(index) is ear:
            self._ask(index)

    def _on_frame(self, index: int) -> None:
        ear = self.ears[index]
        try:
            received = frames.receive(ear.socket, ear.guest, FRAMES)
        except OSError:  # the port is down or gone
            self._close(index)
            return
        if received is None:
            self.core.loop.remove_reader(ear.socket.fileno())
            self.core.loop.call_later(PAUSE_S, self._resume, index, ear)
        elif received and ear.guest.name not in self.heard and self._may_turn(ear.guest):
            self.heard[ear.guest.name] = index
            self.core.soon(self._claim, 0)  # together with others that were received at the same time

    def _claim(self) -> None:
        self.core.take_notifications()  # not on an older state
        self.correct()

    def _resume(self, index: int, ear: Ear) -> None:
        if self.ears.get(index) is ear:
            self.core.loop.add_reader(ear.socket.fileno(), self._on_frame, index)

    def _may_turn(self, guest: Guest) -> bool:
        now = time.monotonic()
        turns = self.turns[guest.name] = [turn for turn in self.turns.get(guest.name, ()) if now - turn < TURNS_S]
        if len(turns) >= MOST_TURNS:
            return False
        turns.append(now)
        return True

    # what happened

    def _log_changes(self, decision: Decision) -> None:
        for name in self.held.keys() - decision.held.keys():
            self.since.pop(name, None)
            log(f"{name} is no longer here")
        for name, (index, number) in decision.held.items():
            if self.held.get(name, (0, 0))[0] != index:
                self.since[name] = time.monotonic()
            if self.held.get(name) != (index, number):
                log(f"{name} is here, on {self.seen.links[index].name} (sequence number {number})")
        self.held = dict(decision.held)

    def close(self) -> None:
        """What is in the kernel stays."""

    def _log_strangers(self, decision: Decision) -> None:
        for stranger in decision.strangers:
            if stranger not in self.strangers:
                log(f"{stranger} is the port of no guest: it gets no VRF and no route")
        self.strangers = decision.strangers

    def _report(self, decision: Decision, problems: list[str]) -> None:
        for problem in problems:
            if problem not in self.problems:
                log(problem)
        self.problems = problems
        here = {name: (self.seen.links[index].name, number) for name, (index, number) in decision.held.items()}
        waiting = {guest.name: self.seen.links[index].name for index, guest in decision.silent.items()}
        self.report.update(here, waiting, problems, self.answers_by_itself)
