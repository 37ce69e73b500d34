"""Two leaves with FRR between three hosts: contiv1 and contiv3 with BIRD, contiv2 with GoBGP, in lab nodes.

contiv1 -left- switch1 -core- switch2 -right- contiv2, and contiv3 -other- switch1.
"""

from __future__ import annotations

from pathlib import Path

from . import ansible_runs
from .waiting import until, until_equal

LEAVES = ("switch1", "switch2")
# node, interface: IPv4 address, IPv6 address
ADDRESSES = {
    ("switch1", "left"): ("50.1.1.2/24", "2001:db8:50::2/64"),
    ("switch1", "other"): ("50.1.2.2/24", "2001:db8:52::2/64"),
    ("switch1", "core"): ("80.1.1.1/24", "2001:db8:80::1/64"),
    ("switch2", "core"): ("80.1.1.2/24", "2001:db8:80::2/64"),
    ("switch2", "right"): ("60.1.1.4/24", "2001:db8:60::4/64"),
    ("contiv1", "left"): ("50.1.1.1/24", "2001:db8:50::1/64"),
    ("contiv2", "right"): ("60.1.1.3/24", "2001:db8:60::3/64"),
    ("contiv3", "other"): ("50.1.2.1/24", "2001:db8:52::1/64"),
}
CABLES = [("switch1", "contiv1", "left"), ("switch1", "contiv3", "other"), ("switch1", "switch2", "core")]
CABLES.append(("switch2", "contiv2", "right"))
HOSTS = {"switch1": {"contiv1": ("left", 65002), "contiv3": ("other", 65003)}, "switch2": {"contiv2": ("right", 65002)}}
SOCKET = "unix:///run/routed-hypervisor-gobgp/main.sock"

BIRD = """
log stderr all;
router id {router_id};
protocol device {{ }}
ipv4 table t4;
ipv6 table t6;
protocol static static4 {{ ipv4 {{ table t4; }}; {routes4} }}
protocol static static6 {{ ipv6 {{ table t6; }}; {routes6} }}
protocol kernel kernel4 {{ ipv4 {{ table t4; export where source = RTS_BGP; }}; }}
protocol kernel kernel6 {{ ipv6 {{ table t6; export where source = RTS_BGP; }}; }}
template bgp leaf {{ ttl security yes; connect delay time 1; connect retry time 2; error wait time 1, 2; }}
protocol bgp leaf_ipv4 from leaf {{
  local {local4} as {number}; neighbor {leaf4} as 500; interface "{link}";
  ipv4 {{ table t4; import all; export where source = RTS_STATIC; next hop self; }};
}}
protocol bgp leaf_ipv6 from leaf {{
  local {local6} as {number}; neighbor {leaf6} as 500; interface "{link}";
  ipv6 {{ table t6; import all; export where source = RTS_STATIC; next hop self; }};
}}
"""
GOBGP = """
[global.config]
  as = 65002
  router-id = "60.1.1.3"
"""
GOBGP_NEIGHBOR = """
[[neighbors]]
  [neighbors.config]
    description = "leaf_{family}"
    neighbor-address = "{address}"
    peer-as = 500
  [neighbors.timers.config]
    connect-retry = 1
    idle-hold-time-after-reset = 1
  [neighbors.ttl-security.config]
    enabled = true
    ttl-min = 255
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{family}-unicast"
"""


def plain(node: str, link: str, family: str) -> str:
    return ADDRESSES[node, link][family == "ipv6"].partition("/")[0]


def session(name: str, family: str, address: str, number: int, local: str, **changes) -> dict:
    common = {"name": f"{name}_{family}", "description": name, "instance": "main", "vrf": None, "families": [family]}
    common |= {"table": "main", "local_as": 500, "local_address": local, "update_source": None, "interface": None}
    common |= {"neighbor": address, "neighbor_as": number, "multihop": None, "ttl_security": True, "bfd": False}
    common |= {"password_key": None, "reflector_client": False, "cluster_id": None, "next_hop": "self"}
    common |= {"add_path": None, "as_override": True, "maximum_prefix": 1000, "export": "all"}
    return {**common, "import_policy": "CONTAINERS", "export_policy": "TO-HOSTS", **changes}


