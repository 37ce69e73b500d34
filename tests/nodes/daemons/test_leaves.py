"""Leaves with FRR as the role configures them, with hosts that speak BIRD and GoBGP: what is learned, kept and lost."""

from __future__ import annotations

import copy
import re
import time

import pytest
import yaml
from support.leaf_pair import LEAVES, LeafPair
from support.modules import PROJECT
from support.waiting import stays, until, until_equal

SWITCH1 = {
    "60.1.1.0/24": "[110/20] 80.1.1.2",
    "192.168.1.1/32": "[20/0] 50.1.1.1",
    "192.168.1.2/32": "[200/0] 60.1.1.3",
    "192.168.1.9/32": "[20/0] 50.1.1.1 50.1.2.1",
    "2001:db8:1::1/128": "[20/0] 2001:db8:50::1",
    "2001:db8:1::2/128": "[200/0] 2001:db8:60::3",
    "2001:db8:1::9/128": "[20/0] 2001:db8:52::1",
}
SWITCH2 = {
    "50.1.1.0/24": "[110/20] 80.1.1.1",
    "50.1.2.0/24": "[110/20] 80.1.1.1",
    "192.168.1.1/32": "[200/0] 50.1.1.1",
    "192.168.1.2/32": "[20/0] 60.1.1.3",
    "2001:db8:1::1/128": "[200/0] 2001:db8:50::1",
    "2001:db8:1::2/128": "[20/0] 2001:db8:60::3",
    "2001:db8:1::9/128": "[200/0] 2001:db8:52::1",
}


@pytest.fixture(scope="module")
def pair(shared_lab, lab_image, tmp_path_factory):
    if not (lab_image / "usr/lib/frr/frr-reload.py").exists():
        pytest.skip("the lab-node image is older than the role: run `make setup`")
    pair = LeafPair(shared_lab, tmp_path_factory.mktemp("leaves"))
    pair.build()
    changes = pair.changes()
    assert changes.count("start frr") == 2, changes
    until(pair.all_up, 60)
    return pair


@pytest.fixture(autouse=True)
def as_found(request):
    """Every test starts with both leaves as they are to be."""
    if "pair" not in request.fixturenames:
        return
    pair = request.getfixturevalue("pair")
    for node, routes in zip(LEAVES, (SWITCH1, SWITCH2), strict=True):
        pair.until_routes(node, routes, 60)


def neighbor(pair, node: str, name: str) -> dict:
    return next(one for one in pair.leaves[node]["bgp"]["sessions"] if one["name"] == name)


def test_both_leaves_have_exactly_these_routes(pair):
    """Containers by eBGP on their own leaf, by iBGP with the host as next hop on the other, leaf subnets by OSPF."""

    def ours() -> dict[str, str]:
        return {prefix: way for prefix, way in pair.routes("switch1").items() if not prefix.startswith("2001:db8:60")}

    until_equal(ours, SWITCH1)
    others = {"192.168.1.9/32", "2001:db8:50::/64", "2001:db8:52::/64"}
    until_equal(lambda: pair.routes("switch2").keys() - SWITCH2.keys(), others)
    assert pair.routes("switch1")["2001:db8:60::/64"].startswith("[110/20] fe80::")
    assert pair.routes("switch2")["192.168.1.9/32"].startswith("[200/0] 50.1.")


def test_only_containers_are_let_in_and_the_rest_is_counted(pair):
    counts = ("prefixes_received", "prefixes_accepted")
    until_equal(lambda: [pair.sessions("switch1")["50.1.1.1"][name] for name in counts], [3, 2])
    session = pair.sessions("switch1")["50.1.1.1"]
    assert "10.66.0.0/16" not in pair.routes("switch1")
    assert session["name"] == "contiv1" and session["neighbor_as"] == 65002 and session["families"] == ["ipv4"]


def test_hosts_of_one_as_hear_of_each_other(pair):
    at_first = {"192.168.1.2/32": "[100/0] 50.1.1.2", "2001:db8:1::2/128": "[100/0] 2001:db8:50::2"}
    pair.until_routes("contiv1", at_first)
    at_second = {"192.168.1.1/32": "[None/0] 60.1.1.4", "2001:db8:1::1/128": "[None/0] 2001:db8:60::4"}
    pair.until_routes("contiv2", at_second)


