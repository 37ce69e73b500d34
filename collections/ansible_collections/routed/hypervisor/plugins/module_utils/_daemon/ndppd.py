# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A strict parser for the configuration language of ndppd 0.2. Private to this collection.

ndppd cannot check a file. Without an error it ignores unknown keywords, reads a bad prefix as `::` and drops a block
whose opening brace is on the next line. Anything that it would misread is a mistake here.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from .._engine.options import Mistakes, interface_name
from .ndppd_reader import Reader, Statement

DEFAULTS = {"router": True, "timeout": 500, "ttl": 30000}
METHODS = ("static", "auto", "iface")
HEADER = "# Managed by Routed Hypervisor: changes made here are overwritten.\n"
WORDS = {"yes": True, "true": True, "no": False, "false": False}
Proxy = dict[str, t.Any]


@dataclasses.dataclass
class Config:
    proxies: dict[str, Proxy]  # by interface, in the order of the file
    route_ttl: int | None = None


def parse(text: str) -> tuple[Config, list[str]]:
    """The configuration as ndppd reads it, and every mistake in it ("line 3: …")."""
    mistakes = Mistakes()
    config = Config({})
    first: dict[str, int] = {}
    for statement in Reader(text, mistakes).block(None):
        if statement.name == "route-ttl":
            if config.route_ttl is not None:
                mistakes.at(f"line {statement.line}", "route-ttl is given twice")
            config.route_ttl = _number(statement, mistakes)
        elif statement.name == "proxy":
            proxy = _proxy(statement, mistakes)
            name = proxy["interface"]
            if name in first:
                mistakes.at(f"line {statement.line}", f"there is already a proxy for {name} in line {first[name]}")
            first.setdefault(name, statement.line)
            config.proxies.setdefault(name, proxy)
        else:
            _unknown(statement, ("proxy", "route-ttl"), mistakes)
    mistakes.sort(key=lambda mistake: int(mistake.split(":")[0].split()[1]))
    return config, list(mistakes)


def _unknown(statement: Statement, known: t.Iterable[str], mistakes: Mistakes) -> None:
    mistakes.at(f"line {statement.line}", f"unknown keyword {statement.name}; valid here are {', '.join(known)}")


def _plain(statement: Statement, mistakes: Mistakes) -> None:
    if statement.block is not None:
        mistakes.at(f"line {statement.line}", f"{statement.name} takes no block")


def _number(statement: Statement, mistakes: Mistakes) -> int | None:
    _plain(statement, mistakes)
    if statement.value.isascii() and statement.value.isdigit() and int(statement.value) < 2**31:
        return int(statement.value)
    mistakes.at(
        f"line {statement.line}", f"{statement.name} needs milliseconds (0 to 2147483647), not {statement.value!r}"
    )
    return None


def _proxy(statement: Statement, mistakes: Mistakes) -> Proxy:
    place = f"line {statement.line}"
    proxy: Proxy = {"interface": statement.value, **DEFAULTS, "rules": []}
    if statement.value:
        interface_name(statement.value, place, mistakes)
    else:
        mistakes.at(place, "proxy needs an interface")
    if statement.block is None:
        mistakes.at(place, f"proxy {statement.value} needs a block")
    seen: set[str] = set()
    places = []
    for inner in statement.block or []:
        if inner.name == "rule":
            proxy["rules"].append(_rule(inner, mistakes))
            places.append(f"line {inner.line}")
            continue
        if inner.name in seen:
            mistakes.at(f"line {inner.line}", f"{inner.name} is given twice in proxy {statement.value}")
        seen.add(inner.name)
        if inner.name == "router":
            _plain(inner, mistakes)
            proxy["router"] = WORDS.get(inner.value.lower(), True)
            if inner.value.lower() not in WORDS:
                mistakes.at(f"line {inner.line}", f"router must be yes or no, not {inner.value!r}")
        elif inner.name in ("timeout", "ttl"):
            proxy[inner.name] = _number(inner, mistakes) or 0
        else:
            _unknown(inner, ("router", "timeout", "ttl", "rule"), mistakes)
    check_rules(proxy, place, places, mistakes)
    return proxy


