# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses GoBGP 3's output: next hops of learned prefixes, and what this host announces. Starts no processes. Private
to this collection.

Measured with GoBGP 3.10: `monitor global rib -j` writes a line for each change, an array with the path or all paths of
the multipath set, or the path with `withdrawal`, of every address family whatever -a says. Its option --current puts
the whole RIB in front, but breaks off where that takes more than 4 MiB (some 14,000 routes). So the RIB is read with
`global rib -j`, which has no such limit and which marks the best path, but not those that share the load with it:
they are found as GoBGP finds them.
"""

from __future__ import annotations

import functools
import json
import socket
import typing as t

from ..._netlink.codec import packed
from .model import ORDINARY, Prefix, prefix
from .resolve import NextHop

ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, MP_REACH = 1, 2, 3, 4, 5, 14
IGP = 0
UNSPECIFIED = ("0.0.0.0", "::")
ESTABLISHED, ADMIN_DOWN = 6, 1

Path = dict[str, t.Any]  # of JSON
NextHops = tuple[NextHop, ...]  # empty: the prefix is not learned (any more)


class Neighbor(t.NamedTuple):
    address: str
    internal: bool  # of our own AS
    wanted: bool  # the administrator did not disable it
    established: bool
    complete: bool | None  # End-of-RIB received; None: it never sends one (no graceful restart)
    name: str = ""  # its description


class Rib(t.NamedTuple):
    learned: dict[Prefix, NextHops]
    announced: dict[Prefix, int]  # by us, with local preference
    neighbors: list[Neighbor]
    rivals: dict[Prefix, list[str]]  # other hosts that announce what we announce, except guests that move


def _attributes(path: Path) -> dict[int, Path]:
    return {attribute["type"]: attribute for attribute in path["attrs"]}


def _next_hop(path: Path) -> NextHop:
    found = _attributes(path)
    return _parsed((found.get(NEXT_HOP) or found[MP_REACH])["nexthop"], path.get("neighbor-ip", ""), _preference(found))


def _preference(found: dict[int, Path]) -> int:
    return int(found.get(LOCAL_PREF, {}).get("value", ORDINARY))


@functools.lru_cache(maxsize=1024)
def _parsed(address: str, neighbor: str, preference: int) -> NextHop:
    """Thousands of prefixes share a few next hops."""
    zone = neighbor.partition("%")[2] if address.lower().startswith("fe80:") else ""
    return NextHop(packed(address), zone or None, preference)


def _is_local(path: Path) -> bool:
    return "neighbor-ip" not in path


def event(line: str | bytes) -> dict[Prefix, NextHops]:
    """The changes in a line of the stream. Raises ValueError for anything else."""
    changes: dict[Prefix, list[NextHop]] = {}
    local = set()
    paths = json.loads(line)
    if isinstance(paths, dict):
        raise ValueError(paths.get("error", line))
    for path in paths:
        where = _prefix(path)
        if where is None:
            continue
        hops = changes.setdefault(where, [])
        if _is_local(path):
            local.add(where)
        elif not path.get("withdrawal"):
            hops.append(_next_hop(path))
    return {where: () if where in local else tuple(sorted(set(hops), key=str)) for where, hops in changes.items()}


def _prefix(path: Path) -> Prefix | None:
    written = path["nlri"].get("prefix")
    try:
        return prefix(written) if written else None
    except (OSError, ValueError):  # of another address family than ours, such as EVPN
        return None


def table(rib: Rib, text: str, multipath: bool) -> None:
    """Adds the output of `global rib -j` to `rib`. Raises ValueError or KeyError."""
    internal = {entry.address for entry in rib.neighbors if entry.internal}
    decoder, start = json.JSONDecoder(), text.find('"')
    while start > 0:  # one prefix after the other: the whole takes many times the text in memory
        written, start = decoder.raw_decode(text, start)
        paths, start = decoder.raw_decode(text, text.index("[", start))
        start = text.find('"', start)
        _take(rib, prefix(written), paths, multipath, internal)


def _take(rib: Rib, where: Prefix, paths: list[Path], multipath: bool, internal: t.Collection[str]) -> None:
    for path in paths:
        if _is_local(path):
            found = _attributes(path)
            address = (found.get(NEXT_HOP) or found.get(MP_REACH, {})).get("nexthop")
            if address in UNSPECIFIED and found.get(ORIGIN, {}).get("value", IGP) == IGP:
                rib.announced[where] = _preference(found)
    others = {path["neighbor-ip"] for path in paths if _is_of_another(path)}
    if others and rib.announced.get(where) == ORDINARY:
        names = {entry.address: entry.name or entry.address for entry in rib.neighbors}
        rib.rivals[where] = sorted(names.get(address, address) for address in others)
    best = next((path for path in paths if path.get("best")), None)
    if best is None:
        return
    if _is_local(best):
        # GoBGP takes our own path to a guest that another host claims with the same sequence number. We take the other
        # one, so that the agent notices, as BIRD does: see templates/bird/bird.conf.j2.
        preference = _preference(_attributes(best))
        rivals = {_next_hop(path) for path in paths if not _is_local(path)} if preference > ORDINARY else set()
        if equal := [rival for rival in rivals if rival.preference == preference]:
            rib.learned[where] = tuple(sorted(equal, key=str))
        return
    if not multipath or len(paths) == 1:
        rib.learned[where] = (_next_hop(best),)
        return
    rank = _rank(best, internal)
    sharing = [path for path in paths if not _is_local(path) and _rank(path, internal) == rank]
    rib.learned[where] = tuple(sorted(set(map(_next_hop, sharing)), key=str))


def _rank(path: Path, internal: t.Collection[str]) -> tuple[t.Any, ...]:
    """GoBGP's criteria for two paths to share the load."""
    found = _attributes(path)
    length = 0
    for segment in found.get(AS_PATH, {}).get("as_paths") or []:
        kind, count = segment.get("segment_type"), segment.get("num", 0)
        length += {1: 1, 2: count}.get(kind, 0)  # a set counts once, a confederation's not at all
    return (
        path.get("neighbor-ip") in internal,
        _preference(found),
        length,
        found.get(ORIGIN, {}).get("value", IGP),
        found.get(MED, {}).get("metric", 0),
    )


