# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routing policy rules. Private to this collection."""

from __future__ import annotations

import ipaddress
import typing as t

from .._engine import options
from .._engine.apply import Phase, Step
from .._engine.change import Change, Item
from .._engine.kind import Have, Kind
from .._engine.planned import Planned
from .._engine.snapshot import VERSIONS, Snapshot
from .._netlink.codec import RULE
from .._netlink.kernel import FAMILIES
from .._netlink.marks import PROTOCOL

ACTIONS = {"to_table": 1, "blackhole": 6, "unreachable": 7, "prohibit": 8}
KERNEL = 2  # RTPROT_KERNEL
NOTHING_SUPPRESSED = 0xFFFFFFFF
RuleKey = tuple[str, int, int]  # family, priority, and a number that distinguishes rules with the same two
UNSET: dict[str, t.Any] = {
    "from": None,
    "to": None,
    "iif": None,
    "oif": None,
    "fwmark": None,
    "suppress_prefixlength": None,
    "l3mdev": False,
    "table": None,
}


SHOWN = {  # attributes that `show` includes, or that do not affect what the rule does
    *("FRA_SRC", "FRA_DST", "FRA_IIFNAME", "FRA_OIFNAME", "FRA_FWMARK", "FRA_FWMASK", "FRA_TABLE", "FRA_L3MDEV"),
    *("FRA_SUPPRESS_PREFIXLEN", "FRA_PRIORITY", "FRA_PROTOCOL", "FRA_PAD"),
}


class Rules(Kind[RuleKey]):
    name = "rules"
    noun = "rule"
    if_foreign = "give another priority, or delete it first"
    spec: t.ClassVar[dict[str, t.Any]] = {
        "priority": {"type": "int", "required": True},
        "family": {"type": "str", "choices": ["ipv4", "ipv6"]},
        "from": {"type": "str"},
        "to": {"type": "str"},
        "iif": {"type": "str"},
        "oif": {"type": "str"},
        "fwmark": {"type": "str"},
        "table": {"type": "int"},
        "vrf": {"type": "str"},
        "action": {"type": "str", "choices": sorted(ACTIONS)},
        "suppress_prefixlength": {"type": "int"},
        "l3mdev": {"type": "bool"},
    }

    def parse(
        self, entry: dict[str, t.Any], place: str, mistakes: options.Mistakes, state: str
    ) -> Item[RuleKey] | None:
        options.in_range(entry, "priority", (0, 2**32 - 1), place, mistakes)
        options.in_range(entry, "table", (1, 2**32 - 1), place, mistakes)
        options.in_range(entry, "suppress_prefixlength", (0, 128), place, mistakes)
        # a rule is compared as a whole: attributes that are not given are unset, whatever the state
        given: dict[str, t.Any] = {
            key: entry[key] for key in ("suppress_prefixlength", "l3mdev", "table") if key in entry
        }
        attributes: dict[str, t.Any] = {**UNSET, "action": entry.get("action", "to_table"), **given}
        if entry.get("vrf"):
            attributes["table"] = entry["vrf"]  # a name until `settle`
        if state != "deleted":
            self._check_target(entry, attributes["action"], place, mistakes)
        for key in ("iif", "oif"):
            if entry.get(key) and options.interface_name(entry[key], f"{place}.{key}", mistakes):
                attributes[key] = entry[key]
        if "fwmark" in entry:
            attributes["fwmark"] = _fwmark(entry["fwmark"], f"{place}.fwmark", mistakes)
        family = self._family(entry, attributes, place, mistakes)
        if family is None or "priority" not in entry:
            return None
        return Item((family, entry["priority"], 0), f"{entry['priority']} ({family})", attributes, place=place)

    def _check_target(self, entry: dict[str, t.Any], action: str, place: str, mistakes: options.Mistakes) -> None:
        targets = [key for key in ("table", "vrf", "l3mdev") if entry.get(key)]
        if action == "to_table" and len(targets) != 1:
            mistakes.at(place, "needs one of table, vrf and l3mdev")
        elif action != "to_table" and targets:
            mistakes.at(place, f"action {action} does not use a table ({', '.join(targets)} is given)")

    def _family(
        self, entry: dict[str, t.Any], attributes: dict[str, t.Any], place: str, mistakes: options.Mistakes
    ) -> str | None:
        families = {entry["family"]} if "family" in entry else set()
        for key in ("from", "to"):
            prefix = options.network(entry[key], f"{place}.{key}", mistakes) if entry.get(key, "all") != "all" else None
            if prefix is not None:
                families.add(f"ipv{prefix.version}")
                attributes[key] = str(prefix) if prefix.prefixlen else None
        if not families:
            mistakes.at(place, "needs a family, or a from or to that implies it")
        elif len(families) > 1:
            mistakes.at(place, "mixes IPv4 and IPv6")
        return families.pop() if len(families) == 1 else None

    def settle(self, want: list[Item[RuleKey]], planned: Planned, mistakes: options.Mistakes) -> None:
        for item in want:
            table = item.attributes["table"]
            if isinstance(table, str):
                if table not in planned.tables:
                    mistakes.at(f"{item.place}.vrf", f"there is no VRF {table}, and none is configured")
                item.attributes["table"] = planned.tables.get(table, table)

    def gather(self, snapshot: Snapshot, want: list[Item[RuleKey]], planned: Planned) -> Have[RuleKey]:
        found: Have[RuleKey] = {}
        for message in snapshot.rules:
            item = _observe(message)
            if message.get_attr("FRA_PROTOCOL") == KERNEL and _is_left_over(item, planned):
                item.owned, item.hints["protocol"] = True, KERNEL
            item.hints["incomplete"] = sorted({name for name, _value in message["attrs"]} - SHOWN)
            family, priority, count = item.key
            if (family, priority, 0) in found and item.owned and not found[family, priority, 0].owned:
                found[family, priority, 1] = found.pop((family, priority, 0))  # compare with ours
                found[family, priority, 1].key = (family, priority, 1)
            while (family, priority, count) in found:
                count += 1
            item.key = (family, priority, count)
            found[item.key] = item
        return found

    def steps(self, change: Change[RuleKey], planned: Planned) -> list[Step]:
        label = change.item.label
        new, old = change.want, change.have
        steps = []
        if new:
            steps.append(Step(Phase.RULES, f"add rule {label}", lambda kernel: _send(kernel.new, new)))
        if old:  # a rule cannot be replaced: the new one is added before the old one is deleted
            phase = Phase.REMOVE_OLD_RULES if new else Phase.REMOVE_RULES
            steps.append(Step(phase, f"delete rule {label}", lambda kernel: _send(kernel.delete, old)))
        return steps

    def show(self, item: Item[RuleKey]) -> dict[str, t.Any]:
        family, priority, _count = item.key
        return {
            "priority": priority,
            "family": family,
            **{key: value for key, value in item.attributes.items() if value not in (None, False)},
            **({"incomplete": item.hints["incomplete"]} if item.hints.get("incomplete") else {}),
        }


