# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the configuration files of CNI networks. Private to this collection."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import tempfile
import typing as t

from .._daemon import files as disk
from .._daemon.plan import MARK, SeenFile, WantedFile, is_ours
from .._daemon.service import PATH
from .._engine.change import Change
from .._netlink.namespaces import MNT_DETACH, unmount
from . import leases
from .calls import installed, kept
from .leases import Lease
from .slaves import Survey, conflicts, refusals, survey

PACKAGE = "containernetworking-plugins"
ANSWER_S = 60
OWN_PLUGIN = "routed-hypervisor"  # it supports all versions of chains
SUFFIXES = (".conflist", ".conf", ".json")  # of files that runtimes read
_VERSION = re.compile(r'("cniVersion"\s*:\s*")([^"]*)(")')


class CniError(Exception):
    """All mistakes, one a line."""


@dataclasses.dataclass
class NetworkFile:
    path: str
    content: str
    document: dict[str, t.Any]

    @property
    def name(self) -> str:
        return str(self.document.get("name", ""))

    @property
    def plugins(self) -> list[dict[str, t.Any]]:
        found = self.document.get("plugins", [self.document])
        return [plugin for plugin in found if isinstance(plugin, dict)] if isinstance(found, list) else []

    @property
    def types(self) -> set[str]:
        """The plugins that it names, and the one that ours calls."""
        ipam = [plugin["ipam"] for plugin in self.plugins if isinstance(plugin.get("ipam"), dict)]
        called = {"dhcp" for each in ipam if "daemonSocketPath" in each}
        return called | {str(each["type"]) for each in (*self.plugins, *ipam) if each.get("type")}

    @property
    def data_directory(self) -> str:
        """Where host-local records the network's addresses."""
        for plugin in self.plugins:
            ipam = plugin.get("ipam")
            if isinstance(ipam, dict) and ipam.get("dataDir"):
                return str(ipam["dataDir"])
        return leases.DEFAULT

    @property
    def subnets(self) -> list[str]:
        found = []
        for plugin in self.plugins:
            ipam = plugin.get("ipam")
            ranges = ipam.get("ranges", []) if isinstance(ipam, dict) else []
            found += [str(each["subnet"]) for several in ranges for each in several]
        return found

    @property
    def ranges(self) -> list[tuple[str, str]]:
        """The first and the last address of each range."""
        found = []
        for plugin in self.plugins:
            ipam = plugin.get("ipam")
            several = ipam.get("ranges", []) if isinstance(ipam, dict) else []
            found += [(str(each["rangeStart"]), str(each["rangeEnd"])) for ranges in several for each in ranges]
        return found

    @property
    def link(self) -> tuple[t.Any, ...]:
        """What a container's link is made from; it cannot be changed while there is one."""
        return tuple((plugin.get("type"), plugin.get("master"), plugin.get("mode")) for plugin in self.plugins[:1])


@dataclasses.dataclass
class Plan:
    changes: list[Change[str]] = dataclasses.field(default_factory=list)
    wanted: dict[str, WantedFile] = dataclasses.field(default_factory=dict)
    seen: dict[str, SeenFile] = dataclasses.field(default_factory=dict)
    released: list[Lease] = dataclasses.field(default_factory=list)
    forgotten: list[NetworkFile] = dataclasses.field(default_factory=list)
    unmounted: list[str] = dataclasses.field(default_factory=list)


def parse(path: str, content: str, mistakes: list[str]) -> NetworkFile | None:
    try:
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("not an object")
    except ValueError as error:
        mistakes.append(f"{path}: is not JSON: {error}")
        return None
    return NetworkFile(path, content, document)


def existing(directory: str) -> tuple[dict[str, SeenFile], list[NetworkFile]]:
    """All files that runtimes read, and what those say that can be read."""
    seen, found = {}, []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        path = os.path.join(directory, name)
        file = disk.read(path) if name.endswith(SUFFIXES) and os.path.isfile(path) else None
        if file is not None:
            seen[path] = file
            network = parse(path, file.content.decode(errors="replace"), [])
            if network is not None:
                found.append(network)
    return seen, found


