# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service: follows the kernel and every GoBGP, and sets right what changed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import typing as t

from . import config, netlink
from .containers import Containers, watch_mounts
from .follow import Follower
from .instance import Instance
from .kernel import Host
from .model import Prefix, text

HOST_GROUPS = ("link", "address4", "address6", "route4", "route6")
CONTAINER_GROUPS = ("link", "address4", "address6", "nsid")
TOGETHER_S = 0.02  # changes of the host that come within this time are read together
RETRY_S = 2.0  # after a route that the kernel refused
SHOWN = 20  # so many changes are logged one by one

log = logging.getLogger("routed-hypervisor-routes")


class Daemon:
    def __init__(self, settings: config.Config) -> None:
        self.requests = netlink.Requests()
        self.host = Host(self.requests, *settings.watched())
        self.containers = Containers(self.requests, settings.namespaces)
        self.host_news = netlink.Notifications(HOST_GROUPS)
        self.container_news = netlink.Notifications(CONTAINER_GROUPS, everywhere=True)
        self.instances = [Instance(entry, settings.metric, self.host) for entry in settings.instances]
        self.followers = [Follower(entry, settings.stale_s, self.set_right) for entry in self.instances]
        self.said: set[str] = set()  # complaints, each once
        self.pending: dict[t.Any, asyncio.TimerHandle] = {}

    async def run(self, path: str) -> None:
        """Returns when it was asked to end."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        # Routes stay where they are: the network goes on without us, and the next of us adopts them.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        watch_mounts(lambda: loop.call_soon_threadsafe(self.soon, self.mounts_changed))
        loop.add_reader(self.host_news.fileno(), self.hear_host)
        loop.add_reader(self.container_news.fileno(), self.hear_containers)
        self.host.read()
        self.containers.scan(everything=True)
        self.containers_changed()
        tasks = [asyncio.create_task(follower.run()) for follower in self.followers]
        loop.add_signal_handler(signal.SIGHUP, self.reload, path)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        log.info("in charge of %s", ", ".join(f"table {i.settings.table} ({i})" for i in self.instances) or "nothing")
        waiting = asyncio.create_task(ended.wait())
        done, _rest = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self.close()
        for task in done:
            task.result()  # an error ends us: whoever started us starts us again
        os._exit(0)  # at once, without waiting for commands of GoBGP that are under way

    def close(self) -> None:
        for follower in self.followers:
            follower.close()

    def reload(self, path: str) -> None:
        """Begins anew with the new configuration, in the same process; nothing is lost by it, as after a restart."""
        try:
            config.load(path)
        except config.ConfigError as error:
            for line in str(error).splitlines():
                log.error("%s", line)
            log.error("the configuration was not read again; the old one holds")
            return
        log.info("reading the configuration again")
        self.close()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    def soon(self, action: t.Callable[[], None], delay: float = TOGETHER_S) -> None:
        """Does something once, however often it is asked for within the delay."""
        if action not in self.pending:

            def do() -> None:
                del self.pending[action]
                action()

            self.pending[action] = asyncio.get_running_loop().call_later(delay, do)

    # the host

    def hear_host(self) -> None:
        try:
            news = [message for _where, message in self.host_news.read() if self.host.is_news(message)]
        except netlink.Overrun:
            log.warning("notifications were lost: reading everything again")
            news = [None]
        if news:
            self.soon(self.host_changed)

    def host_changed(self) -> None:
        self.host.read()
        for instance in self.instances:
            instance.host_changed()
            self.set_right(instance, None)
        self.announce()

    # containers

    def hear_containers(self) -> None:
        news = False
        try:
            for where, message in self.container_news.read():
                news |= self.containers.heed(where, message)
        except netlink.Overrun:
            log.warning("notifications of containers were lost: reading all again")
            news = self.containers.scan(everything=True)
        if news:
            self.containers_changed()

    def mounts_changed(self) -> None:
        # First who has gone: a new namespace may have the number and the inode of one that has just gone.
        self.hear_containers()
        if self.containers.scan():
            self.containers_changed()

    def containers_changed(self) -> None:
        found = self.containers.addresses()
        for instance in self.instances:
            if changed := instance.take_containers(found):
                self.set_right(instance, changed)
            for address, _length in instance.containers:
                if len(found[address]) > 1:
                    self.complain(f"{instance}: {text(address)} is in {' and in '.join(sorted(found[address]))}")
        self.announce()

    # both sides

    def announce(self) -> None:
        for follower in self.followers:
            follower.wake.set()

    def complain(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            log.warning("%s", text)

    def set_right(self, instance: Instance, only: t.Collection[Prefix] | None) -> None:
        """Brings the kernel in step with what GoBGP says, of all prefixes or of some."""
        plan = instance.plan(only)
        for ours, other in plan.blocked:
            self.complain(
                f"{instance}: {ours.prefix} cannot be written: a route of protocol {other.protocol} has its place"
            )
        if not plan.actions:
            return
        failed = self.host.apply(instance.settings.table, plan.actions)
        instance.routes_changed(plan.actions)
        for action, reason in failed:
            self.complain(f"{instance}: {action.route.prefix} cannot be changed ({action.verb}): {reason}")
        if failed:
            self.soon(self.host_changed, RETRY_S)
        refused = {id(action) for action, _reason in failed}
        done = [action for action in plan.actions if id(action) not in refused]
        for action in done[:SHOWN]:
            log.info("%s: %s", instance, instance.describe(action))
        if len(done) > SHOWN:
            log.info("%s: … and %d more changes", instance, len(done) - SHOWN)
