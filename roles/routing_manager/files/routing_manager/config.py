# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration, a JSON file. All mistakes are reported together, each with its place."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from ._netlink.codec import packed
from .model import FAMILIES, Prefix, prefix

STALE_S = 120.0
METRIC = 4096


class ConfigError(Exception):
    """One line for each mistake."""


@dataclasses.dataclass(frozen=True)
class Announce:
    """Kernel routes of protocol 82 inside `prefix`, up to the length `longest`, are announced."""

    prefix: Prefix
    longest: int

    def covers(self, other: Prefix) -> bool:
        return self.prefix.length <= other.length <= self.longest and self.prefix.contains(other.address)


@dataclasses.dataclass(frozen=True)
class Network:
    """Containers whose addresses are announced one by one."""

    name: str
    prefixes: tuple[Prefix, ...]
    interface: str | None  # of the host, towards them; None: their routes are not ours


@dataclasses.dataclass(frozen=True)
class Instance:
    """One GoBGP and the routing table that is kept in step with it."""

    name: str
    api: str
    vrf: str | None
    table: int
    families: tuple[str, ...]
    local_addresses: frozenset[bytes]
    prefsrc: dict[int, bytes]  # by address family
    announce: tuple[Announce, ...]
    networks: tuple[Network, ...]


@dataclasses.dataclass(frozen=True)
class Config:
    instances: tuple[Instance, ...]
    namespaces: tuple[str, ...]  # directories
    stale_s: float
    metric: int

    def watched(self) -> tuple[list[int], list[str]]:
        """Tables and interfaces to follow."""
        networks = [network for instance in self.instances for network in instance.networks]
        return [entry.table for entry in self.instances], [entry.interface for entry in networks if entry.interface]


_MISSING = object()


class _Reader:
    """Takes values out of parsed JSON and collects mistakes."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def wrong(self, place: str, text: str) -> None:
        self.mistakes.append(f"{place}: {text}")

    def map(self, value: t.Any, place: str, keys: t.Collection[str]) -> dict:
        if not isinstance(value, dict):
            self.wrong(place, f"must be a map, not {json.dumps(value)[:60]}")
            return {}
        for key in value.keys() - set(keys):
            self.wrong(f"{place}.{key}" if place else key, f"unknown; the keys are {', '.join(sorted(keys))}")
        return value

    def list(self, value: t.Any, place: str) -> list[tuple[str, t.Any]]:
        if not isinstance(value, list):
            self.wrong(place, f"must be a list, not {json.dumps(value)[:60]}")
            return []
        return [(f"{place}[{number}]", entry) for number, entry in enumerate(value)]

    def text(self, source: dict, key: str, place: str, default: t.Any = _MISSING) -> t.Any:
        value = source.get(key, default)
        if value is _MISSING:
            self.wrong(f"{place}.{key}", "is required")
            return ""
        if value != default and not (isinstance(value, str) and value):
            self.wrong(f"{place}.{key}", f"must be a string, not {json.dumps(value)}")
            return ""
        return value

    def number(
        self, source: dict, key: str, place: str, bounds: tuple[float, float], default: t.Any = _MISSING
    ) -> t.Any:
        value = source.get(key, default)
        here = f"{place}.{key}" if place else key
        if value is _MISSING:
            self.wrong(here, "is required")
            return 0
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not bounds[0] <= value <= bounds[1]:
            self.wrong(here, f"must be a number from {bounds[0]} to {bounds[1]}, not {json.dumps(value)}")
            return 0
        return value

    def prefix(self, value: t.Any, place: str) -> Prefix | None:
        try:
            return prefix(value)
        except (OSError, ValueError, AttributeError, TypeError):
            self.wrong(place, f"{json.dumps(value)} is not a prefix")
            return None

    def address(self, value: t.Any, place: str, family: str) -> bytes | None:
        try:
            raw = packed(value)
        except (OSError, TypeError, ValueError):
            raw = b""
        if len(raw) != (4 if family == "ipv4" else 16):
            self.wrong(place, f"{json.dumps(value)} is not an {family} address")
            return None
        return raw


def load(path: str) -> Config:
    """Raises ConfigError."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {os.strerror(error.errno or 0)}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return read(content)


