# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From host variables and a document of results to the model of the report. Linear in the number of results."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from ipaddress import ip_interface

from .changes import changes
from .document import Document
from .drills import drills
from .model import (
    FAILED,
    NOT_RUN,
    PARTLY,
    PASSED,
    UNVERIFIED,
    Address,
    Changes,
    Fabric,
    Link,
    Node,
    Report,
    Result,
    Session,
    overall,
)
from .wanted import is_silence, wanted

MAIN = "main"
NO_RESULTS = {"kind": "node", "title": "was verified", "state": FAILED, "seen": "the node failed before, see the run"}
GUEST_KINDS = ("guest", "container")

HostVars = t.Mapping[str, t.Mapping[str, t.Any]]


class Owners:
    """Who has an address. The same address may exist in several VRFs."""

    def __init__(self, nodes: t.Iterable[Node]) -> None:
        self._found: dict[str, list[tuple[str, str]]] = defaultdict(list)  # address: (VRF, node)
        for node in nodes:
            for address in node.addresses:
                self._found[address.plain].append((address.vrf, node.name))

    def find(self, address: str, vrf: str = "") -> tuple[str, str]:
        """(VRF, node) of an address, in this VRF if it exists there; empty strings if it is nobody's."""
        found = self._found.get(address, [])
        return next((one for one in found if one[0] == vrf), found[0] if found else ("", ""))


def build(
    host_vars: HostVars, document: Document, previous: Document | str | None = None, drilled: list[t.Any] | str = ""
) -> Report:
    """PREVIOUS is an earlier document, DRILLED the results of drills; a string is why they cannot be used."""
    nodes = _nodes(host_vars)
    owners = Owners(nodes.values())
    sessions = _sessions(host_vars, nodes, owners)
    results = _Reader(host_vars, nodes, owners, sessions).results(document["nodes"])
    for result in results:
        nodes.setdefault(result.node, Node(result.node, "node"))
    links = [
        Link(node.name, fabric, interface) for node in nodes.values() for fabric, interface in node.fabrics.items()
    ]
    fabrics = _fabrics(nodes)
    _judge_nodes(nodes, results)
    _judge_links(links, fabrics, results, nodes)
    return Report(
        fabric=document["fabric"],
        time=document["time"],
        nodes=nodes,
        fabrics=fabrics,
        links=links,
        sessions=list(sessions.values()),
        results=results,
        changes=Changes(refused=previous) if isinstance(previous, str) else changes(results, previous),
        reasons={result.kind: result.seen for result in results if result.state == NOT_RUN},
        drills=[] if isinstance(drilled, str) else drills(drilled),
        drills_refused=drilled if isinstance(drilled, str) else "",
    )


def _nodes(host_vars: HostVars) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for name, given in host_vars.items():
        place = given.get("topology")
        if not place:
            continue
        node = nodes[name] = Node(name, place["kind"], vrf=place.get("vrf", ""))
        if bgp := given.get("bgp"):
            node.facts = {"AS": str(bgp["as"]), "daemon": bgp["daemon"], "router id": bgp["router_id"]}
        node.fabrics = {fabric: uplink["interface"] for fabric, uplink in place["fabrics"].items()}
        for fabric, uplink in place["fabrics"].items():
            node.addresses += _addresses(fabric, uplink["addresses"])
        node.addresses += _addresses("loopback", place.get("loopbacks", {}))
        for address in place.get("world", ()):
            node.addresses.append(Address("world", node.vrf, "ipv6" if ":" in address else "ipv4", address))
        for kind in GUEST_KINDS:
            for guest, about in place.get(f"{kind}s", {}).items():
                below = nodes[guest] = Node(guest, kind, name, about["vrf"])
                below.facts = {"port" if kind == "guest" else "network": about["interface"]}
                below.addresses = _addresses(about["interface"], {about["vrf"]: about["addresses"]})
                for address in about.get("additional", ()):
                    family = "ipv6" if ":" in address else "ipv4"
                    below.addresses.append(Address(about["interface"], about["vrf"], family, address))
    return nodes


def _addresses(place: str, given: t.Mapping[str, t.Mapping[str, str]]) -> list[Address]:
    return [Address(place, vrf, family, text) for vrf, families in given.items() for family, text in families.items()]


def _fabrics(nodes: t.Mapping[str, Node]) -> dict[str, Fabric]:
    """With the networks that their routers' addresses are in."""
    found: dict[str, Fabric] = {}
    for node in nodes.values():
        for name in node.fabrics:
            found.setdefault(name, Fabric(name))
        for address in node.addresses:
            if address.place in node.fabrics and "/" in address.text:
                prefixes = found[address.place].prefixes
                if (address.vrf, address.family) not in prefixes:
                    prefixes[address.vrf, address.family] = str(ip_interface(address.text).network)
    return found


def _sessions(host_vars: HostVars, nodes: dict[str, Node], owners: Owners) -> dict[tuple[str, str], Session]:
    """By node and name."""
    found = {}
    for name, given in host_vars.items():
        node = nodes.get(name)
        if node is None or not given.get("bgp"):
            continue
        fabric_of = {address.plain: address.place for address in node.addresses if address.place in node.fabrics}
        for one in given["bgp"]["sessions"]:
            vrf = one["vrf"] or MAIN
            # A border has its VRF's addresses in its main table.
            _vrf, peer = owners.find(one["neighbor"], node.vrf or vrf)
            found[name, one["name"]] = Session(
                node=name,
                name=one["name"],
                peer=peer or one["neighbor"],
                vrf=node.vrf or vrf,
                families=one["families"],
                neighbor=one["neighbor"],
                local=one["local_address"] or "",
                own_as=one["local_as"],
                peer_as=one["neighbor_as"],
                fabric=fabric_of.get(one["local_address"], ""),
                interface=one["interface"] or "",
                bgp=UNVERIFIED,
                bfd=UNVERIFIED if one["bfd"] else "",
            )
    return found