def supported(plugin: str, directories: t.Sequence[str]) -> list[str] | None:
    """The versions of the specification that a plugin supports; None if it is not installed."""
    path = installed(plugin, directories)
    if path is None:
        return None
    environment = {"CNI_COMMAND": "VERSION", "PATH": PATH}
    try:
        # A file instead of a pipe: the plugin may end before it reads.
        with tempfile.TemporaryFile() as request:
            request.write(b'{"cniVersion": "1.0.0"}')
            request.seek(0)
            done = subprocess.run(
                [path], stdin=request, capture_output=True, text=True, check=False, env=environment, timeout=ANSWER_S
            )
        return [str(version) for version in json.loads(done.stdout)["supportedVersions"]]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return []


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def with_version(file: NetworkFile, versions: dict[str, list[str] | None], mistakes: list[str]) -> str:
    """The content with the newest version, up to the one in it, that all its plugins support."""
    common = set.intersection(*(set(versions[plugin] or ()) for plugin in file.types - {OWN_PLUGIN}))
    limit = _numbers(str(file.document.get("cniVersion", "")))
    usable = sorted((version for version in common if _numbers(version) <= limit), key=_numbers)
    if not usable:
        mistakes.append(
            f"{file.path}: {', '.join(sorted(file.types - {OWN_PLUGIN}))} support no common version up to "
            f"{file.document.get('cniVersion')} of the CNI specification"
        )
        return file.content
    return _VERSION.sub(lambda match: f"{match[1]}{usable[-1]}{match[3]}", file.content, count=1)


def plan(params: dict[str, t.Any], check_mode: bool) -> Plan:
    """Raises CniError for everything that can be found out before the first change."""
    mistakes: list[str] = []
    seen, others = existing(params["directory"])
    wanted = [file for given in params["files"] if (file := parse(given["path"], given["content"], mistakes))]
    paths = {file.path for file in wanted} if params["state"] != "deleted" else set()
    removed = [file for file in others if is_ours(seen[file.path].content) and file.path not in paths]
    made = Plan(seen=seen)
    if not wanted and not removed and not mistakes:
        return made
    found = survey()
    _unmount(found, made)
    is_chained = params["state"] == "overridden" and any(OWN_PLUGIN in file.types for file in wanted)
    if is_chained:
        _plan_plugin(params, made, mistakes)
    for file in removed:
        _plan_removal(file, found, made, mistakes)
    if params["state"] == "pruned":
        for file in wanted:
            mistakes += _conflicts(file, found)
    if params["state"] == "overridden":
        types = {plugin for file in wanted for plugin in file.types} - ({OWN_PLUGIN} if params["plugin"] else set())
        versions = {plugin: supported(plugin, params["plugins"]) for plugin in types}
        for plugin in sorted(name for name, numbers in versions.items() if numbers is None):
            mistakes.append(f"the CNI plugin {plugin} is missing (package {PACKAGE})")
        for file in wanted:
            mistakes += _content_mistakes(file, seen, others) + _kernel_mistakes(file, found, check_mode)
            if None not in [versions.get(plugin, []) for plugin in file.types]:
                _plan_file(file, with_version(file, versions, mistakes), found, made, mistakes)
    if params["state"] != "pruned" and not is_chained:
        _plan_plugin_removal(params, made)
    if mistakes:
        raise CniError("\n".join(mistakes))
    return made


def _plan_plugin(params: dict[str, t.Any], made: Plan, mistakes: list[str]) -> None:
    """Our own plugin is beside the others, where every runtime looks for those of its networks."""
    beside = installed("ipvlan", params["plugins"])
    if beside is None or not params["plugin"]:
        return
    path = os.path.join(os.path.dirname(beside), OWN_PLUGIN)
    old, file = disk.read(path), WantedFile(path, params["plugin"].encode(), 0o755)
    made.wanted[path] = file
    if old is None:
        made.changes.append(Change("files", "create", path, "it does not exist"))
        return
    made.seen[path] = old
    if not is_ours(old.content):
        mistakes.append(f"{path} is not ours: remove it")
    elif (old.content, old.mode) != (file.content, file.mode):
        made.changes.append(Change("files", "change", path, "its content or mode differs"))


def _plan_plugin_removal(params: dict[str, t.Any], made: Plan) -> None:
    for directory in params["plugins"]:
        path = os.path.join(directory, OWN_PLUGIN)
        old = disk.read(path)
        if old is not None and is_ours(old.content):
            made.seen[path] = old
            made.changes.append(Change("files", "delete", path, "it is ours, and not wanted"))


def _unmount(found: Survey, made: Plan) -> None:
    """What our plugin has mounted for processes that have ended: nothing else keeps these namespaces."""
    made.unmounted += found.unused
    made.changes += [
        Change("namespaces", "release", os.path.basename(path), "its last process has ended without the plugin")
        for path in found.unused
    ]


def _content_mistakes(file: NetworkFile, seen: dict[str, SeenFile], others: list[NetworkFile]) -> list[str]:
    mistakes = []
    if not is_ours(file.content.encode()):
        mistakes.append(f"{file.path}: the first line of the content does not contain `{MARK}`")
    if file.path in seen and not is_ours(seen[file.path].content):
        mistakes.append(f"{file.path} is not ours: remove it, or rename the network")
    mistakes += [
        f"{file.path}: {other.path}, which is not ours, has a network of the same name, {file.name}"
        for other in others
        if other.name == file.name and other.path != file.path and not is_ours(seen[other.path].content)
    ]
    return mistakes


