# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.routed.hypervisor.plugins.module_utils._daemon import is_ours


class ActionModule(ActionBase):
    """Runs wholly on the controller; its documentation is that of the module of the same name."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        file = {
            "path": {"type": "str", "required": True},
            "content": {"type": "str", "required": True},
            "secret": {"type": "bool", "default": False, "no_log": False},
        }
        _result, given = self.validate_argument_spec(
            argument_spec={
                "directory": {"type": "path", "required": True},
                "files": {"type": "list", "elements": "dict", "required": True, "options": file},
            }
        )
        mistakes = [
            f"{file['path']}: must be a path below the directory" for file in given["files"] if not _below(file)
        ]
        paths = [file["path"] for file in given["files"]]
        mistakes += [
            f"{path}: there are two files of this path" for path in sorted({p for p in paths if paths.count(p) > 1})
        ]
        if mistakes:
            raise AnsibleActionFail("; ".join(mistakes))
        directory = Path(given["directory"])
        written, diff = [], []
        for file in given["files"]:
            before = _read(directory / file["path"])
            after = (file["content"].encode(), 0o600 if file["secret"] else 0o644)
            if before == after:
                continue
            written.append(file["path"])
            diff.append(_difference(file["path"], before, after))
            if not self._task.check_mode:
                _write(directory / file["path"], before, *after)
        removed = [path for path in _ours(directory) if path not in paths]
        for path in removed:
            diff.append(_difference(path, _read(directory / path), None))
            if not self._task.check_mode:
                (directory / path).unlink()
        return {"changed": bool(written or removed), "written": written, "removed": removed, "diff": diff}


def _below(file) -> bool:
    path = PurePosixPath(file["path"])
    return not path.is_absolute() and ".." not in path.parts and path.name != ""


def _read(path: Path) -> tuple[bytes, int] | None:
    """A file's text and mode."""
    try:
        return path.read_bytes(), path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _write(path: Path, before: tuple[bytes, int] | None, text: bytes, mode: int) -> None:
    if before and before[0] == text:
        path.chmod(mode)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # Never there with a mode that others could read it by.
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(text)
    draft.chmod(mode)
    draft.replace(path)


def _ours(directory: Path) -> list[str]:
    """The files below it that our templates made."""
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                if is_ours(file.read(400)):
                    found.append(str(path.relative_to(directory)))
    return found


def _difference(path: str, before: tuple[bytes, int] | None, after: tuple[bytes, int] | None) -> dict:
    """Texts that not everyone may read are not shown."""
    headers = {"before_header": path, "after_header": path}
    if any(side and side[1] == 0o600 for side in (before, after)):
        return {**headers, "prepared": f"{path}: differs, and is not shown, as it has passwords in it\n"}
    texts = [side[0].decode(errors="replace") if side else "" for side in (before, after)]
    return {**headers, "before": texts[0], "after": texts[1]}