@pytest.mark.parametrize(
    ("source", "to", "gateway"),
    [("192.168.1.1", "192.168.1.2", "60.1.1.4"), ("2001:db8:1::1", "2001:db8:1::2", "2001:db8:60::4")],
)
def test_packets_cross_both_leaves(pair, source, to, gateway):
    """GoBGP writes nothing to the kernel: contiv2 has a route by hand."""
    for node, address in (("contiv1", source), ("contiv2", to)):
        pair.run(node, "ip", "address", "replace", address, "dev", "lo", *(["nodad"] if ":" in address else []))
    pair.run("contiv2", "ip", "route", "replace", source, "via", gateway)
    family = "-6" if ":" in to else "-4"
    until(lambda: to in pair.run("contiv1", "ip", family, "route", "show", "proto", "bird"))
    answer = pair.run("contiv1", "ping", "-c", "3", "-i", "0.2", "-I", source, to)
    assert "3 received" in answer and "ttl=62" in answer


@pytest.mark.parametrize("last", ["50.1.1.1", "50.1.2.1"])
def test_what_comes_later_has_the_right_as_for_each_host(pair, last):
    """FRR would group contiv1 and contiv3, and have the AS of the last one replaced in the updates of both."""
    pair.vtysh("switch1", f"clear bgp {last}")
    until(pair.all_up)

    def peers() -> list[list[str]]:
        groups = pair.vtysh("switch1", "show bgp ipv4 unicast update-groups").split("Update-group ")
        return [sorted(re.findall(r"- (\S+)", group)) for group in groups]

    until_equal(lambda: [one for one in ("50.1.1.1", "50.1.2.1") if [one] in peers()], ["50.1.1.1", "50.1.2.1"])
    pair.announce("contiv2", "ipv4", "192.168.1.50/32")
    pair.until_routes("contiv1", {"192.168.1.50/32": "[100/0] 50.1.1.2"}, 10)
    pair.announce("contiv2", "ipv4", "192.168.1.50/32", "del")
    pair.until_routes("contiv1", {"192.168.1.50/32": ""}, 10)


def test_bgp_info_says_the_same_of_every_daemon(pair):
    infos = {node: pair.info(node) for node in ("switch1", "contiv1", "contiv2")}
    assert [infos[node]["sessions"][0]["daemon"] for node in infos] == ["frr", "bird", "gobgp"]
    for kind in ("sessions", "routes"):
        keys = {frozenset(item) for info in infos.values() for item in info[kind]}
        assert len(keys) == 1
    for node, info in infos.items():
        assert info["errors"] == {} and not info["changed"]
        for session in info["sessions"]:
            assert session["state"] == "Established" and 0 <= session["uptime_s"] < 600, (node, session)
            assert session["local_as"] == (500 if node == "switch1" else 65002)
        assert all(0 <= route["uptime_s"] < 600 for route in info["routes"]), node
        assert all(session["neighbor"] in info["text"] for session in info["sessions"])
    # Who prints uptimes in other units agrees with its neighbour.
    started = time.monotonic()
    at_leaf = pair.sessions("switch1")["50.1.1.1"]["uptime_s"]
    at_host = pair.sessions("contiv1")["50.1.1.2"]["uptime_s"]
    assert -2 <= at_host - at_leaf <= 2 + time.monotonic() - started
    shown = infos["switch1"]["text"]
    assert re.search(r"192\.168\.1\.2/32 +\* +60\.1\.1\.3 +\[200/0\]", shown), shown


def test_the_playbook_shows_the_tables_of_both_leaves(pair):
    output = pair.role(playbook=PROJECT / "playbooks/inspect.yml")
    assert re.search(r"192\.168\.1\.1/32 +\* +50\.1\.1\.1 left +\[20/0\]", output), output
    assert re.search(r"192\.168\.1\.1/32 +\* +50\.1\.1\.1 +\[200/0\]", output), output
    assert "changed=0" in output and "first-secret" not in output


def test_verification_sees_sessions_and_bfd_of_frr(pair):
    bgp = {"title": "a", "kind": "bgp", "daemon": "frr", "vrf": None, "neighbor": "50.1.1.1", "family": "ipv4"}
    bfd = {"title": "b", "kind": "bfd", "daemon": "frr", "neighbor": "60.1.1.4"}
    wrong = [{**bgp, "family": "ipv6"}, {**bgp, "neighbor": "50.1.1.9"}, {**bgp, "vrf": "blue"}]
    wrong.append({**bfd, "neighbor": "50.1.1.1"})
    assert all(
        result["state"] == "passed"
        for result in pair.module("switch1", "verify", config=[bgp, bfd], deadline=20)["results"]
    )
    results = pair.module("switch1", "verify", config=wrong, deadline=0)["results"]
    assert not any(result["state"] == "passed" for result in results), results
    assert results[1]["seen"] == "FRR has no neighbor 50.1.1.9 in VRF none"