def leaf(name: str) -> dict:
    """The variables of a leaf, as the inventory plugin resolves them."""
    other, edge, far = ("switch2", "left", "right") if name == "switch1" else ("switch1", "right", "left")
    links = [link for node, link in ADDRESSES if node == name]
    interfaces = [
        {
            **{"name": link, "kind": "routed" if link == "core" else "svi", "vlan": None, "vrf": None, "mtu": None},
            **{"description": f"to {link}", "addresses": list(ADDRESSES[name, link])},
        }
        for link in links
    ]
    sessions = []
    ibgp = {"ttl_security": False, "as_override": False, "maximum_prefix": None, "bfd": True, "next_hop": "keep"}
    ibgp |= {"update_source": edge, "password_key": "leaves", "export_policy": "CONTAINERS"}
    for family in ("ipv4", "ipv6"):
        for host, (link, number) in HOSTS[name].items():
            address, local = plain(host, link, family), plain(name, link, family)
            sessions.append(session(host, family, address, number, local))
        address, local = plain(other, far, family), plain(name, edge, family)
        sessions.append(session(other, family, address, 500, local, **ibgp))
    permit = [{"prefix": "192.168.1.0/24", "family": "ipv4", "longest": 32}]
    permit.append({"prefix": "2001:db8:1::/64", "family": "ipv6", "longest": 128})
    router_id = plain(name, edge, "ipv4")
    return {
        "bgp": {
            **{"daemon": "frr", "as": 500, "router_id": router_id},
            "timers": {"hold_s": 9, "keepalive_s": 3, "connect_retry_s": 5},
            **{"graceful_restart_s": None, "bfd": {"interval_ms": 200, "multiplier": 3}, "maximum_paths": 8},
            **{"instances": [{"name": "main", "vrf": None, "listen": []}], "tables": [], "redistribute": []},
            "policies": [{"name": "CONTAINERS", "permit": permit}, {"name": "TO-HOSTS", "permit": permit}],
            "sessions": sessions,
        },
        "ospf": {
            **{"process": 500, "area": "0.0.0.0", "router_id": router_id, "families": ["ipv4", "ipv6"]},
            **{"authentication": None, "timers": {"hello_s": 1, "dead_s": 4}, "maximum_paths": 8},
            "interfaces": [
                {"name": link, "vrf": None, "passive": link != "core"}
                | {"network": "point-to-point" if link == "core" else None}
                for link in links
            ],
        },
        "leaf": {
            "hostname": name,
            "vrfs": [],
            "vlans": [],
            "interfaces": interfaces,
            "ports": [],
            "static": [],
            "acls": [],
        },
    }


