"""Ports of guests that do not run, and of guests that have left the configuration."""

from __future__ import annotations

import pytest


def guest(number, **more):
    name = f"tap-web{number}"
    return {
        "interfaces": [
            {
                "name": name,
                "guest": f"web{number}",
                "vrf": "public",
                "addresses": [
                    {"address": "203.0.113.254/32", "scope": "link"},
                    {"address": "2001:db8:cb::1/64", "nodad": True},
                ],
                "sysctls": {"ipv4": {"forwarding": 1}, "ipv6": {"accept_ra": 0, "addr_gen_mode": 1}},
                **more,
            }
        ],
        "proxy_arp": [{"interface": name, "proxy_arp": True, "delay": 0, "entries": ["203.0.113.77"]}],
        "routes": [
            {"prefix": f"203.0.113.{number}/32", "vrf": "public", "interface": name, "scope": "link"},
            {"prefix": f"2001:db8:cb::{number}/128", "interface": name},
        ],
    }


def config(*numbers):
    made = {"vrfs": [{"name": "public", "table": 90}], "interfaces": [{"name": "eth7", "addresses": []}]}
    made["sysctls"] = [{"name": "net.ipv6.conf.all.forwarding", "value": "1"}]
    for number in numbers:
        for kind, entries in guest(number).items():
            made[kind] = [*made.get(kind, []), *entries]
    return made


def apply(space, wanted, **more):
    """The result of a run, which check mode predicted and a second run leaves alone."""
    arguments = {"config": wanted, "state": "overridden", **more}
    predicted = space.module("network", _check=True, _diff=True, **arguments)
    result = space.module("network", _diff=True, **arguments)
    assert not result.get("failed"), result["msg"]
    for part in ("changes", "absent", "after", "diff"):
        assert predicted[part] == result[part]
    assert space.module("network", **arguments)["changes"] == []
    return result


def test_the_port_of_a_stopped_guest_is_absent_and_everything_else_is_applied(namespace):
    for name in ("eth7", "tap-web2"):
        namespace.cable(name)
    result = apply(namespace, config(1, 2))
    assert result["absent"] == [{"interface": "tap-web1", "guest": "web1"}]
    assert not result.get("warnings")
    assert [route["dst"] for route in namespace.show("route show vrf public type unicast")] == ["203.0.113.2"]
    assert namespace.show("link show dev tap-web2")[0]["master"] == "public"
    namespace.cable("tap-web1")
    result = apply(namespace, config(1, 2))
    assert result["absent"] == []
    changes = {(change["kind"], change["name"]) for change in result["changes"]}
    assert changes == {
        ("interfaces", "tap-web1"),
        ("proxy_arp", "tap-web1"),
        ("routes", "203.0.113.1/32 in VRF public"),
        ("routes", "2001:db8:cb::1/128 in table 254"),
    }
    namespace.ip("link delete tap-web1")
    assert apply(namespace, config(1, 2))["changes"] == []


def test_a_port_that_will_be_plugged_in_is_not_absent(namespace):
    for name in ("eth7", "tap-web2"):
        namespace.cable(name)
    arguments = {"config": config(1, 2), "state": "overridden"}
    predicted = namespace.module("network", expected=["tap-web1"], _check=True, **arguments)
    assert predicted["absent"] == []
    namespace.cable("tap-web1")
    kinds = [(change["kind"], change["op"], change["name"]) for change in predicted["changes"]]
    assert ("interfaces", "change", "tap-web1") in kinds
    assert set(namespace.changed("network", **arguments)) <= set(kinds)


def warnings(result):
    """Their texts; Ansible with events wraps them."""
    found = result.get("warnings", [])
    return [warning if isinstance(warning, str) else warning["event"]["msg"] for warning in found]


def test_a_mistyped_port_is_reported_with_the_interface_that_nobody_claims(namespace):
    for name in ("eth7", "tap-wbe1", "tap-web2"):
        namespace.cable(name)
    for check in (True, False):
        result = namespace.module("network", config=config(1, 2), state="overridden", _check=check)
        assert warnings(result) == ["there is no port tap-web1 of guest web1; did you mean tap-wbe1?"]


def test_only_a_port_that_no_run_has_seen_may_be_mistyped(namespace, tmp_path):
    for name in ("eth7", "tap-web1", "tap-wbe1"):
        namespace.cable(name)
    arguments = {"config": config(1, 2), "state": "overridden", "former": str(tmp_path / "former.json")}
    namespace.ip("link set tap-wbe1 name office")  # nothing has a similar name at first
    unseen = "no run has seen these ports yet; if their guests are running, the names are wrong: tap-web2 of guest web2"
    assert warnings(namespace.module("network", **arguments)) == [unseen]
    namespace.ip("link set office name tap-wbe1")
    namespace.ip("link delete tap-web1")
    for _run in range(2):
        result = namespace.module("network", **arguments)
        assert [port["guest"] for port in result["absent"]] == ["web1", "web2"]
        assert warnings(result) == [unseen]


