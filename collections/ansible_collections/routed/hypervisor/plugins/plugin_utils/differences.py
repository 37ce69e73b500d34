# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs from the intent on each host, as a run in check mode has found it. Private to this collection.

The callback plugin collects it in Ansible's main process. An action runs in a fork of it, and so finds it in `HOSTS`.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing as t
from collections import Counter

from ..module_utils._engine.printable import counted

FORMAT = 1
AS_INTENDED, DIFFERS, FAILED, UNREACHABLE = "as intended", "differs", "failed", "unreachable"
Change = dict[str, t.Any]
Diff = dict[str, str]


@dataclasses.dataclass
class Host:
    changes: list[Change] = dataclasses.field(default_factory=list)
    diff: list[Diff] = dataclasses.field(default_factory=list)
    errors: list[str] = dataclasses.field(default_factory=list)
    is_unreachable: bool = False

    @property
    def state(self) -> str:
        if self.is_unreachable:
            return UNREACHABLE
        return FAILED if self.errors else DIFFERS if self.changes else AS_INTENDED

    @property
    def unified(self) -> str:
        return "".join(map(unified, self.diff))

    def add(self, result: dict[str, t.Any]) -> None:
        """Of one task, or of each item of its loop."""
        for one in result.get("results", [result]):
            self.changes += one.get("changes", [])
            found = one.get("diff") or []
            self.diff += [each for each in (found if isinstance(found, list) else [found]) if each]
            if one.get("failed"):
                self.errors.append(str(one.get("msg", "no reason was given")))


HOSTS: dict[str, Host] = {}


def document(fabric: str, time: str, hosts: dict[str, Host]) -> dict[str, t.Any]:
    return {
        "format": FORMAT,
        "fabric": fabric,
        "time": time,
        "hosts": {
            name: {
                "state": host.state,
                "kinds": dict(sorted(Counter(change["kind"] for change in host.changes).items())),
                "changes": host.changes,
                "errors": host.errors,
                "diff": host.unified,
            }
            for name, host in sorted(hosts.items())
        },
    }


def named(hosts: dict[str, Host], state: str) -> list[str]:
    return sorted(name for name, host in hosts.items() if host.state == state)


def lines(hosts: dict[str, Host]) -> list[str]:
    """A line for each host and kind, and one for each object."""
    found = []
    for name, host in sorted(hosts.items()):
        if host.is_unreachable:
            found.append(f"{name}: unreachable")
            continue
        found += [f"{name}: could not be compared: {error}" for error in host.errors]
        if host.state == AS_INTENDED:
            found.append(f"{name}: as intended")
        for kind in sorted({change["kind"] for change in host.changes}):
            of_kind = [change for change in host.changes if change["kind"] == kind]
            found.append(f"{name}: {kind}: {counted(len(of_kind), 'difference(s)')}")
            found += [f"  {change['op']} {change['name']}: {_why(change)}" for change in of_kind]
    return found


def _why(change: Change) -> str:
    """The reason, or which attributes differ if that is all of it."""
    attributes = sorted({**change.get("before", {}), **change.get("after", {})})
    if change["why"] not in ("differs", "it differs") or not attributes:
        return str(change["why"])
    return f"{', '.join(attributes)} {'differs' if len(attributes) == 1 else 'differ'}"


def summary(hosts: dict[str, Host]) -> str:
    """One sentence with the names of hosts that are not as intended."""
    verbs = {DIFFERS: "differ from the intent", FAILED: "could not be compared", UNREACHABLE: "could not be reached"}
    parts = []
    if len(named(hosts, DIFFERS)) == 1:
        verbs[DIFFERS] = "differs from the intent"
    for state, verb in verbs.items():
        if names := named(hosts, state):
            parts.append(f"{len(names)} of {counted(len(hosts), 'host(s)')} {verb}: {', '.join(names)}")
    return "; ".join(parts) or f"{counted(len(hosts), 'host(s)')}, as intended"


def text(hosts: dict[str, Host]) -> str:
    """For people, in a merge request for instance: what changes, then the differences of all objects."""
    parts = ["\n".join([summary(hosts), "", *lines(hosts)]) + "\n"]
    for name, host in sorted(hosts.items()):
        if host.diff:
            parts.append(f"\n=== {name}\n{host.unified}")
    return "".join(parts)


def unified(diff: Diff) -> str:
    if "prepared" in diff:
        return diff["prepared"] + ("" if diff["prepared"].endswith("\n") else "\n")
    before, after = (str(diff.get(key) or "").splitlines() for key in ("before", "after"))
    headers = diff.get("before_header") or "before", diff.get("after_header") or "after"
    return "".join(f"{line}\n" for line in difflib.unified_diff(before, after, *headers, lineterm=""))