def _is_left_over(rule: Item[RuleKey], planned: Planned) -> bool:
    """Whether the kernel added this rule for the first of our VRFs, and no VRF will be left."""
    if planned.former is None or not rule.attributes["l3mdev"] or rule.key[0] not in planned.former.of("l3mdev"):
        return False
    deleted = {change.name for change in planned.vrf_changes if change.op == "delete"}
    vrfs = {link.name for link in planned.snapshot.links.values() if link.kind == "vrf"}
    return vrfs <= deleted and "vrf" not in {planned.links[name] for name in set(planned.links) - deleted}


def _fwmark(text: str, place: str, mistakes: options.Mistakes) -> str | None:
    try:
        mark, mask = [int(part, 0) for part in (text if "/" in text else f"{text}/0xffffffff").split("/")]
    except ValueError:
        mistakes.at(place, f"{text!r} is not a mark or mark/mask, in decimal or 0x hexadecimal")
        return None
    return f"{mark:#x}/{mask:#x}"


def _observe(message: t.Any) -> Item[RuleKey]:
    version = VERSIONS[message["family"]]
    get = message.get_attr
    observed = dict(UNSET)
    observed["action"] = {number: name for name, number in ACTIONS.items()}.get(
        message["action"], str(message["action"])
    )
    for key, attribute, length in (("from", "FRA_SRC", "src_len"), ("to", "FRA_DST", "dst_len")):
        if get(attribute):
            observed[key] = str(ipaddress.ip_network(f"{get(attribute)}/{message[length]}", strict=False))
    observed["iif"], observed["oif"] = get("FRA_IIFNAME"), get("FRA_OIFNAME")
    if get("FRA_FWMARK") is not None:
        observed["fwmark"] = f"{get('FRA_FWMARK'):#x}/{get('FRA_FWMASK', 0xFFFFFFFF):#x}"
    observed["table"] = get("FRA_TABLE") or message["table"] or None
    if get("FRA_SUPPRESS_PREFIXLEN", NOTHING_SUPPRESSED) != NOTHING_SUPPRESSED:
        observed["suppress_prefixlength"] = get("FRA_SUPPRESS_PREFIXLEN")
    observed["l3mdev"] = bool(get("FRA_L3MDEV"))
    priority = get("FRA_PRIORITY") or 0
    owned = get("FRA_PROTOCOL") == PROTOCOL
    return Item((f"ipv{version}", priority, 0), f"{priority} (ipv{version})", observed, owned=owned)


def _send(request: t.Callable[..., None], item: Item[RuleKey]) -> None:
    family, priority, _count = item.key
    wanted = item.attributes
    source, target = (ipaddress.ip_network(wanted[key]) if wanted[key] else None for key in ("from", "to"))
    mark, mask = (int(part, 0) for part in wanted["fwmark"].split("/")) if wanted["fwmark"] else (None, None)
    fields = {
        "family": FAMILIES[int(family[-1])],
        "src_len": source.prefixlen if source else 0,
        "dst_len": target.prefixlen if target else 0,
        "action": ACTIONS[wanted["action"]],
    }
    attributes = [
        ("FRA_PRIORITY", priority),
        ("FRA_PROTOCOL", item.hints.get("protocol", PROTOCOL)),
        ("FRA_SRC", str(source.network_address) if source else None),
        ("FRA_DST", str(target.network_address) if target else None),
        ("FRA_IIFNAME", wanted["iif"]),
        ("FRA_OIFNAME", wanted["oif"]),
        ("FRA_FWMARK", mark),
        ("FRA_FWMASK", mask),
        ("FRA_TABLE", wanted["table"]),
        ("FRA_SUPPRESS_PREFIXLEN", wanted["suppress_prefixlength"]),
        ("FRA_L3MDEV", 1 if wanted["l3mdev"] else None),
    ]
    request(RULE, fields, attributes)
