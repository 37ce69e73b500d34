# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that are derived from names of the intent, by namespace. name_checks.py refuses those that collide."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

SYMBOL_LENGTH = 64  # SYM_MAX_LEN of BIRD
BRIDGE = "bridge"  # the bridge of a lab's switch, beside its ports, which are named after nodes
DIGEST = 8  # characters of a digest, in names that would be too long or ambiguous


def uplink(fabric: str) -> str:
    """The default name of uplinks to a fabric."""
    return f"fabric-{fabric}"


def vlan(interface: str, number: int | None) -> str:
    """The interface of a VLAN; without one, the interface itself."""
    return f"{interface}.{number}" if number is not None else interface


def host_link(network: str) -> str:
    """The host's own link among those of its containers in a network."""
    return f"host-{network}"


def on_linux(interface: str) -> str:
    """An interface of a switch as it is called on Linux, which allows no slashes in names."""
    return interface.replace("/", "-")


def switch(fabric: str) -> str:
    """The lab node that is a fabric's switch."""
    return f"switch-{fabric}"


def symbol(name: str) -> str:
    """NAME as part of an identifier in BIRD: names have letters, digits, hyphens, dots and underscores."""
    return name.replace("-", "_").replace(".", "_")


def symbols(wanted: Sequence[Sequence[str]], taken: Iterable[str] = ()) -> list[str]:
    """An identifier for each list of parts: the parts joined by underscores.

    What would be too long for BIRD, begin with a digit, be TAKEN, or be the identifier of several lists gets a digest
    of its parts: two nodes `a-b` and `a` may both lead to `a_b_c`. The digest does not depend on the other lists.
    """
    plain = ["_".join(map(symbol, parts)) for parts in wanted]
    count = Counter(plain)
    count.update(taken)
    return [
        name if len(name) <= SYMBOL_LENGTH and count[name] == 1 and not name[0].isdigit() else _digested(name, parts)
        for name, parts in zip(plain, wanted, strict=True)
    ]


def _digested(name: str, parts: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:DIGEST]
    start = name if not name[0].isdigit() else f"_{name}"
    return f"{start[: SYMBOL_LENGTH - DIGEST - 1]}_{digest}"
