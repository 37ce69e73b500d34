"""Runs Ansible on nodes of a lab, as a person would, with nothing of this machine's configuration of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client

PROJECT = Path(__file__).resolve().parents[2]


def variables(lab) -> dict:
    """How Ansible gets into the nodes of a lab."""
    return {
        "ansible_connection": "routed.hypervisor.node",
        "ansible_node_lab": lab.name,
        "ansible_python_interpreter": "/usr/bin/python3",
    }


@contextlib.contextmanager
def supervised(lab):
    """A supervisor for the lab, on this machine's own kernel. Its end leaves the nodes as they are."""
    command = [PROJECT / "bin/lab", "up", lab.name, "--owner", PROJECT]
    subprocess.run(command, env={**os.environ, "ROUTED_HYPERVISOR_KERNEL": "host"}, check=True, timeout=60)
    try:
        yield
    finally:
        os.kill(lab_client.ask(lab.name, "status")["process"], signal.SIGTERM)
        deadline = time.monotonic() + 20
        while Path(lab_client.directory(lab.name)).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(lab_client.directory(lab.name)).exists(), "the supervisor did not end"


def play_of(role: str) -> dict:
    return {"hosts": "all", "gather_facts": False, "roles": [role]}


def run(lab, directory: Path, groups: dict[str, dict], play: dict | Path, *options: str, fails: bool = False) -> str:
    """Runs a play, or a playbook, on groups of nodes, each with its variables. Returns all that Ansible said."""
    children = {name: {"hosts": nodes} for name, nodes in groups.items()}
    inventory = {"all": {"children": children, "vars": variables(lab)}}
    (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))
    if isinstance(play, dict):
        (directory / "play.yml").write_text(yaml.safe_dump([play]))
        play = directory / "play.yml"
    with supervised(lab):
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible-playbook", "-i", "hosts.yml", "-v", *options, play],
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(directory / "none.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"),
                "ANSIBLE_ROLES_PATH": str(PROJECT / "roles"),
                "ANSIBLE_INJECT_FACT_VARS": "false",
                "ANSIBLE_PIPELINING": "true",
                "ANSIBLE_NOCOLOR": "true",
            },
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def changed(output: str) -> int:
    """How many tasks changed something on the one node of a run."""
    return int(re.search(r"changed=(\d+)", output)[1])


def services(output: str) -> list[str]:
    """The changes of files and services, as `OP NAME`, on all nodes of a run."""
    pattern = r'"kind": "(?:files|services)", "name": "([^"]+)", "op": "([a-z ]+)"'
    return [f"{op} {name}" for name, op in re.findall(pattern, output)]
