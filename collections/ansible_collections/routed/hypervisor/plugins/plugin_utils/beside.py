# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files beside an intent: what Ansible would ignore in them, and names that the intent does not have.

Private to this collection.
"""

from __future__ import annotations

import functools
import os
import re
import typing as t
import weakref
from dataclasses import dataclass, field

import yaml
from ansible.errors import AnsibleParserError
from ansible.inventory.manager import IGNORED

from ..module_utils._engine.printable import counted, printable, shortened, shown
from ..module_utils._engine.spelling import closest
from .intent.load import invalid_yaml
from .intent.mistakes import IntentError, Mistakes, Path

SECTIONS = ("hosts", "children", "vars")  # of a group
EXTENSIONS = (".yml", ".yaml", ".json")  # of files in group_vars and host_vars
OF_ANSIBLE = frozenset(("all", "ungrouped", "localhost"))
SHOWN = 10  # warnings about one file


class IntentRefused(AnsibleParserError):
    """The full reason why an inventory cannot be used. With Ansible's own context everything would be printed twice."""

    _formatted_source_context = None


@dataclass
class Beside:
    """What the files of one inventory have added to it."""

    intent: str = ""  # its path
    nodes: t.Collection[str] = ()
    groups: t.Collection[str] = ()
    hosts_of_files: dict[str, str] = field(default_factory=dict)  # the file that a host is in first
    groups_of_files: dict[str, str] = field(default_factory=dict)


_FOUND: weakref.WeakKeyDictionary[t.Any, Beside] = weakref.WeakKeyDictionary()


def beside(inventory: t.Any) -> Beside:
    return _FOUND.setdefault(getattr(inventory, "__wrapped__", inventory), Beside())


def files_after(path: str) -> list[str]:
    """The files of this directory that Ansible reads after this one."""
    directory, name = os.path.split(os.fsencode(path))
    entries = [entry for entry in os.scandir(directory or b".") if entry.is_file() and not IGNORED.search(entry.name)]
    return sorted(os.fsdecode(entry.path) for entry in entries if entry.name > name)


# What Ansible ignores in a YAML file of hosts, with a warning at most.


def check_groups(path: str) -> None:
    """Raises IntentError if a YAML file of hosts has something in a place where Ansible ignores it."""
    with open(path, "rb") as file:
        text = file.read()
    if text.startswith(b"$ANSIBLE_VAULT"):
        return
    try:
        document = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise IntentError(path, [invalid_yaml(error)]) from None
    except yaml.YAMLError as error:
        raise IntentError(path, [f"invalid YAML: {shown(str(error))}"]) from None
    if document is not None and not isinstance(document, yaml.MappingNode):
        wrong = "must be a map of groups, such as all: {hosts: {hv1: {ansible_host: 192.0.2.1}}}"
        raise IntentError(path, [f"{wrong}; the name of a file in INI form has no .yml"])
    if isinstance(document, yaml.MappingNode):
        groups = _Groups()
        for name, body in document.value:
            groups.check(name, body, ())
        if groups.mistakes:
            raise IntentError(path, groups.mistakes.lines(groups.lines.get))


class _Groups:
    def __init__(self) -> None:
        self.mistakes = Mistakes()
        self.lines: dict[Path, int] = {}

    def check(self, name: yaml.Node, body: yaml.Node, above: Path) -> None:
        path = self._at(above, name)
        if _is_empty(body):
            return
        if not isinstance(body, yaml.MappingNode):
            self.mistakes.add(path, "neither a group nor a host", "a group is a map with hosts, children or vars")
            return
        keys = {key.value: (key, value) for key, value in body.value}
        unknown = [key for key in keys if key not in (*SECTIONS, "<<")]
        is_host = len(unknown) == len(keys) and any(not _is_map(keys[key][1]) for key in unknown)
        if is_host and name.value not in OF_ANSIBLE:
            self.mistakes.add(path, "a host where Ansible expects a group", f"write it as all.hosts.{name.value}")
            return
        for key in unknown:
            place = self._at(path, keys[key][0])
            if closest(key, SECTIONS):
                self.mistakes.unknown_key(path, key, SECTIONS, keys)
            elif _is_map(keys[key][1]):
                self.mistakes.add(place, "not a key of a group", "put a host under hosts, a group under children")
            else:
                self.mistakes.add(place, "not a key of a group", "put a variable under vars")
        if "hosts" in keys and isinstance(keys["hosts"][1], yaml.SequenceNode):
            right = "write each host as a key, such as hv1: {}"
            self.mistakes.add(self._at(path, keys["hosts"][0]), "a list where a map is expected", right)
        if "children" in keys and isinstance(keys["children"][1], yaml.MappingNode):
            for child, below in keys["children"][1].value:
                self.check(child, below, self._at(path, keys["children"][0]))

    def _at(self, above: Path, key: yaml.Node) -> Path:
        path = (*above, str(key.value))
        self.lines[path] = key.start_mark.line + 1
        return path


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _is_map(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) or _is_empty(node)