def _rule(statement: Statement, mistakes: Mistakes) -> dict[str, t.Any]:
    rule: dict[str, t.Any] = {"prefix": statement.value, "method": None, "interface": None}
    if statement.block is None:
        mistakes.at(f"line {statement.line}", f"rule {statement.value} needs a block with a method")
    for inner in statement.block or []:
        place = f"line {inner.line}"
        _plain(inner, mistakes)
        if inner.name not in METHODS:
            _unknown(inner, METHODS, mistakes)
            continue
        if rule["method"]:
            mistakes.at(place, f"{inner.name}: the rule already has the method {rule['method']}")
        rule["method"] = inner.name
        if inner.name == "iface":
            rule["interface"] = inner.value or None
        elif inner.value:
            mistakes.at(place, f"{inner.name} takes no value, but {inner.value!r} follows")
    return rule


def check_rules(proxy: Proxy, place: str, places: list[str], mistakes: Mistakes) -> None:
    """Completes and checks the rules of a proxy, from a file or from module options."""
    if not proxy["rules"]:
        mistakes.at(place, f"proxy {proxy['interface']} has no rule: it would answer no solicitations")
    before: list[tuple[ipaddress.IPv6Network, str]] = []
    for rule, where in zip(proxy["rules"], places, strict=True):
        if rule["method"] is None:
            mistakes.at(where, f"rule {rule['prefix']} has no method; valid methods are {', '.join(METHODS)}")
        elif rule["method"] == "iface":
            if not rule["interface"]:
                mistakes.at(where, f"the method iface of rule {rule['prefix']} needs an interface")
            else:
                interface_name(rule["interface"], where, mistakes)
        elif rule["interface"]:
            mistakes.at(where, f"the method {rule['method']} takes no interface")
        prefix = _prefix(rule["prefix"], where, mistakes)
        if prefix is None:
            continue
        rule["prefix"] = str(prefix)
        mistakes += [
            f"{where}: rule {prefix} overlaps rule {other} ({there}) of the same proxy"
            for other, there in before
            if prefix.overlaps(other)
        ]
        before.append((prefix, where))


def _prefix(text: str, place: str, mistakes: Mistakes) -> ipaddress.IPv6Network | None:
    address, slash, length = text.partition("/")
    try:
        # ndppd's own parser accepts only hexadecimal digits and colons, and reads anything else as `::`.
        if set(address) - set("0123456789abcdefABCDEF:") or (slash and not (length.isascii() and length.isdigit())):
            raise ValueError
        prefix = ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        mistakes.at(place, f"{text!r} is not an IPv6 prefix")
        return None
    if prefix.network_address != ipaddress.IPv6Address(address):
        mistakes.at(place, f"{text} has bits set after the prefix length; the prefix is {prefix}")
        return None
    return prefix


def render(config: Config) -> str:
    """The text of the file. It is parsed again: raises ValueError with everything that ndppd would misread."""
    lines = [HEADER]
    if config.route_ttl is not None:
        lines.append(f"\nroute-ttl {config.route_ttl}\n")
    for proxy in config.proxies.values():
        lines.append(f"\nproxy {proxy['interface']} {{\n  router {'yes' if proxy['router'] else 'no'}\n")
        lines.append(f"  timeout {proxy['timeout']}\n  ttl {proxy['ttl']}\n")
        for rule in proxy["rules"]:
            method = " ".join(filter(None, (rule["method"], rule.get("interface"))))
            lines.append(f"  rule {rule['prefix']} {{\n    {method}\n  }}\n")
        lines.append("}\n")
    text = "".join(lines)
    mistakes = parse(text)[1]
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return text


def combine(have: dict[str, Proxy], want: list[Proxy], state: str) -> dict[str, Proxy]:
    """The resulting proxies, by interface. In `want`, None means not given."""
    if state == "deleted":
        removed = {proxy["interface"] for proxy in want}
        return {name: proxy for name, proxy in have.items() if removed and name not in removed}
    result = {} if state == "overridden" else dict(have)
    for proxy in want:
        name = proxy["interface"]
        given = {key: value for key, value in proxy.items() if value is not None}
        base = {**DEFAULTS, "rules": []}
        if state == "merged" and name in have:
            base = have[name]
            rules = {rule["prefix"]: rule for rule in [*base["rules"], *given.get("rules", [])]}
            given["rules"] = list(rules.values())
        result[name] = {"interface": name, **base, **given}
    return result


def interfaces(proxies: t.Iterable[Proxy]) -> list[str]:
    """Every interface that ndppd binds to when it starts."""
    names: dict[str, None] = {}
    for proxy in proxies:
        names[proxy["interface"]] = None
        names.update({rule["interface"]: None for rule in proxy["rules"] if rule["interface"]})
    return list(names)