def test_what_is_on_an_absent_port_is_left_out(namespace):
    namespace.cable("eth7")
    wanted = config(1)
    wanted["interfaces"].append({"name": "tap-web1.7", "type": "vlan", "parent": "tap-web1", "vlan_id": 7})
    hops = [{"interface": "eth7"}, {"interface": "tap-web1"}, {"interface": "tap-web1.7"}]
    wanted["sysctls"].append({"name": "net.ipv4.neigh.tap-web1.base_reachable_time_ms", "value": "30000"})
    wanted["routes"].append({"prefix": "10.7.0.0/24", "nexthops": hops, "vrf": "public"})
    apply(namespace, wanted)
    [route] = namespace.show("route show 10.7.0.0/24 vrf public")
    assert route["dev"] == "eth7"
    namespace.cable("tap-web1")
    apply(namespace, wanted)
    [route] = namespace.show("route show 10.7.0.0/24 vrf public")
    assert [hop["dev"] for hop in route["nexthops"]] == ["eth7", "tap-web1", "tap-web1.7"]


def test_an_uplink_must_exist(namespace):
    namespace.cable("tap-web1")
    namespace.cable("eth8")
    [mistake] = namespace.module("network", config=config(1), state="overridden")["mistakes"]
    assert mistake == (
        "interfaces[0].name: eth7 does not exist; did you mean eth8? give its type if it is to be created"
    )


def test_the_port_of_a_guest_is_not_created(namespace):
    [mistake] = namespace.module("interfaces", config=[{"name": "tap-web1", "guest": "web1", "type": "dummy"}])[
        "mistakes"
    ]
    assert mistake.startswith("interfaces[0].guest: is only for an interface that someone else creates")


# A guest leaves


def state_of(space, name):
    [link] = space.show(f"link show dev {name}")
    addresses = [entry["local"] for shown in space.show(f"address show dev {name}") for entry in shown["addr_info"]]
    keys = ("ipv4/conf/{}/forwarding", "ipv4/conf/{}/proxy_arp", "ipv6/conf/{}/disable_ipv6")
    proxies = [entry["dst"] for entry in space.show(f"neighbor show proxy dev {name}")]
    return link.get("master"), addresses, [space.sysctl(key.format(name)) for key in keys], proxies


def test_the_port_of_a_guest_that_left_is_closed(namespace):
    for name in ("eth7", "tap-web1", "tap-web2", "stranger"):
        namespace.cable(name)
    apply(namespace, config(1, 2))
    assert state_of(namespace, "tap-web1")[2] == ["1", "1", "0"]
    stranger = state_of(namespace, "stranger")
    result = apply(namespace, config(2))
    assert state_of(namespace, "tap-web1") == (None, [], ["0", "0", "1"], [])
    assert namespace.show("link show dev tap-web1")[0]["group"] == str(0x52480011)
    assert namespace.sysctl("ipv4/conf/tap-web1/arp_ignore") == "8"
    assert state_of(namespace, "tap-web2")[2] == ["1", "1", "0"]
    assert state_of(namespace, "stranger") == stranger
    [change] = [change for change in result["changes"] if change["kind"] == "interfaces"]
    assert (change["op"], change["name"], change["after"]["port"]) == ("change", "tap-web1", "closed")
    # it comes back
    apply(namespace, config(1, 2))
    assert state_of(namespace, "tap-web1")[0] == "public"
    assert state_of(namespace, "tap-web1")[2:] == (["1", "1", "0"], ["203.0.113.77"])
    assert namespace.sysctl("ipv4/conf/tap-web1/arp_ignore") == "0"


@pytest.mark.parametrize("left", [False, True])
def test_the_ports_of_a_host_that_is_given_back_are_as_they_were(namespace, tmp_path, left):
    for name in ("eth7", "tap-web1"):
        namespace.cable(name)
    before = [state_of(namespace, "tap-web1")[number] for number in (0, 2, 3)]
    former = str(tmp_path / "former.json")
    apply(namespace, config(1), former=former)
    if left:
        for _run in range(2):
            apply(namespace, config(), former=former)
        assert state_of(namespace, "tap-web1")[2] == ["0", "0", "1"]
    namespace.module("network", state="deleted", former=former)
    assert [state_of(namespace, "tap-web1")[number] for number in (0, 2, 3)] == before
    assert namespace.sysctl("ipv4/conf/tap-web1/arp_ignore") == "0"
    assert namespace.show("link show dev tap-web1")[0]["group"] == "default"
    assert namespace.module("network", state="deleted", former=former)["changes"] == []
    assert not (tmp_path / "former.json").exists()


@pytest.mark.parametrize("state", ["overridden", "merged"])
def test_a_port_in_a_group_of_others_stays_there(namespace, state):
    for name in ("eth7", "tap-web1"):
        namespace.cable(name)
    namespace.ip("link set tap-web1 group 77")
    namespace.changed("network", config=config(1), state=state)
    assert namespace.changed("network", config=config(1), state=state) == []
    assert namespace.show("link show dev tap-web1")[0]["group"] == "77"
    if state == "overridden":
        apply(namespace, config())
        assert state_of(namespace, "tap-web1")[0] is None
