# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merges settings into Docker's daemon.json, and takes them out again. Private to this collection.

dockerd refuses keys that it does not know, so the file cannot carry a mark. What our keys were before is recorded.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from .._daemon import files as disk
from .._daemon.plan import SeenFile, WantedFile
from .._engine.change import Change
from .._engine.former import Former

KIND = "docker_settings"
Settings = dict[str, t.Any]


class SettingsError(Exception):
    """One message for the user."""


@dataclasses.dataclass
class File:
    path: str
    seen: SeenFile | None
    settings: Settings


def read(path: str) -> File:
    seen = disk.read(path)
    text = seen.content.decode(errors="replace") if seen else ""
    try:
        settings = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON, so nothing can be added to it: {error}") from error
    if not isinstance(settings, dict):
        raise SettingsError(f"{path} is not an object")
    return File(path, seen, settings)


def merged(have: Settings, want: Settings, former: Former) -> Settings:
    """What is there with what is wanted; and as it was before, what we set and no longer want."""
    made = dict(have)
    for key, entry in former.of(KIND).items():
        if key not in want and key in made and made[key] == entry["ours"]:
            del made[key]
            made.update({key: entry["was"]} if entry["existed"] else {})
    return {**made, **want}


def change(file: File, after: Settings) -> Change[str] | None:
    if after == file.settings:
        return None
    names = [key for key in {**file.settings, **after} if file.settings.get(key) != after.get(key)]
    before, new = ({key: one[key] for key in names if key in one} for one in (file.settings, after))
    op = "delete" if not after else "create" if file.seen is None else "change"
    return Change("settings", op, file.path, "settings differ", before, new)


def note(former: Former, file: File, want: Settings) -> None:
    """Records, before the first change, what was there before."""
    known = former.of(KIND)
    for key, value in want.items():
        if key not in known and file.settings.get(key) != value:
            former.note(KIND, key, existed=key in file.settings, was=file.settings.get(key), ours=value)
        elif key in known:
            known[key]["ours"] = value
    former.save()


def write(file: File, after: Settings) -> None:
    if not after and file.seen is not None:
        os.unlink(file.path)
        return
    old = file.seen
    text = (json.dumps(after, indent=2) + "\n").encode()
    wanted = WantedFile(file.path, text) if old is None else WantedFile(file.path, text, old.mode, old.uid, old.gid)
    disk.put(wanted)


def settle(former: Former, want: Settings) -> None:
    for key in [key for key in former.of(KIND) if key not in want]:
        former.forget(KIND, key)
    former.save()
