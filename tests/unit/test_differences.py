"""What a comparison with the intent reports, in text and JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.modules import PROJECT

from ansible_collections.routed.hypervisor.plugins.plugin_utils import differences
from ansible_collections.routed.hypervisor.plugins.plugin_utils.differences import Host


def change(kind: str, name: str) -> dict:
    return {"kind": kind, "op": "create", "name": name, "before": {}, "after": {}, "why": "it does not exist"}


@pytest.fixture
def hosts() -> dict[str, Host]:
    found = {name: Host() for name in ("hv4", "hv3", "hv2", "hv1")}
    found["hv1"].add({"changed": True, "changes": [change("routes", "10.0.0.1/32"), change("rules", "2000 (ipv4)")]})
    found["hv1"].add({"diff": [{"before_header": "/etc/a", "after_header": "/etc/a", "before": "x\n", "after": "y\n"}]})
    loop = [{"changes": [change("files", "/etc/a")], "diff": {"prepared": "secrets.conf differs"}}, {"changes": []}]
    found["hv1"].add({"results": loop})
    found["hv2"].add({"failed": True, "msg": "bird is missing"})
    found["hv3"].is_unreachable = True
    found["hv4"].add({"changed": False, "changes": []})
    return found


def test_each_host_has_a_state(hosts):
    states = {name: host.state for name, host in hosts.items()}
    assert states == {"hv1": "differs", "hv2": "failed", "hv3": "unreachable", "hv4": "as intended"}


def test_every_object_is_listed_by_host_and_kind(hosts):
    assert differences.lines(hosts) == [
        "hv1: files: 1 difference",
        "  create /etc/a: it does not exist",
        "hv1: routes: 1 difference",
        "  create 10.0.0.1/32: it does not exist",
        "hv1: rules: 1 difference",
        "  create 2000 (ipv4): it does not exist",
        "hv2: could not be compared: bird is missing",
        "hv3: unreachable",
        "hv4: as intended",
    ]


def test_the_attributes_that_differ_are_named():
    host = Host()
    for after in ({"mtu": 1500}, {"mtu": 1500, "vrf": "public"}, {}):
        host.add({"changes": [{**change("interfaces", "vm1"), "op": "change", "after": after, "why": "differs"}]})
    assert differences.lines({"hv1": host})[1:] == [
        "  change vm1: mtu differs",
        "  change vm1: mtu, vrf differ",
        "  change vm1: differs",
    ]


def test_the_summary_names_the_hosts(hosts):
    assert differences.summary(hosts) == (
        "1 of 4 hosts differs from the intent: hv1; 1 of 4 hosts could not be compared: hv2; "
        "1 of 4 hosts could not be reached: hv3"
    )
    assert differences.summary({"hv4": hosts["hv4"]}) == "1 host, as intended"


def test_the_text_ends_with_the_differences(hosts):
    text = differences.text(hosts)
    assert text.endswith("\n=== hv1\n--- /etc/a\n+++ /etc/a\n@@ -1 +1 @@\n-x\n+y\nsecrets.conf differs\n")


def test_the_document_has_the_same_for_programs(hosts):
    document = json.loads(json.dumps(differences.document("production", "2026-01-01T00:00:00+00:00", hosts)))
    assert list(document["hosts"]) == ["hv1", "hv2", "hv3", "hv4"]
    assert document["hosts"]["hv1"]["kinds"] == {"files": 1, "routes": 1, "rules": 1}
    assert document["hosts"]["hv2"]["errors"] == ["bird is missing"]
    assert document["hosts"]["hv4"] == {"state": "as intended", "kinds": {}, "changes": [], "errors": [], "diff": ""}


PLAYS = """
- hosts: localhost
  gather_facts: false
  ignore_errors: true
  tags: [compare]
  tasks:
    - ansible.builtin.fail: {msg: another change is armed}
- hosts: localhost
  gather_facts: false
  tasks:
    - routed.hypervisor.differences: {fabric: example, path: "{{ path }}"}
"""


def test_a_host_on_which_a_task_fails_is_failed(tmp_path):
    playbook, path = tmp_path / "playbook.yml", tmp_path / "found.json"
    playbook.write_text(PLAYS)
    command = [sys.executable, "-m", "ansible.cli.playbook", "-i", "localhost,", "-c", "local", str(playbook)]
    done = subprocess.run(
        [*command, "-e", f"path={path}"], capture_output=True, text=True, check=False, cwd=PROJECT, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(path.read_text())["hosts"]["localhost"]
    assert found["state"] == "failed" and found["errors"] == ["another change is armed"], found


def test_a_run_in_check_mode_counts_what_would_change(tmp_path):
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(
        f"- import_playbook: {PROJECT}/playbooks/render.yml\n- {{hosts: lab, gather_facts: false, tasks: []}}\n"
    )
    command = [
        sys.executable,
        "-m",
        "ansible.cli.playbook",
        "-i",
        "inventories/l3_hypervisor",
        str(playbook),
        "--check",
    ]
    where = f"render_directory={tmp_path / 'out'}"
    done = subprocess.run([*command, "-e", where], capture_output=True, text=True, check=False, cwd=PROJECT, timeout=60)
    assert ", 0 changes:\n  would change: " in done.stdout and not (tmp_path / "out").exists(), done.stdout
