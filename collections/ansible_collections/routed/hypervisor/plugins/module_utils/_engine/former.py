# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host had before we changed it, stored on the host, so that it can be given back. Private to this collection.

Of objects of others only: what we create is simply removed. An entry is written before the change and kept until the
former value is restored, so that an interrupted run loses none. Values of an earlier boot are replaced when the same
thing is changed again, because the kernel has started afresh.
"""

from __future__ import annotations

import json
import os
import typing as t

from . import atomic

PATH = "/var/lib/routed-hypervisor/former.json"
Entry = dict[str, t.Any]


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _added(old: t.Any, new: t.Any) -> t.Any:
    """What is recorded already, and members of dictionaries that are not."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return old
    return {**new, **{key: _added(value, new.get(key)) for key, value in old.items()}}


class Former:
    """Entries by kind and name: {"sysctls": {"ipv4/…": {"boot": …, "was": …, "ours": …}}, …}."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.boot = _boot()
        try:
            with open(path, encoding="utf-8") as file:
                self.entries: dict[str, dict[str, Entry]] = json.load(file)
        except FileNotFoundError:
            self.entries = {}
        except ValueError as error:
            raise OSError(f"{path} is damaged: {error}. It holds what this host had before; repair it") from error
        self.saved = json.dumps(self.entries)

    def of(self, kind: str) -> dict[str, Entry]:
        return self.entries.get(kind, {})

    def note(self, kind: str, name: str, **entry: t.Any) -> None:
        """Records an entry, unless there is one of this boot. Values in a dictionary are added to those recorded."""
        entry = {"boot": self.boot, **entry}
        old = self.entries.setdefault(kind, {}).get(name)
        same = old is not None and old["boot"] == self.boot and old.get("index") == entry.get("index")
        if old is not None and same:
            for key, value in entry.items():
                old[key] = _added(old[key], value) if key in old else value
        else:
            self.entries[kind][name] = entry

    def forget(self, kind: str, name: str) -> None:
        self.of(kind).pop(name, None)

    def attributes(self, kind: str, name: str, index: int) -> dict[str, t.Any]:
        """The former attributes of a link. The index distinguishes links of the same name within a boot."""
        entry = self.of(kind).get(name)
        if entry is None or (entry["boot"] == self.boot and entry["index"] != index):
            return {}
        return t.cast("dict[str, t.Any]", entry["was"])

    def save(self) -> None:
        """Atomically, for root only; without entries there is no file."""
        entries = {kind: found for kind, found in self.entries.items() if found}
        text = json.dumps(entries, indent=1, sort_keys=True)
        if json.dumps(entries, sort_keys=True) == json.dumps(json.loads(self.saved), sort_keys=True):
            return
        directory = os.path.dirname(self.path)
        if not entries:
            if os.path.exists(self.path):
                os.unlink(self.path)
        else:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            atomic.replace(self.path, text.encode(), 0o600)
        self.saved = json.dumps(entries)