def _kernel_mistakes(file: NetworkFile, found: Survey, check_mode: bool) -> list[str]:
    plugin = next((plugin for plugin in file.plugins if plugin.get("type") == "ipvlan"), None)
    if plugin is None:
        return []
    mistakes = refusals(found, str(plugin.get("master")), plugin.get("mode", "l2"), plugin.get("mtu"), check_mode)
    return [f"{file.path}: {mistake}" for mistake in mistakes]


def _conflicts(file: NetworkFile, found: Survey) -> list[str]:
    plugins = [plugin for plugin in file.plugins if plugin.get("type") == "ipvlan"]
    wrong = [conflicts(found, str(one.get("master")), one.get("mode", "l2"), file.subnets) for one in plugins]
    return [f"{file.path}: {mistake}" for mistakes in wrong for mistake in mistakes]


def _used(file: NetworkFile, found: Survey) -> tuple[list[Lease], list[Lease]]:
    """The leases of running containers, and those of containers that have gone."""
    all_of_them = leases.read(file.data_directory, file.name)
    alive = [lease for lease in all_of_them if lease.address in found.addresses or leases.is_new(lease)]
    return alive, [lease for lease in all_of_them if lease not in alive]


def _addresses_on(file: NetworkFile, found: Survey) -> set[str]:
    """The addresses on links as the file wants them: only the file was changed, by somebody else."""
    links = [slave for _type, master, mode in file.link for slave in found.slaves.get(master, ()) if slave.mode == mode]
    return {address for link in links for address in link.addresses}


def _users(file: NetworkFile, alive: list[Lease]) -> str:
    """The running containers: with DHCP, those whose results a runtime has kept."""
    if "dhcp" in file.types:
        return ", ".join(each.container.name[:12] for each in kept(file.name))
    return leases.named(alive)


def _plan_removal(file: NetworkFile, found: Survey, made: Plan, mistakes: list[str]) -> None:
    alive, gone = _used(file, found)
    if users := _users(file, alive):
        mistakes.append(f"{file.path}: the network {file.name} is in use by {users}: remove them first")
        return
    _release(gone, made)
    made.forgotten.append(file)
    made.changes.append(Change("files", "delete", file.path, "it is ours, and not wanted"))


def _release(gone: list[Lease], made: Plan) -> None:
    made.released += gone
    made.changes += [
        Change("leases", "release", lease.address, f"its container {lease.short} has gone without the plugin")
        for lease in gone
    ]


def _plan_file(file: NetworkFile, content: str, found: Survey, made: Plan, mistakes: list[str]) -> None:
    old = made.seen.get(file.path)
    before = parse(file.path, old.content.decode(errors="replace"), []) if old and is_ours(old.content) else None
    alive, gone = _used(file, found)
    other = [lease for lease in alive if lease.address not in _addresses_on(file, found)]
    if before is not None and before.link != file.link and (users := _users(before, other)):
        wrong = f"the link of {file.name} cannot be changed while it is in use by {users}"
        mistakes.append(f"{file.path}: {wrong}: remove them first")
    _release(gone, made)
    made.wanted[file.path] = WantedFile(file.path, content.encode())
    if old is None:
        made.changes.append(Change("files", "create", file.path, "it does not exist"))
    elif old.content != content.encode():
        made.changes.append(Change("files", "change", file.path, "its content differs"))
    elif (old.mode, old.uid, old.gid) != (0o644, 0, 0):
        made.changes.append(Change("files", "change", file.path, "its owner or mode differs"))


def apply(made: Plan) -> None:
    for path in made.unmounted:
        with contextlib.suppress(OSError):  # the plugin has done it meanwhile
            unmount(path, MNT_DETACH)
            os.unlink(path)
    leases.release(made.released)
    for change in made.changes:
        if change.kind == "files":
            old = made.seen.get(change.name)
            disk.apply(change, made.wanted.get(change.name) or WantedFile(change.name, b""), old)
    for file in made.forgotten:
        leases.forget(file.data_directory, file.name)


def difference(made: Plan) -> dict[str, str]:
    paths = [change.name for change in made.changes if change.kind == "files"]

    def text(contents: t.Mapping[str, SeenFile | WantedFile]) -> str:
        return "".join(f"# {path}\n{contents[path].content.decode()}" for path in paths if path in contents)

    return {"before": text(made.seen), "after": text(made.wanted)}
