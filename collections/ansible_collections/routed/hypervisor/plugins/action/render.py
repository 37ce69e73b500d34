# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

from ansible.plugins.action import ActionBase

from ..module_utils._daemon.plan import is_ours
from ..module_utils._engine.change import Change
from ..plugin_utils.rendering import FILES, File, rendered


class ActionModule(ActionBase):
    """Runs entirely on the controller, for many nodes in one task: a task per node would cost more than rendering.

    Documented in the module of the same name.
    """

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(
            argument_spec={
                "directory": {"type": "path", "required": True},
                "nodes": {"type": "list", "elements": "str"},
                "files": {**FILES, "required": True},
                "placeholders": {"type": "list", "elements": "str", "default": []},
            }
        )
        nodes = given["nodes"] if given["nodes"] is not None else [task_vars["inventory_hostname"]]
        # All files are rendered before the first is written: an error changes nothing.
        wanted = rendered(self, task_vars, nodes, given["files"], given["placeholders"])
        changes: list[Change] = []
        diff: list[dict] = []
        for node, files in wanted.items():
            self._bring(Path(given["directory"]), node, files, changes, diff)
        return {"changed": bool(changes), "changes": [change.shown() for change in changes], "diff": diff}

    def _bring(self, top: Path, node: str, files: dict[str, File], changes: list[Change], diff: list[dict]) -> None:
        """Writes files that differ, and removes managed files that are no longer wanted."""
        for path, after in {**files, **dict.fromkeys(_left_over(top / node, files))}.items():
            before = _read(top / node / path)
            if before == after:
                continue
            changes.append(_change(f"{node}/{path}", before, after))
            if self._task.diff:
                diff.append(_difference(f"{node}/{path}", before, after))
            if self._task.check_mode:
                continue
            if after is None:
                (top / node / path).unlink()
            else:
                _write(top / node / path, before, *after)


def _read(path: Path) -> File | None:
    try:
        return path.read_bytes(), path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _write(path: Path, before: File | None, text: bytes, mode: int) -> None:
    if before and before[0] == text:
        path.chmod(mode)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # The file never exists with a mode that lets others read it.
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
    draft.chmod(mode)
    draft.replace(path)


def _left_over(directory: Path, files: dict[str, File]) -> list[str]:
    """Other files below DIRECTORY that our templates rendered."""
    found = []
    for where, _directories, names in os.walk(directory):
        for path in (Path(where, name) for name in names):
            if str(path.relative_to(directory)) not in files:
                with path.open("rb") as file:
                    if is_ours(file.read(400)):
                        found.append(str(path.relative_to(directory)))
    return sorted(found)


def _change(path: str, before: File | None, after: File | None) -> Change:
    if after is None:
        return Change("files", "delete", path, "it is managed and no longer wanted")
    if before is None:
        return Change("files", "create", path, "it does not exist")
    if before[0] != after[0]:
        return Change("files", "change", path, "its content differs")
    modes = [{"mode": f"{mode:04o}"} for _text, mode in (before, after)]
    return Change("files", "change", path, "its mode differs", *modes)


def _difference(path: str, before: File | None, after: File | None) -> dict:
    """The diff of a file; contents that are not world-readable are hidden."""
    headers = {"before_header": path, "after_header": path}
    if any(side and side[1] == 0o600 for side in (before, after)):
        return {**headers, "prepared": f"{path}: differs; not shown, because it contains passwords\n"}
    texts = [side[0].decode(errors="replace") if side else "" for side in (before, after)]
    return {**headers, "before": texts[0], "after": texts[1]}