# Names that the intent does not have.


def check_names(inventory: t.Any, directory: str) -> tuple[dict[str, list[str]], list[str]]:
    """Names that are certainly wrong, in lines by file, and warnings about those that are probably mistyped."""
    found = beside(inventory)
    wrong: dict[str, list[str]] = {}
    warnings: dict[str, list[str]] = {}
    for group, path in found.groups_of_files.items():
        if group in found.nodes:
            message = f"{group}: a node of the intent in the place of a group; write it as all.hosts.{group}"
            wrong.setdefault(path, []).append(_in_line(path, group, message))
        elif (near := closest(group, found.groups)) and not inventory.groups[group].get_hosts():
            message = f"the group {group} has no hosts; did you mean {near}?"
            warnings.setdefault(path, []).append(_in_line(path, group, message))
    for host, path in found.hosts_of_files.items():
        if host in found.nodes:
            continue
        groups = {group.name for group in inventory.hosts[host].get_groups()} - OF_ANSIBLE
        if ours := groups.intersection(found.groups):
            near = closest(host, found.nodes)
            right = f"did you mean {near}?" if near else "add it to the intent, or use a group of your own"
            message = f"{host}: no node of the intent, but in its group {min(ours)}; {right}"
            wrong.setdefault(path, []).append(_in_line(path, host, message))
        elif (near := closest(host, found.nodes)) or not groups:
            right = f"did you mean {near}?" if near else "put another machine in a group of your own"
            message = f"no node of the intent is called {host}; {right}"
            warnings.setdefault(path, []).append(_in_line(path, host, message))
    for kind, known in (("group", inventory.groups), ("host", inventory.hosts)):
        place = os.path.join(directory, f"{kind}_vars")
        for file, name in _variables(place):
            if name not in known and name not in OF_ANSIBLE:
                near = closest(name, known)
                right = f"did you mean {near}?" if near else "rename or remove it"
                message = f"{file}: no {kind} is called {name}, so nothing uses it; {right}"
                warnings.setdefault(place, []).append(message)
    mistakes = {path: sorted(lines, key=_number) for path, lines in wrong.items()}
    return mistakes, [line for path, lines in warnings.items() for line in _listed(path, sorted(lines, key=_number))]


def together(lines: list[str], more: list[str]) -> list[str]:
    """In the order of the file; of two lines about the same name, only the first."""
    about = set(map(_about, lines))
    return sorted([*lines, *(line for line in more if _about(line) not in about)], key=_number)


def _about(line: str) -> str:
    return line.partition(": ")[0].partition(", ")[2]


def _listed(path: str, lines: list[str]) -> list[str]:
    shown = [printable(f"{path}: {line}") for line in lines[:SHOWN]]
    more = len(lines) - SHOWN
    return [*shown, f"{path}: {counted(more, 'more name(s)')} like these"] if more > 0 else shown


def _in_line(path: str, name: str, message: str) -> str:
    """MESSAGE with the line in which NAME is first, if it is written out there."""
    found = re.search(rf"(?m)(?:^|[\s\"'{{\[,]){re.escape(name)}(?![\w.-])", _text(path))
    return f"line {_text(path).count(chr(10), 0, found.end()) + 1}, {message}" if found else message


def _number(line: str) -> int:
    found = re.match(r"line (\d+),", line)
    return int(found[1]) if found else 0


@functools.lru_cache(4)
def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _variables(directory: str) -> t.Iterator[tuple[str, str]]:
    """The files and directories of variables, and the names that they are for."""
    for entry in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        if not IGNORED.search(os.fsencode(entry)):
            name, extension = os.path.splitext(entry)
            yield shortened(entry), name if extension in EXTENSIONS else entry
