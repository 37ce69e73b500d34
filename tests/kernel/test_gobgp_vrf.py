"""Instances of GoBGP in VRFs: their sockets are bound to their VRF, even if nodes share a control group."""

from __future__ import annotations

import os
from contextlib import ExitStack

import jinja2
import pytest
from support.lab_nodes import Node
from support.modules import PROJECT
from support.waiting import until

ROUTER = """
log "/tmp/bird.log" all;
debug protocols { events };
router id 10.0.0.2;
protocol device { }
protocol static s4 { ipv4; route 192.0.2.0/24 blackhole; }
protocol static s6 { ipv6; route 2001:db8:99::/48 blackhole; }
template bgp host {
  PASSIVE interface "eth0"; direct; ttl security yes; connect delay time 1; connect retry time 2; error wait time 1,5;
  graceful restart on;
}
protocol bgp h4 from host {
  local 10.0.0.2 as 65001; neighbor 10.0.0.1 as 64512; ipv4 { import all; export all; next hop self; };
}
protocol bgp h6 from host {
  local 2001:db8::2 as 65001; neighbor 2001:db8::1 as 64512; ipv6 { import all; export all; next hop self; };
}
"""
API = "unix:///run/routed-hypervisor-gobgp/public.sock"


def bgp() -> dict:
    """The variables of a host in VRF public, as the inventory resolves them."""

    def session(family: str, neighbor: str, local_address: str) -> dict:
        return {
            "name": f"router_public_{family}",
            "instance": "public",
            "vrf": "public",
            "families": [family],
            "neighbor": neighbor,
            "neighbor_as": 65001,
            "local_as": 64512,
            "local_address": local_address,
            "interface": "eth0",
            "ttl_security": True,
            "multihop": None,
            "reflector_client": False,
            "cluster_id": None,
            "export": "own",
            "add_path": None,
        }

    return {
        "router_id": "10.0.0.1",
        "as": 64512,
        "timers": {"hold_s": 9, "keepalive_s": 3, "connect_retry_s": 5},
        "graceful_restart_s": 120,
        "maximum_paths": 8,
        "instances": [{"name": "public", "vrf": "public", "listen": ["10.0.0.1", "2001:db8::1"]}],
        "sessions": [session("ipv4", "10.0.0.2", "10.0.0.1"), session("ipv6", "2001:db8::2", "2001:db8::1")],
    }


def daemon() -> dict:
    """The arguments that the role gobgp passes to the module."""
    values = bgp()
    loader = jinja2.FileSystemLoader(PROJECT / "templates" / "gobgp")
    template = jinja2.Environment(loader=loader, trim_blocks=True, keep_trailing_newline=True).get_template
    return {
        "name": "gobgpd-public",
        "command": [
            "gobgpd",
            "--config-file=/etc/gobgp/public.toml",
            f"--api-hosts={API}",
            "--pprof-disable",
            "--log-plain",
            "--graceful-restart",
        ],
        "vrf": "public",
        "runtime_directory": "routed-hypervisor-gobgp",
        "prepare": ["rm", "-f", API.removeprefix("unix://")],
        "restart_signal": "KILL",
        "files": [
            {
                "path": "/etc/gobgp/public.toml",
                "content": template("gobgpd.toml.j2").render(bgp=values, gobgp_instance=values["instances"][0]),
            }
        ],
        "ready": ["gobgp", "--target", API, "global"],
        "reload": ["kill", "-HUP", "{pid}"],
    }


def wire(node: Node, passive: bool, links: int) -> None:
    """A VRF with an uplink to a router, which is a namespace of the node. More `links` shift the VRF's index."""
    for number in range(links):
        node.run("ip", "link", "add", f"more{number}", "type", "dummy")
    node.write("/tmp/bird.conf", ROUTER.replace("PASSIVE", "passive on;" if passive else ""))
    node.run(
        "sh",
        "-ec",
        """
        ip link add public type vrf table 90
        ip link set public up
        ip netns add router
        ip link add eth0 type veth peer name eth0 netns router
        ip link set eth0 master public up
        ip addr add 10.0.0.1/24 dev eth0
        ip addr add 2001:db8::1/64 dev eth0 nodad
        ip -n router addr add 10.0.0.2/24 dev eth0
        ip -n router addr add 2001:db8::2/64 dev eth0 nodad
        ip -n router link set eth0 up
        ip netns exec router bird -c /tmp/bird.conf -s /tmp/bird.ctl
        """,
    )


