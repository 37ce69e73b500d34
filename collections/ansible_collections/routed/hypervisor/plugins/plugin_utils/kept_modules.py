# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This collection's modules as Ansible sends them, cached between runs. This plugin_util is private.

Ansible parses a module and all its imports to build the payload it sends, once per run and module: 0.2 to 0.3 s of
CPU time each, for nine modules in site.yml, while the other nodes wait. It keeps the payloads in a directory that is
removed at the end of the run. Here that directory is filled from a cache at the start, and the cache from it at the
end.

This relies on a private detail, the file names in that directory. If they change, nothing is found and Ansible builds
its payloads as usual.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import ansible
from ansible import constants
from ansible.release import __version__

from . import kept as directories

COLLECTION = Path(__file__).resolve().parents[2]
PREFIX = "ansible_collections.routed.hypervisor.plugins.modules."


def use() -> None:
    """Uses cached payloads, and caches those that this run builds. Never fails."""
    with contextlib.suppress(OSError):
        built = Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")
        kept = directories.cache("modules") / fingerprint()
        take(kept, built)
        # Forked processes skip it, and it runs before Ansible removes its directory.
        atexit.register(keep, built, kept)


def take(kept: Path, built: Path) -> None:
    if not directories.is_private(kept):
        return
    built.mkdir(exist_ok=True)
    for file in kept.glob(f"{PREFIX}*"):
        if not (built / file.name).exists():
            shutil.copyfile(file, built / file.name)


def keep(built: Path, kept: Path) -> None:
    with contextlib.suppress(OSError):
        new = [file for file in _finished(built) if not (kept / file.name).exists()]
        if not new or not directories.make(kept):
            return
        for file in new:
            draft = kept / f".{file.name}.{os.getpid()}"
            shutil.copyfile(file, draft)
            draft.replace(kept / file.name)


def fingerprint() -> str:
    """A hash of everything that payloads depend on: Ansible, and the source of this collection's modules."""
    digest = hashlib.sha256(f"{__version__} {ansible.__file__}".encode())
    for directory in ("modules", "module_utils"):
        for path in sorted((COLLECTION / "plugins" / directory).rglob("*.py")):
            digest.update(f"\0{path.relative_to(COLLECTION)}\0".encode())
            digest.update(path.read_bytes())
    digest.update((COLLECTION / "meta" / "runtime.yml").read_bytes())
    for path in sorted(Path(ansible.__file__).with_name("module_utils").rglob("*.py")):
        status = path.stat()
        digest.update(f"\0{path}\0{status.st_size}\0{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _finished(built: Path) -> list[Path]:
    return [file for file in built.glob(f"{PREFIX}*") if file.suffix != ".lock" and not file.name.endswith("-part")]
