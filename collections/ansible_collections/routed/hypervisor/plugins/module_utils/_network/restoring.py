# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records what our changes of objects of others replace, and takes it back later. Private to this collection."""

from __future__ import annotations

import os
import typing as t

from .._engine.change import Change, Item
from .._engine.former import Entry, Former
from .._engine.snapshot import Snapshot
from .._kinds.sysctl import SPREADS
from .._netlink.kernel import read_sysctl
from . import advertisements

if t.TYPE_CHECKING:
    from .network import Outcome, Wanted

RESTORED = "former"  # the place of a value that is restored
LINKS = ("interfaces", "proxy_arp")  # kinds that also change links of others
PROXYING = ("ipv4.proxy_arp", "ipv6.proxy_ndp")  # of a port that is closed, set by the kind proxy_arp and by ndppd
SETTINGS = {  # without those that go with our addresses and entries
    "interfaces": ("vrf", "bridge", "state", "mtu", "mac", "vlan_filtering", "sysctls"),
    "proxy_arp": ("proxy_arp", "proxy_ndp", "delay", "ndp_delay"),
}


def with_former_sysctls(wanted: Wanted, former: Former) -> Wanted:
    """Adds the former value of each host-wide sysctl that is not wanted and still has the value that we gave it."""
    restored = [
        Item(key, f"net.{key.replace('/', '.')}", {"value": entry["was"]}, creates=False, place=RESTORED)
        for key, entry in _unwanted(wanted, former).items()
        if _is_untouched(_general(key), former) and read_sysctl(key) is not None
    ]
    return {**wanted, "sysctls": [*wanted.get("sysctls", []), *restored]} if restored else wanted


def _unwanted(wanted: Wanted, former: Former) -> dict[str, Entry]:
    given = {item.key for item in wanted.get("sysctls", [])}
    keeps_routes = advertisements.starts_forwarding(wanted)
    return {
        key: entry
        for key, entry in former.of("sysctls").items()
        if _general(key) not in given and not (keeps_routes and key.endswith("/accept_ra"))
    }


def _is_untouched(key: str, former: Former) -> bool:
    """Whether a sysctl has the value that we gave it, or that it had before; otherwise it is somebody else's now."""
    entry = former.of("sysctls").get(key)
    return entry is not None and read_sysctl(key) in (entry["ours"], entry["was"])


def _general(key: str) -> str:
    """The sysctl that sets this one for all interfaces, if there is one; otherwise the sysctl itself."""
    parts = key.split("/")
    general = "/".join([*parts[:2], "all", *parts[3:]])
    return general if len(parts) == 4 and general in SPREADS else key


def note(former: Former, outcome: Outcome, snapshot: Snapshot) -> None:
    """Records what the changes will replace, before the first of them."""
    for change in outcome.all_changes():
        if change.kind == "sysctls" and change.item.place != RESTORED:
            _note_sysctl(former, change)
        elif change.kind in LINKS and change.op == "change" and not _is_released(change):
            _note_link(former, change, snapshot)
        elif change.kind == "vrfs" and change.op == "create":
            _note_rules(former, snapshot)
    former.save()


def _is_released(change: Change[t.Any]) -> bool:
    return bool(change.have and change.have.former and not change.item.former)


def _note_sysctl(former: Former, change: Change[t.Any]) -> None:
    key, ours = change.item.key, change.after["value"]
    former.note("sysctls", key, was=change.before["value"], ours=ours)
    if key == _general(key) and key in SPREADS:
        family, _conf, _all, name = key.split("/")
        for interface in os.listdir(f"/proc/sys/net/{family}/conf"):
            path = f"{family}/conf/{interface}/{name}"
            value = read_sysctl(path)
            if interface != "all" and value != change.before["value"]:
                former.note("sysctls", path, was=value, ours=ours)


def _note_link(former: Former, change: Change[t.Any], snapshot: Snapshot) -> None:
    link = snapshot.links.get(change.item.key)
    if link is None or link.owned:
        return
    settings = {key: change.before[key] for key in SETTINGS[change.kind] if key in change.before}
    if settings.get("sysctls"):
        # Of members, `before` has also those that were not set.
        left = PROXYING if change.after.get("port") == "closed" else ()
        settings["sysctls"] = {
            key: value for key, value in settings["sysctls"].items() if value is not None and key not in left
        }
    if settings:
        former.note(change.kind, link.name, index=link.index, was=settings)


def _note_rules(former: Former, snapshot: Snapshot) -> None:
    """The kernel adds a rule for lookups in VRFs, in both families, along with the first VRF."""
    if not any(rule.get_attr("FRA_L3MDEV") for rule in snapshot.rules):
        for family in ("ipv4", "ipv6"):
            former.note("l3mdev", family)


def settle(former: Former, wanted: Wanted, outcome: Outcome) -> None:
    """Forgets what was restored, and what somebody else has changed since.

    Ports that were closed, and those of guests that do not run, are restored when the host is given back.
    """
    ports = {link.name for link in outcome.planned.snapshot.links.values() if link.port}
    kept = set(outcome.planned.absent) | ports if outcome.planned.state != "deleted" else set()
    for key in _unwanted(wanted, former):
        former.forget("sysctls", key)
    for kind in LINKS:
        for name in set(former.of(kind)) - outcome.wanted_keys.get(kind, set(former.of(kind))) - kept:
            former.forget(kind, name)
    for change in outcome.changes.get("rules", []):
        if change.op == "delete" and change.item.attributes.get("l3mdev"):
            former.forget("l3mdev", change.item.key[0])
    former.save()
