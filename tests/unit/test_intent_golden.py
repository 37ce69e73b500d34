"""What ansible-inventory shows for each node of each lab, compared with the files in tests/golden/LAB.

After an intended change: UPDATE_GOLDEN=1 python -m pytest tests/unit/test_intent_golden.py, and read the difference.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from support.modules import PROJECT

GOLDEN = PROJECT / "tests" / "golden"
LABS = sorted(file.parent.name for file in (PROJECT / "inventories").glob("*/fabric.yml"))


@pytest.fixture(scope="module", params=LABS)
def resolved(request, tmp_path_factory):
    """A lab's name, and the variables of its nodes."""
    scratch = tmp_path_factory.mktemp("golden")
    (scratch / "ansible.cfg").write_text(
        f"[defaults]\ncollections_path = {PROJECT / 'collections'}\nhome = {scratch}\n"
        "[inventory]\nenable_plugins = routed.hypervisor.source\nany_unparsed_is_failed = true\n"
    )
    # The intent alone, without the variables and secrets beside it.
    (scratch / "fabric.yml").write_text((PROJECT / "inventories" / request.param / "fabric.yml").read_text())
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
    assert {values.pop("ansible_node_owner") for values in hosts.values()} == {str(scratch)}
    return request.param, hosts


def test_nodes_are_resolved_as_before(resolved):
    lab, hosts = resolved
    texts = {node: json.dumps(values, indent=2, sort_keys=True) + "\n" for node, values in hosts.items()}
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(GOLDEN / lab, ignore_errors=True)
        (GOLDEN / lab).mkdir()
        for node, text in texts.items():
            (GOLDEN / lab / f"{node}.json").write_text(text)
    kept = {file.stem: file.read_text() for file in (GOLDEN / lab).glob("*.json")}
    assert sorted(texts) == sorted(kept)
    changed = [node for node, text in texts.items() if text != kept[node]]
    assert not changed, f"{lab}: {', '.join(changed)} changed; if that is meant, run with UPDATE_GOLDEN=1"
