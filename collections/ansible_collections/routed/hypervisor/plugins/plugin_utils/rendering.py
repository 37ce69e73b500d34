# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the files of many nodes in one task: a task per node would cost more than rendering.

Private to this collection.
"""

from __future__ import annotations

import typing as t
from pathlib import PurePosixPath

import jinja2
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ..module_utils._daemon import ndppd
from .templates import Templates, Variables

FILE = {
    "path": {"type": "str", "required": True},
    "template": {"type": "str"},
    "proxies": {"type": "str"},
    "when": {"type": "str", "default": "true"},
    "loop": {"type": "str"},
    "loop_var": {"type": "str", "default": "item"},
    "secret": {"type": "str", "default": "false", "no_log": False},
    # Of the file on the node.
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str"},
    "secret_part": {"type": "str", "no_log": False},
}
# The option of a module.
FILES: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": FILE,
    "mutually_exclusive": [("template", "proxies")],
    "required_one_of": [("template", "proxies")],
}
File = tuple[bytes, int]  # its text and mode


class Placeholders(dict):
    """Stands for a variable with secrets: any key of it is a text that names the place of the secret."""

    def __init__(self, variable: str) -> None:
        super().__init__()
        self.variable = variable

    def __missing__(self, key: str) -> str:
        return f"<{self.variable}.{key}>"


def rendered(
    action: ActionBase, task_vars: dict, nodes: list[str], entries: list[dict], placeholders: list[str]
) -> dict[str, dict[str, File]]:
    """The files of each node by path. PLACEHOLDERS are variables whose values are replaced by their names."""
    hidden = {name: Placeholders(name) for name in placeholders}
    templates = Templates(lambda name: action._find_needle("templates", name), task_vars["ansible_search_path"])
    found, mistakes = {}, []
    for node in nodes:
        variables = Variables(_variables(action, node, task_vars), action._templar)
        found[node] = _files(node, entries, templates, variables, hidden, mistakes)
    if mistakes:
        raise AnsibleActionFail("; ".join(mistakes))
    return found


def _variables(action: ActionBase, node: str, task_vars: dict) -> dict:
    """All variables of this task as on the node."""
    if node == task_vars["inventory_hostname"]:
        return task_vars
    # hostvars[node] lacks the variables of the play and the role.
    every = task_vars["hostvars"]
    host = every._inventory.get_host(node)
    if host is None:
        raise AnsibleActionFail(f"nodes: there is no {node} in the inventory")
    found = every._variable_manager.get_vars(play=action._task.get_play(), host=host, task=action._task)
    return {**found, "ansible_search_path": task_vars["ansible_search_path"]}


def _files(
    node: str, entries: list, templates: Templates, variables: Variables, hidden: dict, mistakes: list
) -> dict[str, File]:
    """A node's files by path. HIDDEN are variables that replace those of the node."""
    files = {}
    for entry in entries:
        try:
            items = [None] if entry["loop"] is None else templates.value(entry["loop"], variables, hidden)
            for item in items:
                more = hidden if entry["loop"] is None else {entry["loop_var"]: item, **hidden}
                if not templates.value(entry["when"], variables, more):
                    continue
                path = templates.line(entry["path"], variables, more).lstrip("/")
                if not _is_below(path):
                    mistakes.append(f"{node}: {path}: must be a path below the directory")
                elif path in files:
                    mistakes.append(f"{node}: {path}: there are two files with this path")
                else:
                    secret = not hidden and templates.value(entry["secret"], variables, more)
                    mode = 0o600 if secret else 0o644
                    files[path] = (_text(entry, templates, variables, more).encode(), mode)
        except (AnsibleError, jinja2.TemplateError, KeyError, TypeError, ValueError) as error:
            raise AnsibleActionFail(f"{node}: {entry['path']} cannot be rendered: {error}") from error
    return files


def _text(entry: dict, templates: Templates, variables: Variables, more: dict) -> str:
    if entry["template"] is not None:
        return templates.text(entry["template"], variables, more)
    proxies = templates.value(entry["proxies"], variables, more)
    return ndppd.render(ndppd.Config(ndppd.combine({}, proxies, "overridden")))


def _is_below(text: str) -> bool:
    path = PurePosixPath(text)
    return ".." not in path.parts and path.name != ""