def read(content: t.Any) -> Config:
    """Raises ConfigError."""
    reader = _Reader()
    top = reader.map(content, "", ("instances", "namespaces", "stale_s", "metric", "comment"))
    instances = tuple(
        _instance(reader, entry, place) for place, entry in reader.list(top.get("instances"), "instances")
    )
    for what in ("name", "api", "table"):
        seen: dict[t.Any, str] = {}
        for number, instance in enumerate(instances):
            value, place = getattr(instance, what), f"instances[{number}].{what}"
            if value and value in seen:
                reader.wrong(place, f"{value} is also that of {seen[value]}")
            seen.setdefault(value, place)
    directories = []
    for place, entry in reader.list(top.get("namespaces", []), "namespaces"):
        if isinstance(entry, str) and entry.startswith("/"):
            directories.append(os.path.realpath(entry))
        else:
            reader.wrong(place, f"{json.dumps(entry)} is not an absolute path")
    config = Config(
        instances=instances,
        namespaces=tuple(directories),
        stale_s=reader.number(top, "stale_s", "", (0, 86400), STALE_S),
        metric=reader.number(top, "metric", "", (1, 4278198271), METRIC),
    )
    if reader.mistakes:
        raise ConfigError("\n".join(reader.mistakes))
    return config


def _instance(reader: _Reader, value: t.Any, place: str) -> Instance:
    source = reader.map(value, place, [field.name for field in dataclasses.fields(Instance)])
    families = []
    for here, family in reader.list(source.get("families"), f"{place}.families"):
        if family in FAMILIES:
            families.append(family)
        else:
            reader.wrong(here, f"{json.dumps(family)} is neither ipv4 nor ipv6")
    local = reader.map(source.get("local_addresses", {}), f"{place}.local_addresses", FAMILIES)
    own = {
        reader.address(entry, here, family)
        for family in FAMILIES
        for here, entry in reader.list(local.get(family, []), f"{place}.local_addresses.{family}")
    }
    preferred = reader.map(source.get("prefsrc", {}), f"{place}.prefsrc", FAMILIES)
    prefsrc = {
        number: reader.address(preferred[family], f"{place}.prefsrc.{family}", family) or b""
        for family, number in FAMILIES.items()
        if preferred.get(family) is not None
    }
    api = reader.text(source, "api", place)
    if api and not api.startswith("/"):
        reader.wrong(f"{place}.api", f"{json.dumps(api)} is not the absolute path of a socket")
    return Instance(
        name=reader.text(source, "name", place),
        api=api,
        vrf=reader.text(source, "vrf", place, None),
        table=reader.number(source, "table", place, (1, 4294967295)),
        families=tuple(families),
        local_addresses=frozenset(entry for entry in own if entry),
        prefsrc=prefsrc,
        announce=_announces(reader, source.get("announce", []), f"{place}.announce"),
        networks=_networks(reader, source.get("networks", []), f"{place}.networks"),
    )


def _announces(reader: _Reader, value: t.Any, place: str) -> tuple[Announce, ...]:
    found = []
    for here, entry in reader.list(value, place):
        source = reader.map(entry, here, ("prefix", "longest"))
        inside = reader.prefix(source.get("prefix"), f"{here}.prefix")
        if inside:
            bounds = (inside.length, len(inside.address) * 8)
            found.append(Announce(inside, reader.number(source, "longest", here, bounds, inside.length)))
    return tuple(found)


def _networks(reader: _Reader, value: t.Any, place: str) -> tuple[Network, ...]:
    found = []
    for here, entry in reader.list(value, place):
        source = reader.map(entry, here, ("name", "prefixes", "interface"))
        prefixes = [
            reader.prefix(item, where) for where, item in reader.list(source.get("prefixes"), f"{here}.prefixes")
        ]
        found.append(
            Network(
                name=reader.text(source, "name", here),
                prefixes=tuple(item for item in prefixes if item),
                interface=reader.text(source, "interface", here, None),
            )
        )
    return tuple(found)
