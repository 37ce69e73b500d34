"""Runs Ansible's programs on nodes of a lab, as a person would, with nothing of this machine's configuration of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client

from .lab_nodes import lab_command
from .modules import PROJECT
from .waiting import until

PYTHON = "/usr/bin/python3"


def variables(lab) -> dict:
    """How Ansible gets into the nodes of a lab."""
    return {
        "ansible_connection": "routed.hypervisor.node",
        "ansible_node_lab": lab.name,
        "ansible_node_owner": lab.owner,
        "ansible_python_interpreter": PYTHON,
    }


def environment(directory: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(directory / "none.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"),
        "ANSIBLE_ROLES_PATH": str(PROJECT / "roles"),
        "ANSIBLE_INJECT_FACT_VARS": "false",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "true",
        **more,
    }


def write_inventory(lab, directory: Path, content: dict) -> None:
    """`content` has hosts, or children with hosts."""
    (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {**content, "vars": variables(lab)}}))


def start(directory: Path, program: str, *arguments, variables: dict[str, str] | None = None, **options):
    """One of Ansible's programs, with the inventory of the directory."""
    return subprocess.Popen(
        [Path(sys.executable).parent / program, "-i", "hosts.yml", *map(str, arguments)],
        env=environment(directory, **(variables or {})),
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run(directory: Path, program: str, *arguments, input: str | None = None, **variables: str):
    with start(directory, program, *arguments, variables=variables, stdin=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(input, timeout=400)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@contextlib.contextmanager
def supervised(lab):
    """A supervisor for the lab, on this machine's own kernel. Its end leaves the nodes as they are."""
    lab_command("up", lab.name, "--owner", lab.owner)
    try:
        yield
    finally:
        os.kill(lab_client.ask(lab.name, "status")["process"], signal.SIGTERM)
        until(lambda: not Path(lab_client.directory(lab.name)).exists(), what="the end of the supervisor")


def play_of(role: str) -> dict:
    return {"hosts": "all", "gather_facts": False, "roles": [role]}


def play(lab, directory: Path, groups: dict[str, dict], play: dict | Path, *options: str, fails: bool = False) -> str:
    """Runs a play, or a playbook, on groups of nodes, each with its variables. Returns all that Ansible printed."""
    write_inventory(lab, directory, {"children": {name: {"hosts": nodes} for name, nodes in groups.items()}})
    if isinstance(play, dict):
        (directory / "play.yml").write_text(yaml.safe_dump([play]))
        play = directory / "play.yml"
    with supervised(lab):
        done = run(directory, "ansible-playbook", "-v", *options, play)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def changed(output: str) -> int:
    """How many tasks changed something on the one node of a run."""
    return int(re.search(r"changed=(\d+)", output)[1])


def services(output: str) -> list[str]:
    """The changes of files and services, as `OP NAME`, on all nodes of a run."""
    pattern = r'"kind": "(?:files|services)", "name": "([^"]+)", "op": "([a-z ]+)"'
    return [f"{op} {name}" for name, op in re.findall(pattern, output)]
