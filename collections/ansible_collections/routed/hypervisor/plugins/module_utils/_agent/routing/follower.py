# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routing manager: follows containers and each GoBGP, and keeps GoBGP and the kernel's routing tables in step.
Private to this collection."""

from __future__ import annotations

import asyncio
import typing as t

from ..._netlink.codec import address_text
from ..._netlink.sockets import Network, Notifications, Overrun
from .. import stored as states
from ..follow.core import Core, log
from .containers import Containers, watch_mounts
from .gobgpd import Gobgpd
from .host import Host
from .instance import Instance
from .model import Prefix
from .release import release
from .settings import Settings

CONTAINER_GROUPS = ("link", "address4", "address6", "nsid")
TOGETHER_S, GUESTS_TOGETHER_S = 0.02, 0.002  # notifications within this time are handled together
RETRY_S = 2.0  # after a route that the kernel refused
SHOWN = 20  # so many changes are logged one by one


class RoutingManager:
    def __init__(self, core: Core) -> None:
        self.together_s = TOGETHER_S
        self.core, self.network = core, Network()
        self.given: dict[str, t.Any] | None = None
        self.host = Host(self.network, ())
        self.host_is_old = False
        self.containers = Containers(self.network, ())
        self.container_events: Notifications | None = None
        self.instances: list[Instance] = []
        self.gobgpds: list[Gobgpd] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.warnings: set[str] = set()  # each is logged once

    def use(self, stored: states.Stored) -> bool:
        """As after a restart of the service, nothing is lost."""
        if stored.routing_manager == self.given:
            return False
        try:
            settings = Settings(stored.routing_manager)
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise states.Unusable(
                f"routing_manager cannot be used ({error!r}): the one before stays in effect"
            ) from error
        self.close()
        before, self.given = self.given, stored.routing_manager
        self.host = Host(self.network, *settings.watched())
        self.containers = Containers(self.network, settings.namespaces)
        self.instances = [Instance(entry, settings.metric, self.host) for entry in settings.instances]
        has_guests = any(entry.settings.guests for entry in self.instances)
        self.together_s = GUESTS_TOGETHER_S if has_guests else TOGETHER_S
        self.gobgpds = [Gobgpd(entry, settings.stale_s, self._correct) for entry in self.instances]
        self.warnings.clear()
        if self.instances and self.container_events is None:
            self.container_events = Notifications(CONTAINER_GROUPS, everywhere=True)
            self.core.loop.add_reader(self.container_events.fileno(), self._on_container_event)
            watch_mounts(lambda: self.core.loop.call_soon_threadsafe(self._on_mounts))
        for table, count in release(self.network, self.host.tables).items():
            log(f"removed {count} routes in table {table}, which is not followed any more")
        self.tasks = [self.core.loop.create_task(gobgpd.run()) for gobgpd in self.gobgpds]
        for task in self.tasks:
            task.add_done_callback(self._on_end)
        tables = [f"table {instance.settings.table} ({instance})" for instance in self.instances]
        if tables:
            log(f"following GoBGP for {', '.join(tables)}")
        return bool(self.instances or before)

    def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        for gobgpd in self.gobgpds:
            gobgpd.close()

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """An error ends the process: the service is started again."""
        if not task.cancelled() and (error := task.exception()):
            self.core.loop.call_exception_handler({"message": "gobgpd cannot be followed", "exception": error})

    # the host

    def read(self) -> None:
        self._read_host()
        self.containers.scan(everything=True)
        self._take_containers()

    def _read_host(self) -> None:
        self.host.read()
        self.host_is_old = False
        for instance in self.instances:
            instance.host_changed()

    def take(self, kind: int, body: bytes) -> bool:
        self.host_is_old |= self.host.takes(kind, body)
        return self.host_is_old

    def correct(self) -> None:
        if self.host_is_old:
            self._read_host()
        for instance in self.instances:
            self._correct(instance, None)
        self._announce()

    def _again(self) -> None:
        self.core.restart(self)

    # containers

    def _on_container_event(self) -> None:
        events, changed = t.cast(Notifications, self.container_events), False
        try:
            for where, kind, body in events.read():
                changed |= self.containers.takes(where, kind, body)
        except Overrun:
            log("notifications of containers were lost: reading all of them again")
            changed = self.containers.scan(everything=True)
        if changed:
            self._on_containers_changed()

    def _on_mounts(self) -> None:
        self.core.soon(self._on_mounts_changed, self.together_s)

    def _on_mounts_changed(self) -> None:
        # Removals first: a new namespace may have the number and the inode of one that has just been removed.
        self._on_container_event()
        if self.containers.scan():
            self._on_containers_changed()

    def _on_containers_changed(self) -> None:
        for instance, changed in self._take_containers():
            self._correct(instance, changed)
        self._announce()

    def _take_containers(self) -> list[tuple[Instance, set[Prefix]]]:
        """The instances, with the prefixes that were added or removed."""
        found = self.containers.addresses()
        made = [(instance, instance.take_containers(found)) for instance in self.instances]
        for instance in self.instances:
            for address, _length in instance.containers:
                if len(found[address]) > 1:
                    self._warn(f"{instance}: {address_text(address)} is in {' and in '.join(sorted(found[address]))}")
        return [(instance, changed) for instance, changed in made if changed]

    # both sides

    def _announce(self) -> None:
        for gobgpd in self.gobgpds:
            gobgpd.wake.set()

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.add(text)
            log(text)

    def _correct(self, instance: Instance, only: t.Collection[Prefix] | None) -> None:
        """Brings the kernel in step with GoBGP, for all prefixes or for some."""
        plan = instance.plan(only)
        for ours, other in plan.blocked:
            self._warn(f"{instance}: {ours.prefix} cannot be written: a route of protocol {other.protocol} has its key")
        if not plan.actions:
            return
        failed = self.host.apply(instance.settings.table, plan.actions)
        instance.routes_changed(plan.actions)
        for action, reason in failed:
            self._warn(f"{instance}: {action.route.prefix} cannot be changed ({action.verb}): {reason}")
        if failed:
            self.core.soon(self._again, RETRY_S)
        refused = {id(action) for action, _reason in failed}
        done = [action for action in plan.actions if id(action) not in refused]
        for action in done[:SHOWN]:
            log(f"{instance}: {instance.describe(action)}")
        if len(done) > SHOWN:
            log(f"{instance}: … and {len(done) - SHOWN} more changes")
