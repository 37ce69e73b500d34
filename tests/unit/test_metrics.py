"""What Prometheus reads of a hypervisor: the agent's metrics, alert rules, the dashboard, and who may read them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from support.intent_samples import changed, default
from support.prometheus import FILES, of_dashboard, rules
from support.templates import render

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import daemons, metrics
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.daemon import Daemon, record
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.plan import Wanted
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.service import Service
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

CACHE = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE") or Path.home() / ".cache/routed-hypervisor")
PROMTOOL = shutil.which("promtool", path=f"{os.environ['PATH']}:{CACHE}/tools/usr/bin")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool: run bin/setup --dev")
SERVERS = {"servers": ["192.0.2.9", "2001:db8::9"], "vrf": "public"}
FOUND = {
    "host": "hv1",
    "guests": {"web1": {"place": "here"}, "web2": {"place": "elsewhere"}, "web3": {"place": "silent"}},
    "strangers": ["tap7"],
    "containers": [{"runtime": "podman"}, {"runtime": "podman"}],
    "routing": [{"instance": 'a"b\\c', "learned": 7, "announced": ["x", "y"], "neighbors_away": ["z"]}],
    "differences": ["one", "two"],
    "absent": ["vm1"],
    "problems": [],
    "daemons": {"bird.service": "active", "radvd.service": "failed"},
    "armed": {"by": "me", "at": "now", "left_s": 61.5},
    "rolled_back": {"by": "me"},
}


def promtool(*arguments, text: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([PROMTOOL, *arguments], input=text, capture_output=True, text=True, check=False)


def resolved(data: dict):
    mistakes = Mistakes()
    intent = check(data, mistakes)
    return mistakes.lines() if intent is None else inventory(intent, owner="/somewhere")


@pytest.fixture
def text(monkeypatch):
    """With what is read of the system replaced: tests in labs read it."""
    monkeypatch.setattr(metrics.bird, "bfd_sessions", lambda: {("198.51.100.126", "fabric-A.90"): "Up"})
    counter = {"counter": {"name": "forged_source", "packets": 3}}
    monkeypatch.setattr(metrics, "run", lambda argv: (0, json.dumps({"nftables": [counter]}), ""))
    return metrics.text(FOUND, None, {})


def values(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _space, value in (line.rpartition(" ") for line in lines)}


def test_the_agents_metrics_say_what_its_status_says(text):
    found = values(text)
    assert {
        name.removeprefix("routed_hypervisor_"): value for name, value in found.items() if "written" not in name
    } == {
        "state_usable": 1,
        "armed": 1,
        "armed_left_seconds": 61.5,
        "rolled_back": 1,
        "out_of_step": 2,
        "problems": 0,
        "absent_ports": 1,
        'daemon_up{unit="bird.service"}': 1,
        'daemon_up{unit="radvd.service"}': 0,
        'guests{place="here"}': 1,
        'guests{place="elsewhere"}': 1,
        'guests{place="silent"}': 1,
        "strange_ports": 1,
        'container_addresses{runtime="podman"}': 2,
        'gobgp_learned_prefixes{gobgp="a\\"b\\\\c"}': 7,
        'gobgp_announced_prefixes{gobgp="a\\"b\\\\c"}': 2,
        'gobgp_neighbors_away{gobgp="a\\"b\\\\c"}': 1,
        'bfd_up{neighbor="198.51.100.126",interface="fabric-A.90"}': 1,
        'dropped_packets_total{reason="forged_source"}': 3,
    }


@pytest.mark.parametrize("ndppd", ["inactive dead   ", "active   exited "])
@pytest.mark.parametrize("is_needed", [True, False])
def test_a_daemon_that_nobody_needs_is_not_down(tmp_path, monkeypatch, ndppd, is_needed):
    (tmp_path / "multi-user.target.wants").mkdir()
    (tmp_path / "multi-user.target.wants/radvd.service").touch()
    listed = f"""
        bird.service     loaded    active   running BIRD Internet Routing Daemon
        dnsmasq.service  loaded    failed   failed  dnsmasq
        frr.service      not-found inactive dead    frr.service
        ndppd.service    loaded    {ndppd}  LSB: NDP Proxy Daemon
        radvd.service    loaded    inactive dead    Router advertisement daemon for IPv6
    """
    needed = Wanted("ndppd", "started", [], can_reload=False, interfaces=("public",))
    records = [record(Daemon("ndppd", needed, Service("ndppd")))] if is_needed else []
    monkeypatch.setattr(daemons.service, "has_systemd", lambda: True)
    monkeypatch.setattr(daemons, "_systemctl", lambda *words: listed.strip())
    monkeypatch.setattr(daemons, "WANTS", str(tmp_path))
    monkeypatch.setattr(daemons.disk, "read_records", lambda: records)
    down = {"ndppd.service": daemons.ENDED if "exited" in ndppd else "inactive"} if is_needed else {}
    found = {"bird.service": "active", "dnsmasq.service": "failed", "radvd.service": "inactive", **down}
    assert daemons.states() == found
    lines = ["dnsmasq.service is failed", "radvd.service is inactive"]
    assert sorted(daemons.dead(found)) == sorted([*lines, *(f"{name} is {state}" for name, state in down.items())])


def test_without_a_usable_state_there_are_metrics_that_say_so():
    found = values(metrics.text(None, {"armed": None, "rolled_back": None}, {}))
    assert found["routed_hypervisor_state_usable"] == 0
    assert "routed_hypervisor_out_of_step" not in found


@needs_promtool
def test_promtool_accepts_the_agents_metrics(text):
    done = promtool("check", "metrics", text=text)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_promtool
def test_promtool_accepts_the_alert_rules():
    done = promtool("check", "rules", str(FILES / "alerts.yml"))
    assert done.returncode == 0 and f"{len(rules())} rules found" in done.stdout, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_every_query_of_the_dashboard(tmp_path):
    recorded = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(of_dashboard())]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0 and f"{len(recorded)} rules found" in done.stdout, done.stdout + done.stderr


@needs_promtool
def test_each_rule_fires_for_what_it_is_about_and_not_before(tmp_path):
    series = {
        "HypervisorUnreachable": ('up{job="hypervisors"}', 0),
        "HypervisorMetricsStale": ("routed_hypervisor_written_seconds", 0),
        "HypervisorStateUnusable": ("routed_hypervisor_state_usable", 0),
        "HypervisorOutOfStep": ("routed_hypervisor_out_of_step", 1),
        "HypervisorProblems": ("routed_hypervisor_problems", 1),
        "HypervisorRolledBack": ("routed_hypervisor_rolled_back", 1),
        "HypervisorArmed": ("routed_hypervisor_armed", 1),
        "HypervisorDaemonDown": ("routed_hypervisor_daemon_up", 0),
        "HypervisorVrfDown": ("routed_hypervisor_vrf_up", 0),
        "HypervisorBgpDown": ('bird_protocol_up{proto="BGP"}', 0),
        "HypervisorBfdDown": ("routed_hypervisor_bfd_up", 0),
        "HypervisorGobgpNeighborsAway": ("routed_hypervisor_gobgp_neighbors_away", 1),
        "HypervisorGuestSilent": ('routed_hypervisor_guests{place="silent"}', 1),
        "HypervisorForgedSources": ('routed_hypervisor_dropped_packets_total{reason="forged_source"}', None),
    }
    assert series.keys() == {rule["alert"] for rule in rules()}
    tests = []
    for rule in rules():
        name, value = series[rule["alert"]]
        given = "0+120x60" if value is None else f"{value}x60"
        fires = {"eval_time": "45m", "alertname": rule["alert"]}
        labels = dict(re.findall(r'(\w+)="([^"]*)"', name))
        summary = re.sub(
            r"\{\{ \$labels\.(\w+) \}\}",
            lambda found, have=labels: have.get(found[1], ""),
            rule["annotations"]["summary"],
        )
        alert = {
            "exp_labels": {**rule["labels"], **labels},
            "exp_annotations": {"summary": summary.replace("{{ $value }}", "1")},
        }
        early = [{"eval_time": "0m", "alertname": rule["alert"], "exp_alerts": []}] if "for" in rule else []
        healthy = "0x60" if value in (1, None) else "1+60x60"
        tests += [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": given}],
                "alert_rule_test": [*early, {**fires, "exp_alerts": [alert]}],
            },
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": healthy}],
                "alert_rule_test": [{**fires, "exp_alerts": []}],
            },
        ]
    path = tmp_path / "test.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(FILES / "alerts.yml")], "evaluation_interval": "1m", "tests": tests})
    )
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_dashboard_use_what_the_agent_writes(text):
    source = Path(metrics.__file__).read_text()
    known = {
        f"routed_hypervisor_{name}"
        for name in re.findall(r'(?:\.value|\.add)\(\s*"(\w+)"|\("(gobgp_\w+)"', source)
        for name in name
        if name
    }
    used = {
        name
        for query in [*of_dashboard(), *(rule["expr"] for rule in rules())]
        for name in re.findall(r"routed_hypervisor_\w+", query)
    }
    assert used <= known


def test_only_the_servers_reach_the_exporters_and_only_in_their_vrf():
    made = resolved(changed(("metrics", SERVERS)))
    variables = made.host_vars["hv1"]
    text = render("nftables/nftables.conf", {**made.group_vars["all"], **variables})
    chain = re.search(r"chain to_exporters \{\n(.*?)\n  \}", text, re.DOTALL)[1]
    assert [line.strip() for line in chain.splitlines()] == [
        'iifname "lo" accept',
        'iifname "public" ip saddr { 192.0.2.9 } accept',
        'iifname "public" ip6 saddr { 2001:db8::9 } accept',
        "goto drop_to_hypervisor",
    ]
    # After what guests and containers may reach, before what is open to a VRF's prefixes.
    order = [
        "iifname @guest_ports goto from_port",
        "@tenants_ipv4 goto answers",
        "goto to_exporters",
        "iifname @vrfs goto from_vrf",
    ]
    assert sorted(order, key=text.index) == order
    assert "tcp dport { 9100, 9324 } goto to_exporters" in text


def test_servers_outside_of_vrfs_reach_no_exporter_through_one():
    variables = resolved(changed(("metrics", {"servers": ["192.0.2.9"]}))).host_vars["hv1"]
    assert "iifname != @vrfs ip saddr { 192.0.2.9 } accept" in render("nftables/nftables.conf", variables)


def test_without_metrics_nothing_of_them_is_anywhere():
    variables = resolved(default()).host_vars["hv1"]
    assert "metrics" not in variables and "metrics" not in variables["nftables"]


def test_a_lab_with_metrics_has_the_packages_and_the_agent():
    made = resolved(changed(("metrics", SERVERS)))
    assert {"prometheus-node-exporter", "prometheus-bird-exporter"} <= set(
        made.host_vars["lab_host"]["lab"]["packages"]
    )
    assert made.groups["agents"] == ["hv1", "hv2", "hv3"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([("metrics", {})], ["metrics.servers: missing; Addresses of the Prometheus servers."]),
        ([("metrics", {"servers": []})], ["metrics.servers: empty"]),
        ([("metrics", {**SERVERS, "vrf": "privat"})], ["metrics.vrf: no VRF is called privat; did you mean private?"]),
        (
            [("metrics", SERVERS), ("firewall", False)],
            ["metrics: the firewall, which keeps others from the exporters, is switched off"],
        ),
        (
            [("metrics", {"servers": ["203.0.113.9", "10.1.1.1", "10.1.1.1"]})],
            [
                "metrics.servers[0]: 203.0.113.9 is in segments.guests",
                "metrics.servers[2]: 10.1.1.1 is also given to metrics.servers[1]",
            ],
        ),
        (
            [("metrics", {**SERVERS, "vrf": "lonely"}), ("vrfs.lonely", {"table": 77, "vlan": 77})],
            ["metrics.vrf: lonely has no network on hv1, hv2, hv3; a VRF of all hypervisors"],
        ),
        (
            [("metrics", {"servers": ["172.22.0.10", "2001:db8:5::9"], "vrf": "private"})],
            ["metrics.servers[1]: private has no IPv6 on hv1, hv2, hv3; an address of the family by which"],
        ),
    ],
)
def test_what_cannot_be_monitored_is_refused(given, wanted):
    found = resolved(changed(*given))
    assert isinstance(found, list), "it was accepted"
    for start in wanted:
        assert any(start in line for line in found), found
