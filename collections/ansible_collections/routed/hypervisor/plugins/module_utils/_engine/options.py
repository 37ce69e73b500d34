# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the user's input and reports every mistake with its place. Private to this collection.

Ansible's own validation stops at the first mistake and does not name the list element. This code checks against the
same argument specification; Ansible's message is used only if it finds nothing.
"""

from __future__ import annotations

import functools
import ipaddress
import typing as t

if t.TYPE_CHECKING:
    from .change import Item

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Mistakes(list[str]):
    """All mistakes of a run. Entries with a wrong form, and those that refer to them, are left out of what follows, so
    that no mistake is reported that is only a consequence of another."""

    def __init__(self, texts: t.Iterable[str] = ()) -> None:
        super().__init__(texts)
        self.left_out: set[str] = set()  # names of links, VRFs and namespaces
        self.networks_unknown = False  # whether an entry is left out that may make a gateway reachable
        self.whole_kind = False  # whether a kind is left out: everything may refer to it

    def at(self, place: str, text: str) -> None:
        self.append(f"{place}: {text}")


def check_options(
    spec: dict[str, dict[str, t.Any]], given: t.Any, place: str, mistakes: Mistakes
) -> dict[str, t.Any] | None:
    """`given` with every value converted to its type, without nulls; None if it is not a dictionary."""
    if not isinstance(given, dict):
        mistakes.at(place, f"must be a dictionary, not {given!r}")
        return None
    clean: dict[str, t.Any] = {}
    for name in sorted(set(map(str, given)) - set(spec)):
        mistakes.at(f"{place}.{name}", f"no such option; valid options are {', '.join(sorted(spec))}")
    for name, option in spec.items():
        value = given.get(name)
        if value is None:
            if option.get("required"):
                mistakes.at(place, f"{name} is missing")
            continue
        value = _typed(option, value, f"{place}.{name}", mistakes)
        if value is not None:
            clean[name] = value
    return clean


def _typed(option: dict[str, t.Any], value: t.Any, place: str, mistakes: Mistakes) -> t.Any:
    """The value converted to its type; None, with a mistake recorded, if that is impossible."""
    kind = option.get("type", "str")
    if kind == "list" and isinstance(value, (list, tuple)):
        inner = {"type": option.get("elements", "str"), "options": option.get("options")}
        typed = [_typed(inner, entry, f"{place}[{number}]", mistakes) for number, entry in enumerate(value)]
        return [entry for entry in typed if entry is not None]
    if kind == "dict" and option.get("options"):
        return check_options(option["options"], value, place, mistakes)
    if kind == "dict" and isinstance(value, dict):
        return value
    if kind in ("list", "dict"):
        mistakes.at(place, f"must be a {'list' if kind == 'list' else 'dictionary'}, not {value!r}")
    elif isinstance(value, (dict, list, tuple)):
        mistakes.at(place, f"must be a single value, not {value!r}")
    else:
        return _single(option, kind, value, place, mistakes)
    return None


def _single(option: dict[str, t.Any], kind: str, value: t.Any, place: str, mistakes: Mistakes) -> t.Any:
    word = str(value)
    if kind == "int":
        if word.lstrip("-").isascii() and word.lstrip("-").isdigit():
            return int(word)
        mistakes.at(place, f"must be a whole number, not {value!r}")
    elif kind == "bool":
        if word.lower() in TRUE + FALSE:
            return word.lower() in TRUE
        mistakes.at(place, f"must be true or false, not {value!r}")
    elif option.get("choices") and word not in option["choices"]:
        mistakes.at(place, f"must be one of {', '.join(option['choices'])}, not {word!r}")
    else:
        return word
    return None


def sysctl_value(value: t.Any) -> str:
    """A common spelling for values from YAML and values that the kernel prints."""
    return str(int(value)) if isinstance(value, bool) else " ".join(str(value).split())


def in_range(entry: dict[str, t.Any], name: str, limits: tuple[int, int], place: str, mistakes: Mistakes) -> None:
    if name in entry and not limits[0] <= entry[name] <= limits[1]:
        mistakes.at(f"{place}.{name}", f"{entry[name]} is out of range {limits[0]}..{limits[1]}")


def interface_name(name: str, place: str, mistakes: Mistakes) -> bool:
    """The kernel's own rule (dev_valid_name)."""
    if not name or len(name.encode()) > 15:
        mistakes.at(place, f"{name!r} has {len(name.encode())} characters; an interface name has 1 to 15")
    elif name in (".", "..") or any(character in "/:" or character.isspace() for character in name):
        mistakes.at(place, f"{name!r} is not an interface name (no '/', ':' or blanks)")
    else:
        return True
    return False


def namespace_name(name: str, place: str, mistakes: Mistakes) -> bool:
    """A file name below /run/netns, as `ip netns` uses it."""
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(name.encode()) > 255:
        mistakes.at(place, f"{name!r} is not a namespace name (1 to 255 characters, no '/')")
        return False
    return True


def address(text: str, place: str, mistakes: Mistakes) -> t.Any:
    try:
        return _ip_address(text.strip())
    except ValueError:
        mistakes.at(place, f"{text!r} is not an IPv4 or IPv6 address")
        return None


_ip_address = functools.lru_cache(maxsize=1024)(ipaddress.ip_address)  # 8 µs each; thousands of routes share gateways


def interface_address(text: str, place: str, mistakes: Mistakes) -> t.Any:
    """An address with a prefix length, which defaults to that of a host."""
    try:
        return ipaddress.ip_interface(text.strip())
    except ValueError:
        mistakes.at(place, f"{text!r} is not an IPv4 or IPv6 address with a prefix length")
        return None


def network(text: str, place: str, mistakes: Mistakes) -> t.Any:
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError:
        pass
    try:
        right = ipaddress.ip_network(text.strip(), strict=False)
        mistakes.at(place, f"{text!r} has bits set after the prefix length; the prefix is {right}")
    except ValueError:
        mistakes.at(place, f"{text!r} is not an IPv4 or IPv6 prefix")
    return None


def duplicates(items: t.Iterable[Item[t.Any]], mistakes: Mistakes) -> list[Item[t.Any]]:
    """Reports wanted objects that have the same key, and returns them without the first of each."""
    first: dict[t.Hashable, str] = {}
    repeated = []
    for item in items:
        if item.key in first:
            mistakes.at(item.place, f"{item.label} is also given at {first[item.key]}")
            repeated.append(item)
        first.setdefault(item.key, item.place)
    return repeated
