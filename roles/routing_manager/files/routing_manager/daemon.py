# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service: follows the kernel and every GoBGP, and corrects what changed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import typing as t

from . import config
from ._netlink.codec import address_text
from ._netlink.sockets import Network, Notifications, Overrun
from .containers import Containers, watch_mounts
from .follow import Follower
from .instance import Instance
from .kernel import Host
from .model import Prefix

HOST_GROUPS = ("link", "address4", "address6", "route4", "route6")
CONTAINER_GROUPS = ("link", "address4", "address6", "nsid")
TOGETHER_S = 0.02  # changes of the host within this time are handled together
RETRY_S = 2.0  # after a route that the kernel refused
SHOWN = 20  # so many changes are logged one by one

log = logging.getLogger("routed-hypervisor-routes")


class Daemon:
    def __init__(self, settings: config.Config) -> None:
        network = Network()
        self.host = Host(network, *settings.watched())
        self.containers = Containers(network, settings.namespaces)
        self.host_events = Notifications(HOST_GROUPS)
        self.container_events = Notifications(CONTAINER_GROUPS, everywhere=True)
        self.instances = [Instance(entry, settings.metric, self.host) for entry in settings.instances]
        self.followers = [Follower(entry, settings.stale_s, self.correct) for entry in self.instances]
        self.warnings: set[str] = set()  # each is logged once
        self.pending: dict[t.Any, asyncio.TimerHandle] = {}

    async def run(self, path: str) -> None:
        """Returns after SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        # Routes stay where they are: traffic continues without us, and the next start adopts them.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        watch_mounts(lambda: loop.call_soon_threadsafe(self.soon, self.on_mounts_changed))
        loop.add_reader(self.host_events.fileno(), self.on_host_event)
        loop.add_reader(self.container_events.fileno(), self.on_container_event)
        self.host.read()
        self.containers.scan(everything=True)
        self.on_containers_changed()
        tasks = [asyncio.create_task(follower.run()) for follower in self.followers]
        loop.add_signal_handler(signal.SIGHUP, self.reload, path)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        tables = [f"table {instance.settings.table} ({instance})" for instance in self.instances]
        log.info("started for %s", ", ".join(tables) or "no table")
        waiting = asyncio.create_task(ended.wait())
        done, _rest = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self.close()
        for task in done:
            task.result()  # an error ends the process: the service is started again
        os._exit(0)  # at once, without waiting for running commands of GoBGP

    def close(self) -> None:
        for follower in self.followers:
            follower.close()

    def reload(self, path: str) -> None:
        """Starts again with the new configuration, in the same process; as after a restart, nothing is lost."""
        try:
            config.load(path)
        except config.ConfigError as error:
            for line in str(error).splitlines():
                log.error("%s", line)
            log.error("the new configuration is wrong: the old one stays in effect")
            return
        log.info("reloading the configuration")
        self.close()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    def soon(self, action: t.Callable[[], None], delay: float = TOGETHER_S) -> None:
        """Calls an action once, however often it is requested within the delay."""
        if action not in self.pending:

            def do() -> None:
                del self.pending[action]
                action()

            self.pending[action] = asyncio.get_running_loop().call_later(delay, do)

    # the host

    def on_host_event(self) -> None:
        changed = False
        try:
            for _where, kind, body in self.host_events.read():
                changed |= self.host.takes(kind, body)
        except Overrun:
            log.warning("notifications were lost: reading everything again")
            changed = True
        if changed:
            self.soon(self.on_host_changed)

    def on_host_changed(self) -> None:
        self.host.read()
        for instance in self.instances:
            instance.host_changed()
            self.correct(instance, None)
        self.announce()

    # containers

    def on_container_event(self) -> None:
        changed = False
        try:
            for where, kind, body in self.container_events.read():
                changed |= self.containers.takes(where, kind, body)
        except Overrun:
            log.warning("notifications of containers were lost: reading all of them again")
            changed = self.containers.scan(everything=True)
        if changed:
            self.on_containers_changed()

    def on_mounts_changed(self) -> None:
        # Removals first: a new namespace may have the number and the inode of one that has just been removed.
        self.on_container_event()
        if self.containers.scan():
            self.on_containers_changed()

    def on_containers_changed(self) -> None:
        found = self.containers.addresses()
        for instance in self.instances:
            if changed := instance.take_containers(found):
                self.correct(instance, changed)
            for address, _length in instance.containers:
                if len(found[address]) > 1:
                    self.warn(f"{instance}: {address_text(address)} is in {' and in '.join(sorted(found[address]))}")
        self.announce()

    # both sides

    def announce(self) -> None:
        for follower in self.followers:
            follower.wake.set()

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.add(text)
            log.warning("%s", text)

    def correct(self, instance: Instance, only: t.Collection[Prefix] | None) -> None:
        """Brings the kernel in step with GoBGP, for all prefixes or for some."""
        plan = instance.plan(only)
        for ours, other in plan.blocked:
            self.warn(f"{instance}: {ours.prefix} cannot be written: a route of protocol {other.protocol} has its key")
        if not plan.actions:
            return
        failed = self.host.apply(instance.settings.table, plan.actions)
        instance.routes_changed(plan.actions)
        for action, reason in failed:
            self.warn(f"{instance}: {action.route.prefix} cannot be changed ({action.verb}): {reason}")
        if failed:
            self.soon(self.on_host_changed, RETRY_S)
        refused = {id(action) for action, _reason in failed}
        done = [action for action in plan.actions if id(action) not in refused]
        for action in done[:SHOWN]:
            log.info("%s: %s", instance, instance.describe(action))
        if len(done) > SHOWN:
            log.info("%s: … and %d more changes", instance, len(done) - SHOWN)
