# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host's prefix of a container network is divided among container runtimes and the containers of the intent.

A prefix of the host's own has quarters: the first for containers of the intent, then one for each runtime, whether
the network has it or not. So another runtime, or one fewer, moves no address. In other prefixes, the intent gives each
host's parts.
"""

from __future__ import annotations

import bisect
import itertools
import typing as t
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..libraries import netaddr
from .draft import LENGTH, Part, RuntimePool

if t.TYPE_CHECKING:
    from netaddr import IPNetwork

    Span = tuple[int, int]  # the first and the last of consecutive host numbers
    Taken = dict[IPNetwork, list[Span]]  # by prefix: the numbers that runtimes of all hosts have there

RUNTIMES = ("cni", "podman", "docker")
PARTS = 1 + len(RUNTIMES)  # of a host's own prefix
MOST_NUMBERS = 2**16  # of an IPv6 prefix
SMALLEST = 16  # addresses in a prefix that is divided into quarters


@dataclass(frozen=True)
class Numbers:
    """Host numbers, in spans that do not overlap."""

    spans: Sequence[Span]
    ends: Sequence[int]  # how many numbers there are up to the end of each span

    @classmethod
    def of(cls, spans: Sequence[Span]) -> Numbers:
        return cls(spans, list(itertools.accumulate(last - first + 1 for first, last in spans)))

    @property
    def count(self) -> int:
        return self.ends[-1] if self.ends else 0

    def at(self, position: int) -> int:
        which = bisect.bisect_right(self.ends, position)
        return self.spans[which][1] - (self.ends[which] - 1 - position)


def size(part: Part) -> int:
    """How many host numbers the prefixes of a part have in common."""
    sizes = [prefix.size if prefix.version == 4 else min(prefix.size, MOST_NUMBERS) for prefix in part.prefix.values()]
    return min(sizes, default=0)


def pools(part: Part, given: dict[str, IPNetwork]) -> dict[str, RuntimePool]:
    """The pools of a part's runtimes, and of others for which the intent gives one."""
    made = {}
    for position, runtime in enumerate(RUNTIMES, start=1):
        if runtime in given:
            path = (*part.path, "pools", runtime)
            made[runtime] = RuntimePool(runtime, path, given[runtime], _same_numbers(part, given[runtime]))
        elif runtime in part.runtimes and part.prefix_owner == "host" and size(part) >= SMALLEST:
            quarter = size(part) // PARTS
            made[runtime] = RuntimePool(runtime, part.path, None, _in_all_families(part, position * quarter, quarter))
    return made


def _same_numbers(part: Part, given: IPNetwork) -> dict[str, IPNetwork]:
    prefix = part.prefix.get(f"ipv{given.version}")
    if prefix is None or given not in prefix:
        return {}
    return _in_all_families(part, given.first - prefix.first, given.size)


def _in_all_families(part: Part, first: int, count: int) -> dict[str, IPNetwork]:
    """COUNT addresses, a power of two, from the FIRST number on, in each family that has them."""
    return {
        family: netaddr.IPNetwork(
            (prefix.first + first, LENGTH[family] - (count.bit_length() - 1)), version=prefix.version
        )
        for family, prefix in part.prefix.items()
        if first + count <= prefix.size
    }


def usable(part: Part) -> Span:
    """The first host number that containers of the intent may have, runtimes aside, and the last, which is less than
    the first if there is none."""
    prefix = part.prefix.get("ipv4") or part.prefix["ipv6"]
    # Excluding network and broadcast addresses; of IPv6 addresses only the first 65,535.
    first, last = (0, prefix.size - 1) if prefix.size <= 2 else (1, min(prefix.size - 2, MOST_NUMBERS - 1))
    if part.pool is not None and prefix.version == 4:
        first = max(first, part.pool.first - prefix.first)
        last = min(prefix.size - 1 if prefix.size <= 2 else prefix.size - 2, part.pool.last - prefix.first)
        last = min(last, *(each.size - 1 for each in part.prefix.values()))  # only those that all prefixes have
    elif part.runtimes and part.prefix_owner == "host" and size(part) >= SMALLEST:
        last = min(last, size(part) // PARTS - 1)
    return first, last


def taken(parts: Iterable[Part]) -> Taken:
    found: Taken = {}
    for part in parts:
        for pool in part.pools.values():
            for family, prefix in pool.prefix.items():
                own = part.prefix[family]
                found.setdefault(own, []).append((prefix.first - own.first, prefix.last - own.first))
    return {prefix: sorted(spans) for prefix, spans in found.items()}


def free(part: Part, taken: Taken) -> Numbers:
    """The host numbers that containers of the intent may have."""
    if not part.prefix:
        return Numbers.of([])
    first, end = usable(part)
    spans = []
    for taken_first, taken_last in taken.get(part.prefix.get("ipv4") or part.prefix["ipv6"], ()):
        if taken_first > first:
            spans.append((first, min(taken_first - 1, end)))
        first = max(first, taken_last + 1)
    spans.append((first, end))
    return Numbers.of([(one, last) for one, last in spans if one <= last])