def _is_of_another(path: Path) -> bool:
    """Whether a path is certainly not our own: leaves send routes back in which their AS replaces that of the host."""
    segments = _attributes(path).get(AS_PATH, {}).get("as_paths") or []
    numbers = [number for segment in segments for number in segment.get("asns") or ()]
    return not _is_local(path) and (len(numbers) <= 1 or numbers[0] != numbers[-1])


def neighbors(text: str) -> list[Neighbor]:
    """Parses the output of `neighbor -j`. Raises ValueError."""
    found = []
    for entry in json.loads(text) or []:
        state, config = entry.get("state", {}), entry["conf"]
        complete: bool | None = None
        for family in entry.get("afi_safis", []):
            restart = family.get("mp_graceful_restart", {}).get("state", {})
            if restart.get("received") and restart.get("advertised"):
                complete = complete is not False and bool(restart.get("end_of_rib_received"))
        found.append(
            Neighbor(
                address=config.get("neighbor_address") or state.get("neighbor_address", ""),
                internal=config.get("peer_asn") == config.get("local_asn"),
                wanted=state.get("admin_state", 0) != ADMIN_DOWN,
                established=state.get("session_state") == ESTABLISHED,
                complete=complete,
                name=config.get("description", ""),
            )
        )
    return found


def is_complete(found: t.Iterable[Neighbor], quiet: bool) -> bool:
    """Whether End-of-RIB was received from all neighbours; `quiet`: no change was received for a while, which counts as
    one from those that send none."""
    wanted = [entry for entry in found if entry.wanted]
    return all(entry.established and (quiet if entry.complete is None else entry.complete) for entry in wanted)


def family_name(where: Prefix) -> str:
    return "ipv4" if where.family == socket.AF_INET else "ipv6"
