"""What ansible-inventory shows for each node of the default lab, compared with the files in tests/golden/l3_hypervisor.

After an intended change: UPDATE_GOLDEN=1 python -m pytest tests/unit/test_intent_golden.py, and read the difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from intent_samples import DEFAULT_FILE, PROJECT

GOLDEN = PROJECT / "tests" / "golden" / "l3_hypervisor"
NODES = ["hv1", "hv2", "hv3", "rr1", "rr2", "internet", "vm1", "vm2", "vm3", "vm4", "switch-A", "switch-B", "lab_host"]


@pytest.fixture(scope="module")
def hostvars(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("golden")
    (scratch / "ansible.cfg").write_text(
        f"[defaults]\ncollections_path = {PROJECT / 'collections'}\nhome = {scratch}\n"
        "[inventory]\nenable_plugins = routed.hypervisor.source\nany_unparsed_is_failed = true\n"
    )
    # The intent alone, without the variables and secrets beside it.
    (scratch / "fabric.yml").write_text(DEFAULT_FILE.read_text())
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(scratch),
        "ANSIBLE_CONFIG": str(scratch / "ansible.cfg"),
        "LANG": "C.UTF-8",
    }
    argv = [sys.executable, "-m", "ansible.cli.inventory", "-i", str(scratch / "fabric.yml"), "--list"]
    result = subprocess.run(argv, capture_output=True, text=True, env=environment, check=True, cwd=scratch)
    hosts = json.loads(result.stdout)["_meta"]["hostvars"]
    assert hosts["lab_host"]["lab"].pop("owner") == str(scratch)
    return hosts


def test_every_node_has_a_golden_file(hostvars):
    assert sorted(hostvars) == sorted(NODES)
    assert os.environ.get("UPDATE_GOLDEN") or sorted(file.stem for file in GOLDEN.glob("*.json")) == sorted(NODES)


@pytest.mark.parametrize("node", NODES)
def test_a_node_is_resolved_as_before(hostvars, node):
    file = GOLDEN / f"{node}.json"
    text = json.dumps(hostvars[node], indent=2, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text(), f"{node} has changed; if that is meant, run with UPDATE_GOLDEN=1"
