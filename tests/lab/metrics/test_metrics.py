"""A Prometheus on hv3 reads the metrics of hv1, which runs systemd, and of hv2, and nobody else does."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from conftest import NOT_VERIFIED
from support.host_state import mispredicted
from support.lab_guests import Guest
from support.modules import PROJECT
from support.waiting import until, until_equal

pytestmark = pytest.mark.long
WEB1 = Guest("web1", "203.0.113.11", "52:54:00:12:34:01")
HOSTS = {"hv1": "172.22.2.1", "hv2": "172.22.2.2"}
PORTS = {"node": 9100, "bird": 9324}
FILES = PROJECT / "roles/metrics/files"
TEXTFILE = "/var/lib/prometheus/node-exporter/routed_hypervisor.prom"
SOON_S = 120
CONFIG = {
    "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
    "rule_files": ["/tmp/prometheus/alerts.yml"],
    "scrape_configs": [
        {
            "job_name": "hypervisors",
            "static_configs": [
                {"targets": [f"{address}:{port}"], "labels": {"instance": name, "exporter": exporter}}
                for name, address in HOSTS.items()
                for exporter, port in PORTS.items()
            ],
        }
    ],
}
START = """
mkdir -p /tmp/prometheus
cd /tmp/prometheus
cat >prometheus.yml <<'END'
{config}
END
cat >alerts.yml <<'END'
{alerts}
END
promtool check config prometheus.yml
start-stop-daemon --start --background --make-pidfile --pidfile /run/prometheus.pid --startas /usr/bin/prometheus -- \
  --config.file=/tmp/prometheus/prometheus.yml --storage.tsdb.path=/tmp/prometheus/data \
  --web.listen-address=127.0.0.1:9090
"""
# GoBGP has no BFD, and runs in no lab that has it.
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


def queries() -> list[str]:
    """Those of the dashboard, and what alert rules compare: healthy hosts have no alerts."""
    board = json.loads((FILES / "dashboard.json").read_text())
    found = [target["expr"].replace("$instance", ".*") for panel in board["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"][0]["rules"]
    found += [re.split(r" (?:==|>) \d+$", rule["expr"])[0] for rule in rules]
    return [query for query in dict.fromkeys(found) if OF_GOBGP not in query]


def answer(lab, query: str) -> str:
    return lab.tried("hv3", "promtool", "query", "instant", "http://127.0.0.1:9090", query)[1].strip()


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
    start = START.format(config=yaml.safe_dump(CONFIG), alerts=(FILES / "alerts.yml").read_text())
    lab.run("hv3", "sh", "-ec", start)
    skipped = [] if has_firewall(lab) else [query for query in queries() if "dropped_packets" in query]
    until_equal(lambda: [query for query in queries() if not answer(lab, query)], skipped, SOON_S, 2)
    print(f"{len(queries()) - len(skipped)} queries have data")
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
    until(lambda: not answer(lab, 'ALERTS{alertname=~"Hypervisor(OutOfStep|DaemonDown)"}'), SOON_S, "no alert", 2)


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