class _Reader:
    """Joins results with the expectations that they answer, in the order in which both are."""

    def __init__(
        self, host_vars: HostVars, nodes: dict[str, Node], owners: Owners, sessions: dict[tuple[str, str], Session]
    ) -> None:
        self._host_vars = host_vars
        self._nodes = nodes
        self._owners = owners
        self._sessions = sessions
        self._of_bfd = {(one.node, one.neighbor, one.interface): one for one in sessions.values()}
        # FRR's BFD sessions are given by VRF.
        self._of_bfd |= {(one.node, one.neighbor, f"vrf {one.vrf}"): one for one in sessions.values()}
        self._tables = {
            str(vrf["table"]): vrf["name"]
            for given in host_vars.values()
            for vrf in (given.get("network") or {}).get("vrfs") or ()
        }
        # Seen from the machine that runs a lab, on behalf of guests.
        self._elsewhere = {
            (expected["kind"], expected["title"]): expected
            for given in host_vars.values()
            for expected in given.get("verify") or ()
            if expected["kind"] == "spoof"
        }

    def results(self, nodes: t.Mapping[str, t.Any]) -> list[Result]:
        found = []
        for name, listed in nodes.items():
            pending: dict[tuple[str, str], list[t.Any]] = defaultdict(list)
            for expected in self._host_vars.get(name, {}).get("verify") or ():
                pending[expected["kind"], expected["title"]].append(expected)
            for result in listed if isinstance(listed, list) else [NO_RESULTS]:
                key = result["kind"], result["title"]
                expected = pending[key].pop(0) if pending.get(key) else self._elsewhere.get(key, {})
                found.append(self._result(name, result, expected))
        return found

    def _result(self, recorded: str, given: t.Mapping[str, t.Any], expected: t.Mapping[str, t.Any]) -> Result:
        node = expected.get("node", recorded)
        made = Result(
            node=node,
            kind=given["kind"],
            title=given["title"],
            state=given["state"],
            seen=str(given.get("seen", "")),
            seconds=given.get("seconds", 0.0),
            counters=given.get("counters") or {},
            recorded=recorded,
        )
        if not expected:
            return made
        made.wanted = wanted(expected)
        made.is_silence = is_silence(expected)
        made.family = expected.get("family", "")
        made.guests = tuple(expected.get("guests") or ())
        made.to = expected.get("to_name") or ""
        made.source = expected.get("namespace") or node
        self._place(made, expected)
        return made

    def _place(self, made: Result, expected: t.Mapping[str, t.Any]) -> None:
        source = self._nodes.get(made.source)
        own_vrf = source.vrf if source else ""
        if made.kind in ("bgp", "bfd"):
            self._session(made, expected, own_vrf or expected.get("vrf") or "")
        elif made.kind == "route":
            made.table = str(expected["table"])
            made.prefix = expected["prefix"]
            made.vrf = own_vrf or self._tables.get(made.table, MAIN)
            made.to = self._owners.find(made.prefix.partition("/")[0], made.vrf)[1]
        elif made.to:
            address = str(expected.get("to", ""))
            made.to_vrf = self._owners.find(address.partition("%")[0], own_vrf)[0]
            made.family = made.family or ("ipv6" if ":" in address else "ipv4")
            made.vrf = own_vrf or made.to_vrf or MAIN
        else:
            made.vrf = expected.get("vrf") or own_vrf

    def _session(self, made: Result, expected: t.Mapping[str, t.Any], vrf: str) -> None:
        place = expected.get("interface") or f"vrf {vrf or MAIN}"
        session = self._sessions.get((made.node, str(expected.get("session"))))
        session = session or self._of_bfd.get((made.node, expected["neighbor"], place))
        if session is None:
            return
        made.to, made.vrf, made.fabric, made.session = session.peer, session.vrf, session.fabric, session.name
        if made.kind == "bfd":
            session.bfd = made.state
        else:
            session.bgp = made.state if session.bgp in (UNVERIFIED, PASSED) else session.bgp
        if made.kind == "bgp" and (made.state != PASSED or not session.seen):
            session.seen = made.seen


def _judge_nodes(nodes: dict[str, Node], results: list[Result]) -> None:
    """A node by its own results; a guest or container by all that need it."""
    for result in results:
        if result.node in nodes:
            nodes[result.node].counts[result.state] += 1
        for name in dict.fromkeys((*result.guests, result.source, result.to)):
            below = nodes.get(name)
            if below is not None and below.parent == result.node and name != result.node:
                below.counts[result.state] += 1
    for node in nodes.values():
        state = overall(node.counts)
        node.state = FAILED if state == PARTLY else state


def _judge_links(links: list[Link], fabrics: dict[str, Fabric], results: list[Result], nodes: dict[str, Node]) -> None:
    """By the sessions over them, as both ends see them."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for result in results:
        if not result.fabric:
            continue
        for end in (result.node, result.to):
            if end in nodes and result.fabric in nodes[end].fabrics:
                counts[end, result.fabric][result.state] += 1
    for link in links:
        found = counts[link.node, link.fabric]
        link.state, link.failed, link.total = overall(found), found[FAILED], found.total()
    of_links: dict[str, Counter[str]] = defaultdict(Counter)
    for link in links:
        of_links[link.fabric][link.state] += 1
    for fabric in fabrics.values():
        fabric.state = overall(of_links[fabric.name])
