"""RFC 8326 as FRR and GoBGP treat it, with the templates: who honours the community, and what a drained FRR sends.

Nodes frr and gobgp are in AS 500. Each has sessions to far, in another AS, and near, in its own; both run BIRD.
"""

from __future__ import annotations

import json
import typing

import pytest
from support.leaf_pair import leaf, session
from support.templates import render
from support.waiting import until, until_equal

LINKS = {("frr", "far"): "10.0.1", ("frr", "near"): "10.0.2", ("gobgp", "far"): "10.0.3", ("gobgp", "near"): "10.0.4"}
ROUTERS, AS, FIRST = ("frr", "gobgp"), {"far": 65001, "near": 500}, {"far": 1, "near": 2}
BIRD = """
log stderr all;
router id 10.10.{first}.1;
protocol device {{ }}
ipv4 table t4;
protocol static {{ ipv4 {{ table t4; }}; {routes} }}
template bgp either {{
  connect delay time 1; connect retry time 2; error wait time 1, 2;
  ipv4 {{
    table t4; import all; next hop self;
    export filter {{
      if source = RTS_BGP then reject;
      if net ~ [10.10.{first}.2/31+] then bgp_community.add((65535, 0));
      if net = 10.10.{first}.3/32 then bgp_local_pref = 0;
      accept;
    }};
  }};
}}
"""
NEIGHBOR = "protocol bgp {router} from either {{ local {net}.1 as {number}; neighbor {net}.2 as 500; }}\n"
PERMIT = [{"prefix": "10.10.0.0/16", "family": "ipv4", "longest": 32}]
SOCKET = "unix:///run/gobgp.sock"


def values(router: str) -> dict[str, typing.Any]:
    """Of a leaf that has these sessions alone."""
    found, ends = leaf("switch1"), {node: net for (at, node), net in LINKS.items() if at == router}
    sessions = [
        session(node, "ipv4", f"{net}.1", AS[node], f"{net}.2", ttl_security=False, as_override=False, interface=node)
        for node, net in ends.items()
    ]
    policies = [{"name": name, "permit": PERMIT} for name in ("CONTAINERS", "TO-HOSTS")]
    timers = {"hold_s": 9, "keepalive_s": 3, "connect_retry_s": 1}
    found["bgp"] |= {"sessions": sessions, "policies": policies, "bfd": None, "timers": timers}
    return {**found, "ospf": None, "bgp_passwords": {}, "ospf_passwords": {}}


def write_frr(lab, **more) -> None:
    lab.run("frr", "tee", "/etc/frr/frr.conf", text=render("frr/frr.conf", {**values("frr"), **more}))


@pytest.fixture(scope="module")
def lab(shared_lab):
    lab = shared_lab
    assert not lab.nodes(*ROUTERS, *AS).get("failed")
    ends = [({"node": router, "interface": node}, {"node": node, "interface": router}) for router, node in LINKS]
    assert not lab.cables(*({"a": a, "b": b, "mtu": None} for a, b in ends)).get("failed")
    for (router, node), net in LINKS.items():
        for at, link, last in ((router, node, 2), (node, router, 1)):
            lab.run(at, "ip", "address", "add", f"{net}.{last}/24", "dev", link)
            lab.run(at, "ip", "link", "set", link, "up")
    for node, first in FIRST.items():
        routes = " ".join(f"route 10.10.{first}.{last}/32 blackhole;" for last in (1, 2, 3))
        text = BIRD.format(first=first, routes=routes)
        for (router, at), net in LINKS.items():
            text += NEIGHBOR.format(router=router, net=net, number=AS[node]) if at == node else ""
        lab.run(node, "tee", "/etc/bird/bird.conf", text=text)
        lab.run(node, "service", "bird", "start")
    lab.run("frr", "sed", "-i", "s/^bgpd=no/bgpd=yes/", "/etc/frr/daemons")
    write_frr(lab)
    lab.run("frr", "/usr/lib/frr/frrinit.sh", "start")
    gobgp = {**values("gobgp"), "gobgp_instance": {"name": "main", "vrf": None, "listen": []}}
    lab.run("gobgp", "tee", "/etc/gobgp.toml", text=render("gobgp/gobgpd.toml", gobgp))
    start = f"gobgpd -f /etc/gobgp.toml --api-hosts={SOCKET} --pprof-disable >/var/log/gobgp.log 2>&1 </dev/null &"
    lab.run("gobgp", "sh", "-c", start)
    # Both answer before they have read their configurations.
    summary = ("vtysh", "-c", "show bgp summary")
    until(lambda: "local AS number 500" in lab.run("frr", *summary, fails=True), what="BGP of FRR")
    ask = ("gobgp", "--target", SOCKET, "global")
    until(lambda: values("gobgp")["bgp"]["router_id"] in lab.run("gobgp", *ask, fails=True), what="BGP of GoBGP")
    return lab


def preferences_of_frr(lab) -> dict[str, int]:
    found = json.loads(lab.run("frr", "vtysh", "-c", "show bgp ipv4 unicast json", fails=True) or "{}")
    return {prefix: paths[0].get("locPrf", 100) for prefix, paths in found.get("routes", {}).items()}


def preferences_of_gobgp(lab) -> dict[str, int]:
    found = json.loads(lab.run("gobgp", "gobgp", "--target", SOCKET, "-j", "global", "rib", fails=True) or "{}")
    return {
        prefix: next((one["value"] for one in paths[0]["attrs"] if one["type"] == 5), 100)
        for prefix, paths in found.items()
    }


def test_frr_honours_the_community_of_another_as_and_a_local_preference_of_its_own(lab):
    expected = {f"10.10.{first}.{last}/32": 100 for first in (1, 2) for last in (1, 2, 3)}
    expected |= {"10.10.1.2/32": 0, "10.10.1.3/32": 0, "10.10.2.3/32": 0}
    until_equal(lambda: preferences_of_frr(lab), expected, 30)


def test_gobgp_honours_the_community_of_all(lab):
    expected = {f"10.10.{first}.{last}/32": 1 if last > 1 else 100 for first in (1, 2) for last in (1, 2, 3)}
    until_equal(lambda: preferences_of_gobgp(lab), expected, 30)


def received(lab, node: str, prefix: str) -> tuple[str, bool]:
    """The local preference with which a route came from FRR, and whether it carries the community."""
    text = lab.run(node, "birdc", "show", "route", "for", prefix, "protocol", "frr", "all")
    assert prefix in text, text
    return text.partition("local_pref: ")[2].split()[0], "(65535,0)" in text


def test_a_drained_frr_asks_other_as_by_the_community_and_its_own_by_the_local_preference(lab):
    ways = {"far": "10.10.2.1/32", "near": "10.10.1.1/32"}

    def learned() -> list[str]:
        ask = ("birdc", "show", "route", "protocol", "frr")
        return [node for node, prefix in ways.items() if prefix in lab.run(node, *ask, fails=True)]

    until_equal(learned, [*ways])

    def now() -> dict[str, tuple[str, bool]]:
        return {node: received(lab, node, prefix) for node, prefix in ways.items()}

    until_equal(now, {"far": ("100", False), "near": ("100", False)}, 30)
    for drained, expected in (
        (True, {"far": ("100", True), "near": ("0", True)}),
        (False, {"far": ("100", False), "near": ("100", False)}),
    ):
        write_frr(lab, drained=drained)
        lab.run("frr", "/usr/lib/frr/frr-reload.py", "--reload", "/etc/frr/frr.conf")
        until_equal(now, expected, 30)