def established(node: Node) -> None:
    """Waits until both sessions are up."""
    until(lambda: node.run("gobgp", "--target", API, "neighbor", fails=True).count("Establ") == 2, what="both sessions")


def has(node: Node, text: str, *command: str) -> None:
    """Waits until a command prints this."""
    until(lambda: text in node.run(*command, fails=True), what=f"{text} in {' '.join(command)}")


@pytest.fixture
def nodes(run_module, lab_image):
    """Two nodes whose VRFs have the same name and different indexes, like the hypervisors of a lab."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make nodes")
    with ExitStack() as stack:
        made = [stack.enter_context(Node(run_module, lab_image)) for _number in range(2)]
        for number, node in enumerate(made):
            wire(node, passive=True, links=3 * number)
        yield made


def test_every_socket_is_in_the_vrf_of_its_own_node(nodes):
    indexes = [node.read("/sys/class/net/public/ifindex").strip() for node in nodes]
    assert len(set(indexes)) == 2
    for node in nodes:
        result = node.module("daemon", **daemon())
        assert not result.get("failed"), result
    for node in nodes:
        # The router only listens, so these sockets were created after the other node's.
        established(node)
        listening = node.run("ss", "-Htln", "sport = :179")
        assert listening.count("%public:179") == 2 == listening.count(":179 "), listening
        has(node, "192.0.2.0/24", "gobgp", "--target", API, "global", "rib")
        has(node, "2001:db8:99::/48", "gobgp", "--target", API, "global", "rib", "-a", "ipv6")
    assert [node.module("daemon", **daemon())["changes"] for node in nodes] == [[], []]
    # Each node's sockets are bound by a control group of its own.
    groups = {node.read(f"/proc/{node.pid('gobgpd')}/cgroup").strip() for node in nodes}
    assert len(groups) == 2 and all(group.endswith("/vrf/public") for group in groups), groups

    expected = {"title": "a", "kind": "bgp", "daemon": "gobgp", "instance": "public", "session": "router_public_ipv6"}
    right = {**expected, "neighbor": "2001:db8::2", "family": "ipv6"}
    config = [right, {**right, "neighbor": "2001:db8::3"}, {**right, "instance": "private"}]
    results = nodes[0].module("verify", config=config, deadline=1)["results"]
    assert [result["state"] for result in results] == ["passed", "failed", "failed"], results

    # Announced from here, with our own address as the next hop.
    node = nodes[0]
    node.run("gobgp", "--target", API, "global", "rib", "add", "10.10.1.0/24")
    node.run("gobgp", "--target", API, "global", "rib", "add", "-a", "ipv6", "2001:db8:10::/64")
    for prefix, gateway in (("10.10.1.0/24", "10.0.0.1"), ("2001:db8:10::/64", "2001:db8::1")):
        has(node, f"via {gateway} on eth0", "birdc", "-s", "/tmp/bird.ctl", "show", "route", "for", prefix)

    # A replaced VRF has a new index, to which the old process has no sockets bound.
    node.run("sh", "-ec", "ip link del public; ip link add public type vrf table 90; ip link set public up")
    node.run("sh", "-ec", "ip link set eth0 master public; ip addr replace 2001:db8::1/64 dev eth0 nodad")
    [change] = node.module("daemon", **daemon())["changes"]
    assert change["op"] == "restart" and "interface public" in change["why"]
    established(node)


def test_a_restart_by_the_module_sends_the_neighbours_no_cease(nodes):
    node = nodes[0]
    node.write("/tmp/bird.conf", ROUTER.replace("PASSIVE", ""))
    node.run("birdc", "-s", "/tmp/bird.ctl", "configure")
    node.module("daemon", **daemon())
    established(node)
    node.run("gobgp", "--target", API, "global", "rib", "add", "10.10.1.0/24")
    has(node, "10.10.1.0/24", "birdc", "-s", "/tmp/bird.ctl", "show", "route")
    since = len(node.read("/tmp/bird.log"))
    result = node.module("daemon", **daemon(), description="another")
    assert result["changes"][-1]["op"] == "restart"
    until(lambda: "h4: Neighbor graceful restart detected" in node.read("/tmp/bird.log")[since:], what="a restart")
    # The neighbor keeps the routes until the new process has announced its own, possibly before this test can look.
    log = node.read("/tmp/bird.log")[since:]
    assert "h4: Received: " not in log, log
    established(node)
