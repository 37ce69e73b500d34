"""A real Prometheus in a node of a lab, with the alert rules of the role metrics, and the queries of its dashboard."""

from __future__ import annotations

import json
import re

import yaml
from support.modules import PROJECT

FILES = PROJECT / "roles/metrics/files"
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


def start(lab, node: str, targets: list[tuple[str, str, str]]) -> None:
    """TARGETS: for each exporter the hypervisor, its name, and ADDRESS:PORT."""
    scraped = [
        {"targets": [target], "labels": {"instance": host, "exporter": exporter}} for host, exporter, target in targets
    ]
    config = {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": ["/tmp/prometheus/alerts.yml"],
        "scrape_configs": [{"job_name": "hypervisors", "static_configs": scraped}],
    }
    files = {"config": yaml.safe_dump(config), "alerts": (FILES / "alerts.yml").read_text()}
    lab.run(node, "sh", "-ec", START.format(**files))


def of_dashboard() -> list[str]:
    """Its queries, as for all hypervisors."""
    board = json.loads((FILES / "dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [query.replace("$instance", ".*") for query in found]


def rules() -> list[dict]:
    return yaml.safe_load((FILES / "alerts.yml").read_text())["groups"][0]["rules"]


def queries() -> list[str]:
    """Those of the dashboard, and what alert rules compare: healthy hosts have no alerts."""
    compared = [re.split(r" (?:==|>) \d+$", rule["expr"])[0] for rule in rules()]
    return list(dict.fromkeys(of_dashboard() + compared))


def answer(lab, node: str, query: str) -> str:
    return lab.tried(node, "promtool", "query", "instant", "http://127.0.0.1:9090", query)[1].strip()
