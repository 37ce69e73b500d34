# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services of others ran and were enabled before we changed them, and putting them back. Private to this
collection."""

from __future__ import annotations

from .._engine.change import Change
from .._engine.former import Former
from . import others
from .plan import Seen, Wanted, is_ours
from .service import Service

KIND = "services"


def is_untouched(wanted: Wanted, seen: Seen) -> bool:
    """Whether nothing of the service is ours: no file, unit or init script."""
    return seen.own is None and not any(file is not None and is_ours(file.content) for file in seen.files.values())


def note(former: Former, wanted: Wanted, service: Service, seen: Seen) -> None:
    """Records the service, and those that it stops, before the first change. A reboot does not change it."""
    known = former.of(KIND)
    if wanted.service_file is None and is_untouched(wanted, seen) and service.name not in known:
        former.note(KIND, service.name, active=seen.process is not None, enabled=service.enabled())
    for other in seen.others:
        if not other.files and other.name not in known:
            former.note(KIND, other.name, active=other.runs, enabled=other.enabled)
    former.save()


def restorations(former: Former, service: Service, stops: list[str]) -> list[Change]:
    """The changes that put the service and those that it had stopped back, after its files were removed."""
    names = {service.name} & set(former.of(KIND))
    names.update(others.matching([*stops, f"!{service.name}"], set(former.of(KIND))))
    changes = []
    for name in sorted(names):
        entry = former.of(KIND)[name]
        one = service if name == service.name else Service(name, timeout=service.timeout)
        if one.installed() is not None:
            continue
        if one.enabled() != entry["enabled"]:
            changes.append(Change(KIND, "enable" if entry["enabled"] else "disable", name, "as before"))
        # This service is stopped first in any case.
        if entry["active"] and (name == service.name or one.main() is None):
            changes.append(Change(KIND, "start", name, "it ran before"))
    return changes


def settle(former: Former, service: Service, stops: list[str]) -> None:
    for name in [service.name, *others.matching(stops, set(former.of(KIND)))]:
        former.forget(KIND, name)
    former.save()