class LeafPair:
    def __init__(self, lab, directory: Path):
        self.lab, self.directory = lab, directory
        self.passwords = {name: {"leaves": "first-secret"} for name in LEAVES}
        self.ospf_passwords: dict[str, dict] = {}
        self.leaves = {name: leaf(name) for name in LEAVES}

    def build(self) -> None:
        made = self.lab.nodes(*LEAVES, "contiv1", "contiv2", "contiv3")
        assert not made.get("failed"), made
        ends = [({"node": a, "interface": link}, {"node": b, "interface": link}) for a, b, link in CABLES]
        made = self.lab.cables(*({"a": a, "b": b, "mtu": None} for a, b in ends))
        assert not made.get("failed"), made
        for (node, link), addresses in ADDRESSES.items():
            self.configure(node, link, addresses)
        for name in LEAVES:
            self.run(name, "sysctl", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.start_bird("contiv1", ["192.168.1.1/32", "192.168.1.9/32", "10.66.0.0/16"], ["2001:db8:1::1/128"])
        self.start_bird("contiv3", ["192.168.1.9/32"], ["2001:db8:1::9/128"])
        self.start_gobgp()

    def configure(self, node: str, link: str, addresses) -> None:
        for address in addresses:
            self.run(node, "ip", "address", "replace", address, "dev", link, *(["nodad"] if ":" in address else []))
        self.run(node, "ip", "link", "set", link, "up")

    # nodes

    def run(self, node: str, *argv: str, **options) -> str:
        return self.lab.run(node, *argv, **options)

    def module(self, node: str, module: str, /, **args) -> dict:
        result = self.lab.module(node, module, **args)
        assert not result.get("failed"), result
        return result

    def vtysh(self, node: str, *commands: str) -> str:
        return self.run(node, "vtysh", *(word for command in commands for word in ("-c", command)))

    # hosts

    def start_bird(self, node: str, routes4: list[str], routes6: list[str]) -> None:
        (link,) = [link for at, link in ADDRESSES if at == node]
        text = BIRD.format(
            router_id=plain(node, link, "ipv4"),
            number=HOSTS["switch1"][node][1],
            link=link,
            routes4=" ".join(f"route {route} blackhole;" for route in routes4),
            routes6=" ".join(f"route {route} blackhole;" for route in routes6),
            local4=plain(node, link, "ipv4"),
            local6=plain(node, link, "ipv6"),
            leaf4=plain("switch1", link, "ipv4"),
            leaf6=plain("switch1", link, "ipv6"),
        )
        self.run(node, "tee", "/etc/bird/bird.conf", text=text)
        if self.run(node, "pidof", "bird", fails=True):
            self.run(node, "birdc", "configure")
        else:
            self.run(node, "service", "bird", "start")

    def start_gobgp(self) -> None:
        text = GOBGP + "".join(
            GOBGP_NEIGHBOR.format(family=family, address=plain("switch2", "right", family))
            for family in ("ipv4", "ipv6")
        )
        self.run("contiv2", "tee", "/etc/gobgp.toml", text=text)
        self.run("contiv2", "mkdir", "-p", "/run/routed-hypervisor-gobgp")
        start = f"gobgpd -f /etc/gobgp.toml --api-hosts={SOCKET} --pprof-disable >/var/log/gobgp.log 2>&1 </dev/null &"
        self.run("contiv2", "sh", "-c", start)
        until(lambda: "60.1.1.3" in self.run("contiv2", "gobgp", "--target", SOCKET, "global", fails=True))
        for family, prefix in (("ipv4", "192.168.1.2/32"), ("ipv6", "2001:db8:1::2/128")):
            self.announce("contiv2", family, prefix)

    def announce(self, node: str, family: str, prefix: str, action: str = "add") -> None:
        self.run(node, "gobgp", "--target", SOCKET, "global", "rib", "-a", family, action, prefix)

    # leaves

    def role(self, *options: str, fails: bool = False, name: str = "frr", playbook=None, limit=LEAVES, **more) -> str:
        """Runs a role, or a playbook, on the leaves. Returns all that Ansible said."""
        hosts = {
            leaf: {
                **self.leaves[leaf],
                "bgp_passwords": self.passwords[leaf],
                "ospf_passwords": self.ospf_passwords.get(leaf, {}),
                **more,
            }
            for leaf in limit
        }
        groups = {"routers": hosts, "lab_absent": {}}
        play = playbook or ansible_runs.play_of(name)
        return ansible_runs.play(self.lab, self.directory, groups, play, *options, fails=fails)

    def changes(self, *options: str, **more) -> list[str]:
        """Runs a role. Returns what it did, as `OP NAME`, of all leaves."""
        return ansible_runs.services(self.role(*options, **more))

    def reload_would(self, node: str) -> str:
        """What a reload of the file that is there would do."""
        return self.run(node, "/usr/lib/frr/frr-reload.py", "--test", "--stdout", "/etc/frr/frr.conf")

    # what the daemons say

    def info(self, node: str) -> dict:
        return self.module(node, "bgp_info")

    def sessions(self, node: str) -> dict[str, dict]:
        return {session["neighbor"]: session for session in self.info(node)["sessions"]}

    def up(self, node: str) -> set[str]:
        return {address for address, one in self.sessions(node).items() if one["state"] == "Established"}

    def routes(self, node: str) -> dict[str, str]:
        """Prefix to `[PREFERENCE/METRIC] ADDRESS…` of the routes in use that are not connected."""
        return {
            route["prefix"]: " ".join(
                [f"[{route['preference']}/{route['metric']}]", *sorted(hop["address"] for hop in route["next_hops"])]
            )
            for route in self.info(node)["routes"]
            if route["best"] and route["protocol"] in ("bgp", "ospf")
        }

    def all_up(self) -> bool:
        return all(len(self.up(name)) == len(self.leaves[name]["bgp"]["sessions"]) for name in LEAVES)

    def until_routes(self, node: str, expected: dict[str, str], seconds: float = 30) -> None:
        """Waits until these are among the routes of a node, or are none of them if the text is empty."""

        def now() -> dict[str, str]:
            seen = self.routes(node)
            return {prefix: seen.get(prefix, "") for prefix in expected}

        until_equal(now, expected, seconds, 0.1)
