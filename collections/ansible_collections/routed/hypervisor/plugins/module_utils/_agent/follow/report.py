# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `routed-hypervisor status` prints about guests: who is where, and since when. Private to this collection.

The service writes it to a file when it changes. It is never read to decide anything.
"""

from __future__ import annotations

import json
import os
import time
import typing as t

DIRECTORY = "/run/routed-hypervisor-agent"
PATH = f"{DIRECTORY}/guests.json"
LOCK = f"{DIRECTORY}/run.lock"  # of the service, which runs once per host


class Report:
    def __init__(self, path: str = PATH) -> None:
        self.path = path
        self.written: dict[str, t.Any] | None = None
        self.before = load(path)  # of an earlier process: guests that are still there have been there since then

    def update(
        self, here: dict[str, tuple[str, int]], waiting: dict[str, str], problems: list[str], by_itself: bool = False
    ) -> None:
        """`by_itself`: the agent answers neighbor solicitations, because the kernel would need too many entries."""
        known = (self.written or self.before).get("guests", {})
        guests = {}
        for name, port, number in [
            *((name, port, number) for name, (port, number) in here.items()),
            *((name, port, None) for name, port in waiting.items()),
        ]:
            entry = {"port": port, "here": number is not None, "sequence": number}
            old = known.get(name, {})
            same = all(old.get(key) == entry[key] for key in ("port", "here"))
            guests[name] = {**entry, "since": old["since"] if same else round(time.time(), 3)}
        content = {"guests": dict(sorted(guests.items())), "problems": problems, "pid": os.getpid()}
        content["by_itself"] = by_itself
        if content != self.written:
            _write(self.path, content)
            self.written = content


def load(path: str = PATH) -> dict[str, t.Any]:
    """Empty if the service has not run since the host was started."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: str, content: dict[str, t.Any]) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(f"{path}.new", path)
