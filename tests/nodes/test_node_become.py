"""The become plugin: Ansible's own commands against lab nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_play import PROJECT, variables

COLLECTIONS = PROJECT / "collections"


@pytest.fixture
def ansible(lab, tmp_path):
    inventory = tmp_path / "hosts.yml"
    hosts = {"n1": None, "second": {"ansible_node_name": "n2"}}
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": variables(lab)}}))
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")

    def run(*arguments, pipelining=True, command="ansible"):
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_PIPELINING": str(pipelining),
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline" if command == "ansible" else "default",
        }
        tool = Path(sys.executable).parent / command
        result = subprocess.run(
            [tool, "-i", inventory, *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return result.returncode, result.stdout + result.stderr

    lab.nodes("n1", "n2")
    return run


@pytest.mark.parametrize("pipelining", [True, False])
def test_modules_run_in_the_node_of_the_host(ansible, pipelining):
    code, output = ansible("all", "-m", "ping", pipelining=pipelining)
    assert code == 0 and output.count("pong") == 2
    code, output = ansible("all", "-m", "command", "-a", "hostname", pipelining=pipelining)
    assert "n1 | CHANGED | rc=0 | (stdout) n1" in output and "second | CHANGED | rc=0 | (stdout) n2" in output


@pytest.mark.parametrize("pipelining", [True, False])
def test_files_arrive_in_the_node_and_not_on_the_machine(ansible, lab, tmp_path, pipelining):
    target = f"/etc/{lab.name}"
    code, output = ansible("n1", "-m", "copy", "-a", f"content=hello dest={target}", pipelining=pipelining)
    assert code == 0, output
    assert lab.enter("n1", "cat", target).stdout == "hello"
    assert not Path(target).exists()
    assert list((lab.directory / "tmp").iterdir()) == []


def test_facts_are_the_nodes(ansible):
    _code, output = ansible(
        "n1", "-m", "setup", "-a", "filter=ansible_hostname,ansible_interfaces,ansible_distribution"
    )
    facts = json.loads(output.partition("=> ")[2].splitlines()[0])["ansible_facts"]
    assert (facts["ansible_hostname"], facts["ansible_interfaces"], facts["ansible_distribution"]) == (
        "n1",
        ["lo"],
        "Debian",
    )


@pytest.mark.parametrize("option", ["-eansible_become_user=root", "-eansible_user=root"])
def test_the_node_is_entered_whoever_the_user_is_said_to_be(ansible, option):
    assert "(stdout) n1" in ansible("n1", "-m", "command", "-a", "hostname", option)[1]


def test_another_user_than_root_is_refused(ansible):
    code, output = ansible("n1", "-m", "command", "-a", "id", "--become-user", "nobody")
    assert code != 0 and "become_user is nobody: the become method routed.hypervisor.node enters" in output


def test_a_delegated_task_runs_in_the_other_node(ansible, tmp_path):
    tasks = [{"command": "hostname", "delegate_to": "second", "register": "it"}, {"debug": {"var": "it.stdout"}}]
    play = tmp_path / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "n1", "gather_facts": False, "tasks": tasks}]))
    code, output = ansible(str(play), command="ansible-playbook")
    assert code == 0 and '"it.stdout": "n2"' in output


def test_a_node_that_is_not_up_is_said_in_one_sentence(ansible, lab):
    lab.nodes("n1", state="deleted")
    code, output = ansible("n1", "-m", "ping")
    assert code != 0 and f"node n1 of lab {lab.name} is not up: bring the lab up first" in output
    lab.nodes(state="deleted")
    code, output = ansible("n1", "-m", "ping")
    assert code != 0 and f"lab {lab.name} is not up: bring the lab up first" in output
    assert "Traceback" not in output
