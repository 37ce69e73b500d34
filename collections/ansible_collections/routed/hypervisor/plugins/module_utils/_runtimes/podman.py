# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has podman use CNI, whose networks are the only ipvlan networks that podman 4 has. Private to this collection."""

from __future__ import annotations

import dataclasses
import re
import shutil
import tempfile

from .._daemon import files as disk
from .._daemon.plan import MARK, WantedFile, is_ours
from .._daemon.service import PATH, run
from .._engine.change import Change

PACKAGE = "podman"
WITHOUT_CNI = 5  # the first version
ANSWER_S = 120
NETAVARK = "and networks for netavark are not supported: podman 4, or no podman among the runtimes of this host"
BACKEND = ("info", "--format", "{{.Host.NetworkBackend}}")
TEXT = f"""# {MARK} (role podman): changes made here are overwritten.
[network]
network_backend = "cni"
"""


class PodmanError(Exception):
    """One message for the user."""


@dataclasses.dataclass
class Plan:
    file: WantedFile
    changes: list[Change[str]]


def _asked(*words: str) -> str:
    result = run(["podman", *words], ANSWER_S)
    if result.code:
        raise PodmanError(f"`podman {' '.join(words)}` failed: {result.short()}")
    return result.output.strip()


def _backend_with(text: str) -> str:
    """The network backend that podman would have with these settings."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        result = run(["env", f"CONTAINERS_CONF={file.name}", "podman", *BACKEND], ANSWER_S)
    return result.output.strip() if result.code == 0 else f"an error: {result.short()}"


def plan(path: str, state: str) -> Plan:
    """Raises PodmanError if podman cannot use CNI."""
    file = WantedFile(path, TEXT.encode())
    old = disk.read(path)
    if old is not None and not is_ours(old.content):
        raise PodmanError(f"{path} is not ours: remove or rename it")
    if state == "absent":
        return Plan(file, [Change("files", "delete", path, "it is ours")] if old else [])
    if shutil.which("podman", path=PATH) is None:
        raise PodmanError(f"podman is not installed (package {PACKAGE})")
    if old is not None and old.content == file.content:
        _check(file)
        return Plan(file, [])
    version = _asked("version", "--format", "{{.Client.Version}}")
    if (number := re.match(r"\d+", version)) and int(number[0]) >= WITHOUT_CNI:
        raise PodmanError(f"podman {version} has no CNI, {NETAVARK}")
    if (found := _backend_with(TEXT)) != "cni":
        raise PodmanError(f"podman {version} has no CNI, only {found}, {NETAVARK}")
    containers = _asked("ps", "--all", "--format", "{{.Names}}").split()
    if containers and _asked(*BACKEND) != "cni":
        wrong = f"podman must use CNI, and {', '.join(containers)} would lose their networks"
        raise PodmanError(f"{wrong}: remove these containers first")
    op, why = ("change", "its content differs") if old else ("create", "it does not exist")
    return Plan(file, [Change("files", op, path, why)])


def apply(made: Plan) -> None:
    for change in made.changes:
        disk.apply(change, made.file, disk.read(made.file.path))
        if change.op != "delete":
            _check(made.file)


def _check(file: WantedFile) -> None:
    """Later files, and those of other directories, have the last word."""
    result = run(["podman", *BACKEND], ANSWER_S)
    found = result.output.strip() if result.code == 0 else f"another backend ({result.short()})"
    if found != "cni":
        wrong = f"podman still uses {found}, although {file.path} says otherwise"
        raise PodmanError(f"{wrong}: remove network_backend from the other files")
