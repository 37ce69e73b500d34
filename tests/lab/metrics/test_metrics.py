"""A Prometheus on hv3 reads the metrics of hv1, which runs systemd, and of hv2, and nobody else does."""

from __future__ import annotations

import pytest
import yaml
from conftest import NOT_VERIFIED
from support import prometheus
from support.host_state import mispredicted
from support.lab_guests import Guest
from support.waiting import until, until_equal

pytestmark = pytest.mark.long
WEB1 = Guest("web1", "203.0.113.11", "52:54:00:12:34:01")
HOSTS = {"hv1": "172.22.2.1", "hv2": "172.22.2.2"}
PORTS = {"node": 9100, "bird": 9324}
TEXTFILE = "/var/lib/prometheus/node-exporter/routed_hypervisor.prom"
SOON_S = 120
# GoBGP has no BFD: test_metrics_of_gobgp.py.
OF_GOBGP = "routed_hypervisor_gobgp_"


def intent(text):
    given = yaml.safe_load(text)
    given["lab"] = {"packages": ["prometheus"], "nodes": {"hv1": {"init": "systemd"}}}
    given["metrics"] = {"servers": ["172.22.2.3"], "vrf": "private"}
    given["guests"] = {"web1": {**WEB1.entry, "ipv6": "none"}}
    return yaml.safe_dump(given, sort_keys=False)


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("l3_hypervisor", *NOT_VERIFIED, name="metrics", edit=intent)


def of_bird() -> list[str]:
    return [query for query in prometheus.queries() if OF_GOBGP not in query]


def answer(lab, query: str) -> str:
    return prometheus.answer(lab, "hv3", query)


def refuses(lab, node: str, address: str, port: int) -> bool:
    script = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'"
    return lab.tried(node, "sh", "-c", script)[0] != 0


def has_firewall(lab) -> bool:
    return lab.tried("hv1", "nft", "list", "table", "inet", "routed_hypervisor")[0] == 0


def remains(lab, node: str, services: str) -> list[str]:
    """What is left of what the role makes."""
    found = [TEXTFILE] if lab.tried(node, "ls", TEXTFILE)[0] == 0 else []
    lines = [*lab.run(node, "ls", services).splitlines(), *lab.run(node, "ps", "ax", "-o", "args").splitlines()]
    words = ("routed-hypervisor-metrics", "routed-hypervisor metrics", "bird-exporter")
    return found + [line for line in lines if any(word in line for word in words)]


def test_a_second_run_changes_nothing(lab):
    run = lab.play(*NOT_VERIFIED)
    assert run.code == 0, run.output
    assert run.changed == set()


def test_every_query_of_the_dashboard_and_of_the_rules_has_data(lab):
    WEB1.start(lab, "hv1")
    targets = [(host, name, f"{address}:{PORTS[name]}") for host, address in HOSTS.items() for name in PORTS]
    prometheus.start(lab, "hv3", targets)
    skipped = [] if has_firewall(lab) else [query for query in of_bird() if "dropped_packets" in query]
    until_equal(lambda: [query for query in of_bird() if not answer(lab, query)], skipped, SOON_S, 2)
    print(f"{len(of_bird()) - len(skipped)} queries have data")
    for host in HOSTS:
        assert f'instance="{host}"' in answer(lab, "routed_hypervisor_state_usable")
    assert not answer(lab, "routed_hypervisor_daemon_up == 0")
    assert "=> 1 " in answer(lab, 'routed_hypervisor_guests{instance="hv1", place=~"here|silent"} > 0')


def test_nobody_else_reaches_the_exporters(lab):
    if not has_firewall(lab):
        pytest.skip("this kernel has no nftables of family inet")
    for port in PORTS.values():
        assert not refuses(lab, "hv3", HOSTS["hv1"], port)
        assert refuses(lab, "hv2", HOSTS["hv1"], port), "hv2 is in a prefix of vrfs.private.host"
        assert refuses(lab, "vm1", "203.0.113.254", port), "its own gateway"
        assert refuses(lab, "vm3", "198.51.100.101", port), "a hypervisor's address in the VRF of guests"


def test_what_goes_wrong_is_an_alert(lab):
    lab.run("hv1", "ip", "route", "del", "203.0.113.1/32", "table", "90")
    lab.run("hv1", "systemctl", "stop", "radvd")
    until(lambda: "hv1" in answer(lab, 'ALERTS{alertname="HypervisorOutOfStep"}'), SOON_S, "an alert", 2)
    until(lambda: "radvd" in answer(lab, 'ALERTS{alertname="HypervisorDaemonDown"}'), SOON_S, "another", 2)
    repaired = lab.play(*NOT_VERIFIED)
    assert repaired.code == 0, repaired.output
    until_equal(lambda: answer(lab, 'ALERTS{alertname=~"Hypervisor(OutOfStep|DaemonDown)"}'), "", SOON_S, 2)


def test_a_retired_host_has_nothing_of_it(lab):
    retire = ("--limit", "hv2", "-e", "force=true")
    predicted = lab.play(*retire, "--check", playbook="playbooks/retire.yml")
    done = lab.play(*retire, playbook="playbooks/retire.yml")
    assert done.code == 0, done.output
    assert mispredicted(predicted, done) == {}
    assert remains(lab, "hv2", "/etc/init.d") == []


def test_without_metrics_in_the_intent_they_go(lab):
    given = yaml.safe_load(lab.intent.read_text())
    del given["metrics"]
    lab.intent.write_text(yaml.safe_dump(given, sort_keys=False))
    run = ("--limit", "hv1,lab_host", *NOT_VERIFIED, "--tags", "services,firewall")
    predicted = lab.play(*run, "--check")
    done = lab.play(*run)
    assert done.code == 0, done.output
    assert mispredicted(predicted, done) == {}
    assert remains(lab, "hv1", "/etc/systemd/system") == []