def test_a_second_run_changes_nothing_and_a_change_drops_no_session(pair):
    assert pair.changes() == []
    before = {node: pair.sessions(node) for node in LEAVES}
    pids = [pair.run(node, "pidof", "bgpd", "watchfrr") for node in LEAVES]
    one = neighbor(pair, "switch1", "contiv3_ipv4")
    one["maximum_prefix"], one["description"] = 500, "the third"
    started = time.monotonic()
    timers = pair.leaves["switch1"]["bgp"]["timers"]
    timers["hold_s"] = 12
    output = pair.role("--check", "--diff")
    assert "+  neighbor 50.1.2.1 maximum-prefix 500" in output and "+ neighbor 60.1.1.4 timers 3 12" in output
    assert "neighbor 60.1.1.4 password ********" in output and "first-secret" not in output
    timers["hold_s"] = 9
    assert pair.changes() == ["change /etc/frr/frr.conf", "reload frr"]
    assert pair.sessions("switch1")["50.1.2.1"]["name"] == "the third"
    one["maximum_prefix"], one["description"] = 1000, "contiv3"
    assert pair.changes() == ["change /etc/frr/frr.conf", "reload frr"]
    for node in LEAVES:
        passed = int(time.monotonic() - started)
        for address, session in pair.sessions(node).items():
            assert session["uptime_s"] >= before[node][address]["uptime_s"] + passed - 1, (node, session)
    assert [pair.run(node, "pidof", "bgpd", "watchfrr") for node in LEAVES] == pids


def test_frr_says_the_text_back(pair):
    """So a reload has nothing to do but what changed."""
    for node in LEAVES:
        assert "Lines To" not in pair.reload_would(node)


