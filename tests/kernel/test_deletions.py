"""Deleted and replaced links and namespaces: what else the kernel deletes with them, predicted or refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.namespace import Namespace
from support.waiting import until


@pytest.fixture
def interpreter():
    return sys.executable, None  # the plan is the same with any pyroute2


D1 = {"name": "d1", "type": "dummy", "addresses": [{"address": "10.1.0.1/24"}]}
D1_5 = {"name": "d1.5", "type": "vlan", "parent": "d1", "vlan_id": 5, "addresses": [{"address": "10.5.0.1/24"}]}


def names(space):
    return {link["ifname"] for link in space.show("link")} - {"lo"}


def refused(space, module, **args):
    """The mistakes of a run that is refused, in check mode, too, and changes nothing."""
    before = space.settled()
    found = [space.module(module, **args, _check=check).get("mistakes") for check in (True, False)]
    assert found[0] == found[1]
    assert space.settled() == before
    return found[0]


def predicted(space, module, **args):
    """All changes of a run that succeeds, which check mode predicts, and after which none is left."""
    expected = space.module(module, **args, _check=True, _diff=True)
    done = space.module(module, **args, _diff=True)
    assert not done.get("failed"), done["msg"]
    assert done == expected
    assert space.changed(module, **args) == []
    return [(change["kind"], change["op"], change["name"], change["why"]) for change in done["changes"]]


def test_links_of_others_on_a_link_are_refused_and_named(namespace):
    namespace.changed("interfaces", config=[D1])
    namespace.ip("link add link d1 name d1.9 type vlan id 9")
    namespace.ip("address add 10.19.0.1/24 dev d1.9")
    namespace.ip("link set d1.9 up")
    namespace.ip("link add link d1 name mv0 type macvlan")
    namespace.ip("route add 10.119.0.0/16 via 10.19.0.2")
    text = "d1.9 (vlan) and mv0 (macvlan) are not ours and would be deleted with it; delete or move that first"
    wanted = {"config": [{"name": "d1"}], "state": "deleted"}
    assert refused(namespace, "interfaces", **wanted) == [f"interfaces[0]: interface d1 cannot be deleted: {text}"]
    expected = [f"interfaces: interface d1 cannot be deleted: {text}"]
    assert refused(namespace, "interfaces", config=[], state="overridden") == expected
    namespace.ip("link delete d1.9")
    namespace.ip("link delete mv0")
    assert predicted(namespace, "interfaces", **wanted) == [("interfaces", "delete", "d1", "is to be deleted")]


def test_a_link_of_others_on_a_vlan_of_ours_is_refused_when_its_parent_goes(namespace):
    namespace.changed("interfaces", config=[D1, D1_5])
    namespace.ip("link add link d1.5 name q1 type vlan id 7")
    [mistake] = refused(namespace, "interfaces", config=[{"name": "d1"}], state="deleted")
    assert "interface d1 cannot be deleted: q1 (vlan) is not ours" in mistake


def test_links_of_ours_that_go_along_are_deletions(namespace):
    namespace.changed("interfaces", config=[D1, D1_5])
    namespace.ip("route add 10.77.0.0/16 via 10.5.0.9 proto static")
    namespace.changed("routes", config=[{"prefix": "10.78.0.0/16", "gateway": "10.5.0.9"}])
    result = namespace.module("interfaces", config=[{"name": "d1"}], state="deleted", _check=True)
    assert result["after"] == []
    dropped = "the kernel drops it because of changes on d1.5"
    assert predicted(namespace, "interfaces", config=[{"name": "d1"}], state="deleted") == [
        ("interfaces", "delete", "d1", "is to be deleted"),
        ("interfaces", "delete", "d1.5", "is deleted with d1"),
        ("routes", "delete", "10.77.0.0/16 in table 254", f"is not ours; {dropped}"),
        ("routes", "delete", "10.78.0.0/16 in table 254", dropped),
    ]
    assert names(namespace) == set()


def test_ipvlan_links_on_a_master_that_goes(namespace):
    namespace.changed("interfaces", config=[D1])
    inside = Namespace.made(f"{namespace.name}-c1")
    links = [
        {"name": "host-side", "master": "d1", "mode": "l2"},
        {"name": "eth0", "master": "d1", "mode": "l2", "namespace": inside.name},
    ]
    namespace.changed("ipvlan_links", config=links)
    namespace.ip(f"link add link d1 name eth9 netns {inside.name} type ipvlan mode l2")
    wanted = {"config": [{"name": "d1"}], "state": "deleted"}
    [mistake] = refused(namespace, "interfaces", **wanted)
    assert f"cannot be deleted: eth9 in {inside.name} (ipvlan) is not ours" in mistake
    inside.ip("link delete eth9")
    assert predicted(namespace, "interfaces", **wanted) == [
        ("interfaces", "delete", "d1", "is to be deleted"),
        ("ipvlan_links", "delete", "host-side", "is deleted with d1"),
        ("ipvlan_links", "delete", f"eth0 in {inside.name}", "is deleted with d1"),
    ]


def test_the_peer_of_a_veth_goes_along_wherever_it_is(namespace):
    pair = {"name": "a", "type": "veth", "peer": "b"}
    wanted = {"config": [{"name": "a"}], "state": "deleted"}
    namespace.changed("interfaces", config=[pair])
    assert predicted(namespace, "interfaces", **wanted)[1:] == [("interfaces", "delete", "b", "is deleted with a")]
    namespace.changed("interfaces", config=[pair])
    namespace.ip(f"link set dev b netns {namespace.behind.name}")
    label = f"b in {namespace.behind.name}"
    namespace.behind.ip("link add link b name b.3 type vlan id 3")
    [mistake] = refused(namespace, "interfaces", **wanted)
    assert f"b.3 in {namespace.behind.name} (vlan) is not ours" in mistake
    namespace.behind.ip("link delete b.3")
    assert predicted(namespace, "interfaces", **wanted)[1:] == [("interfaces", "delete", label, "is deleted with a")]


def test_a_replaced_link_takes_others_along_but_not_vlans_of_ours(namespace):
    namespace.changed("interfaces", config=[D1, D1_5, {**D1_5, "name": "q", "parent": "d1.5", "addresses": []}])
    namespace.changed("interfaces", config=[{"name": "q", "addresses": [{"address": "10.6.0.1/24"}]}])
    namespace.ip("link add link d1.5 name mv0 type macvlan")
    wanted = {"config": [{**D1_5, "vlan_id": 6}]}
    [mistake] = refused(namespace, "interfaces", **wanted)
    assert mistake.startswith("interfaces[0]: interface d1.5 cannot be replaced (vlan_id cannot be changed on")
    assert "mv0 (macvlan) is not ours" in mistake
    namespace.ip("link delete mv0")
    assert [change[1:3] for change in predicted(namespace, "interfaces", **wanted)] == [
        ("replace", "d1.5"),
        ("replace", "q"),
    ]
    [vlan] = namespace.show("-4 address show q")
    assert vlan["addr_info"][0]["local"] == "10.6.0.1"


@pytest.mark.parametrize("op", ["delete", "replace"])
def test_links_that_lose_their_vrf_are_announced(namespace, op):
    namespace.cable("eth7")
    namespace.ip("address add 10.7.0.1/24 dev eth7")
    namespace.changed("vrfs", config=[{"name": "blue", "table": 77}])
    namespace.changed("interfaces", config=[{**D1, "vrf": "blue"}])
    namespace.ip("link set eth7 master blue")
    namespace.ip("route add 10.77.0.0/16 via 10.7.0.9 table 77 proto static")
    wanted = (
        {"config": [{"name": "blue"}], "state": "deleted"}
        if op == "delete"
        else {"config": [{"name": "blue", "table": 78}]}
    )
    found = predicted(namespace, "vrfs", **wanted)
    assert found[0][:3] == ("vrfs", op, "blue")
    assert sorted(found[1:]) == [
        ("interfaces", "change", "d1", f"blue, its VRF, is {op}d"),
        ("interfaces", "change", "eth7", f"is not ours; blue, its VRF, is {op}d"),
        ("routes", "delete", "10.77.0.0/16 in table 77", "is not ours; the kernel drops it because of changes on eth7"),
    ]
    assert not [link for link in namespace.show("link show") if link.get("master")]


def test_ports_that_lose_their_bridge_are_announced(namespace):
    namespace.cable("eth7")
    namespace.changed("interfaces", config=[{"name": "br", "type": "bridge"}])
    namespace.ip("link set eth7 master br")
    assert predicted(namespace, "interfaces", config=[{"name": "br"}], state="deleted") == [
        ("interfaces", "delete", "br", "is to be deleted"),
        ("interfaces", "change", "eth7", "is not ours; br, its bridge, is deleted"),
    ]


def test_ports_rejoin_a_bridge_that_is_replaced(namespace):
    config = [{"name": "br", "type": "bridge"}, {**D1, "bridge": "br"}]
    namespace.changed("interfaces", config=config)
    namespace.ip("link set dev br group 0x52480001")  # a run was killed just before it deleted the bridge
    assert [change[1:3] for change in predicted(namespace, "interfaces", config=config)] == [
        ("replace", "br"),
        ("change", "d1"),
    ]
    assert namespace.show("link show d1")[0]["master"] == "br"


def test_links_of_others_and_processes_in_a_namespace_are_refused(namespace):
    name = f"{namespace.name}-c1"
    namespace.changed("interfaces", config=[D1])
    namespace.changed("namespaces", config=[{"name": name}])
    namespace.changed("ipvlan_links", config=[{"name": "eth0", "master": "d1", "mode": "l2", "namespace": name}])
    inside = Namespace(name)
    inside.ip("link add x0 type dummy")
    wanted = {"config": [{"name": name}], "state": "deleted"}
    start = f"namespaces[0]: namespace {name} cannot be deleted: "
    expected = f"{start}x0 (dummy) is not ours and would be deleted with it; delete or move that first"
    assert refused(namespace, "namespaces", **wanted) == [expected.replace("x0 ", f"x0 in {name} ")]
    inside.ip("link delete x0")
    process = inside.start("sleep", "60")
    try:
        until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", what="nsenter has become sleep")
        [mistake] = refused(namespace, "namespaces", **wanted)
        assert mistake == f"{start}{process.pid} (sleep) runs in it and would keep it alive; end that first"
    finally:
        process.kill()
        process.wait()
    assert predicted(namespace, "namespaces", **wanted) == [
        ("namespaces", "delete", name, "is to be deleted"),
        ("ipvlan_links", "delete", f"eth0 in {name}", f"is deleted with namespace {name}"),
    ]


def test_a_veth_of_ours_goes_with_the_namespace_of_its_peer(namespace):
    name = f"{namespace.name}-c1"
    namespace.changed("namespaces", config=[{"name": name}])
    namespace.changed("interfaces", config=[{"name": "a", "type": "veth", "peer": "b"}])
    namespace.ip(f"link set dev b netns {name}")
    found = predicted(namespace, "namespaces", config=[{"name": name}], state="deleted")
    assert sorted(change[:3] for change in found) == [
        ("interfaces", "delete", "a"),
        ("interfaces", "delete", f"b in {name}"),
        ("namespaces", "delete", name),
    ]