def test_frr_says_back_what_a_leaf_with_everything_has(lab, lab_image, tmp_path):
    """Without interfaces nothing comes up, but every line is taken. VRFs are in the tests of the kernel."""
    values = yaml.safe_load((PROJECT / "tests/golden/data/leaf_full.yml").read_text())
    alone, bgp, leaf = LeafPair(lab, tmp_path), values["bgp"], values["leaf"]
    leaf["hostname"], leaf["vrfs"] = "n", []
    lists = [bgp[key] for key in ("instances", "sessions", "redistribute")]
    for part in (*lists, leaf["interfaces"], values["ospf"]["interfaces"]):
        part[:] = [one for one in part if one["vrf"] is None]
    alone.leaves["n"], alone.passwords["n"] = values, values["bgp_passwords"]
    lab.nodes("n")
    alone.run("n", "sysctl", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    assert "start frr" in alone.changes(limit=["n"])
    assert "Lines To" not in alone.reload_would("n")
    assert alone.changes(limit=["n"]) == []


def test_a_configuration_that_frr_refuses_changes_nothing(pair):
    pair.passwords["switch1"] = {"leaves": "two words"}
    output = pair.role(fails=True, limit=["switch1"])
    assert "refuses the new configuration" in output and "nothing was changed" in output
    assert "password ********" in output and "two words" not in output
    pair.passwords["switch1"] = {"leaves": "first-secret"}
    assert pair.changes() == []


@pytest.mark.parametrize("how", ["the daemon is killed", "the link goes down"])
def test_what_was_learned_goes_with_its_session(pair, how):
    gone = {"192.168.1.1/32": "", "2001:db8:1::1/128": "", "192.168.1.9/32": "[20/0] 50.1.2.1"}
    if how == "the daemon is killed":
        pair.run("contiv1", "sh", "-c", "kill -9 $(pidof bird)")
    else:
        pair.run("contiv1", "ip", "link", "set", "left", "down")
    pair.until_routes("switch1", gone, 5)
    pair.until_routes("switch2", {"192.168.1.1/32": "", "2001:db8:1::1/128": ""}, 5)
    assert pair.routes("switch2")["192.168.1.2/32"] == SWITCH2["192.168.1.2/32"]
    if how == "the daemon is killed":
        pair.run("contiv1", "service", "bird", "start")
    else:
        pair.configure("contiv1", "left", ("50.1.1.1/24", "2001:db8:50::1/64"))


def test_a_container_comes_and_goes_under_a_running_session(pair):
    before = pair.sessions("switch1")["50.1.1.1"]["uptime_s"]
    pair.start_bird(
        "contiv1", ["192.168.1.1/32", "192.168.1.9/32", "192.168.1.7/32", "10.66.0.0/16"], ["2001:db8:1::1/128"]
    )
    pair.until_routes("switch2", {"192.168.1.7/32": "[200/0] 50.1.1.1"}, 10)
    pair.start_bird("contiv1", ["192.168.1.1/32", "192.168.1.9/32", "10.66.0.0/16"], ["2001:db8:1::1/128"])
    pair.until_routes("switch2", {"192.168.1.7/32": ""}, 10)
    assert pair.sessions("switch1")["50.1.1.1"]["uptime_s"] >= before


def test_a_host_that_announces_too_much_is_cut_off(pair):
    many = [f"192.168.1.{number}/32" for number in range(20, 30)]
    neighbor(pair, "switch1", "contiv3_ipv4")["maximum_prefix"] = 5
    pair.changes()
    pair.start_bird("contiv3", ["192.168.1.9/32", *many], ["2001:db8:1::9/128"])
    until(lambda: "50.1.2.1" not in pair.up("switch1"))
    pair.until_routes("switch1", {"192.168.1.9/32": "[20/0] 50.1.1.1", many[0]: ""}, 10)
    assert {"50.1.1.1", "2001:db8:52::1"} <= pair.up("switch1")
    assert "Maximum Number of Prefixes" in pair.sessions("switch1")["50.1.2.1"]["last_error"]
    pair.start_bird("contiv3", ["192.168.1.9/32"], ["2001:db8:1::9/128"])
    neighbor(pair, "switch1", "contiv3_ipv4")["maximum_prefix"] = 1000
    pair.changes()
    pair.vtysh("switch1", "clear bgp 50.1.2.1")


def test_a_wrong_password_keeps_the_session_down_until_it_is_repaired(pair):
    pair.passwords["switch2"] = {"leaves": "wrong"}
    assert pair.changes() == ["change /etc/frr/frr.conf", "reload frr"]
    until(lambda: not {"50.1.1.2", "2001:db8:50::2"} & pair.up("switch2"))
    pair.until_routes("switch2", {"192.168.1.1/32": "", "2001:db8:1::1/128": ""}, 15)
    # longer than a connect retry
    stays(lambda: not {"50.1.1.2", "2001:db8:50::2"} & pair.up("switch2"), 6, "sessions that are down", 0.5)
    pair.passwords["switch2"] = {"leaves": "first-secret"}
    pair.changes()
    until(pair.all_up)


def test_a_leaf_with_another_password_of_the_area_is_no_neighbor(pair):
    def learned() -> set[str]:
        return pair.routes("switch1").keys() & {"60.1.1.0/24", "2001:db8:60::/64"}

    for node in LEAVES:
        pair.leaves[node]["ospf"]["authentication"] = {"key_id": 7, "password_key": "0.0.0.0"}
        pair.ospf_passwords[node] = {"0.0.0.0": "area-secret"}
    output = pair.role("--check", "--diff")
    assert "message-digest-key 7 md5 ********" in output and "hash-algo hmac-sha-256 key ********" in output
    assert "area-secret" not in output
    assert set(pair.changes()) == {"change /etc/frr/frr.conf", "reload frr"}
    until(lambda: len(learned()) == 2)
    assert pair.changes() == []

    pair.ospf_passwords["switch2"] = {"0.0.0.0": "another"}
    pair.changes()
    until(lambda: not learned())
    stays(lambda: not learned(), 6, "nothing learned during several packets")

    pair.ospf_passwords["switch2"] = {"0.0.0.0": "area-secret"}
    pair.changes()
    until(lambda: len(learned()) == 2)
    for node in LEAVES:
        pair.leaves[node]["ospf"]["authentication"] = None
    pair.changes()
    until(lambda: len(learned()) == 2)
    assert all("Lines To" not in pair.reload_would(node) for node in LEAVES)


def test_a_static_route_is_announced_to_hosts_and_other_leaves_and_goes(pair):
    route = {"prefix": "10.9.0.0/16", "family": "ipv4", "next_hop": "50.1.1.1", "vrf": None}
    permit = [{"prefix": "10.9.0.0/16", "family": "ipv4", "longest": 16}]
    kept = {node: copy.deepcopy(pair.leaves[node]) for node in LEAVES}
    one = pair.leaves["switch1"]
    one["leaf"]["static"] = [route]
    one["bgp"]["redistribute"] = [{"source": "static", "vrf": None, "family": "ipv4", "policy": "STATIC"}]
    one["bgp"]["policies"].append({"name": "STATIC", "permit": permit})
    for node in LEAVES:
        for policy in pair.leaves[node]["bgp"]["policies"][:2]:
            policy["permit"] = [*policy["permit"], *permit]
    pair.changes()
    pair.until_routes("switch2", {"10.9.0.0/16": "[200/0] 50.1.1.1"})
    pair.until_routes("contiv3", {"10.9.0.0/16": "[100/0] 50.1.2.2"})
    assert all("Lines To" not in pair.reload_would(node) for node in LEAVES)
    pair.leaves.update(kept)
    pair.changes()
    pair.until_routes("switch2", {"10.9.0.0/16": ""})
    until(lambda: "10.9.0.0" not in pair.run("switch1", "ip", "route"), what="the kernel's route goes")


def test_a_wrong_as_number_is_repaired_by_a_run(pair):
    one = neighbor(pair, "switch2", "contiv2_ipv4")
    one["neighbor_as"] = 65009
    pair.changes()
    until(lambda: "60.1.1.3" not in pair.up("switch2"))
    pair.until_routes("switch1", {"192.168.1.2/32": ""}, 10)
    one["neighbor_as"] = 65002
    assert pair.changes() == ["change /etc/frr/frr.conf", "reload frr"]
    until(pair.all_up)


def test_a_neighbor_is_added_and_removed(pair):
    sessions = pair.leaves["switch1"]["bgp"]["sessions"]
    kept = [one for one in sessions if one["description"] != "contiv3"]
    pair.leaves["switch1"]["bgp"]["sessions"] = kept
    before = pair.sessions("switch1")["50.1.1.1"]["uptime_s"]
    assert pair.changes() == ["change /etc/frr/frr.conf", "reload frr"]
    pair.until_routes("switch1", {"2001:db8:1::9/128": "", "192.168.1.9/32": "[20/0] 50.1.1.1"}, 10)
    assert "50.1.2.1" not in pair.sessions("switch1")
    pair.leaves["switch1"]["bgp"]["sessions"] = sessions
    assert pair.changes() == ["change /etc/frr/frr.conf", "reload frr"]
    until(pair.all_up)
    assert pair.sessions("switch1")["50.1.1.1"]["uptime_s"] >= before


def test_bfd_ends_a_session_whose_path_is_dead_though_the_link_is_up(pair):
    # one of each family
    until(lambda: pair.vtysh("switch1", "show bfd peers json").replace(" ", "").count('"status":"up"') == 2)
    pair.run("switch2", "sh", "-c", "kill -STOP $(pidof bfdd)")
    started = time.monotonic()
    try:
        until(lambda: "60.1.1.4" not in pair.up("switch1"), 5)
        print(f"noticed after {time.monotonic() - started:.2f} s; the hold time is 9 s")
    finally:
        pair.run("switch2", "sh", "-c", "kill -CONT $(pidof bfdd)")
    until(pair.all_up)


def test_a_daemon_that_does_not_answer_is_told(pair):
    result = pair.run("contiv3", "sh", "-c", "kill -STOP $(pidof bird); sleep 0.1; kill -CONT $(pidof bird)")
    assert result == ""
    answer = pair.lab.module("contiv3", "bgp_info", daemons=["frr"])
    assert answer["failed"] and "frr does not answer" in answer["msg"]


def test_a_leaf_changes_from_frr_to_bird_and_back(pair):
    """The last: all sessions of the leaf go down."""
    bird = {**pair.leaves["switch2"]["bgp"], "daemon": "bird", "bfd": None, "sessions": []}
    changes = pair.changes(name="bird", limit=["switch2"], bgp=bird)
    assert changes.index("stop frr") < changes.index("start bird")
    assert pair.run("switch2", "pidof", "watchfrr", "bgpd", fails=True) == ""
    changes = pair.changes(limit=["switch2"])
    assert changes.index("stop bird") < changes.index("start frr")
    until(pair.all_up, 60)
