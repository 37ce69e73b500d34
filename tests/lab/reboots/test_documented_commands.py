"""Every command of the guides that an operator types, as it is written there.

On the controller they run with the lab's inventory, on a host in hv1, which runs systemd.
"""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from support.modules import PROJECT
from test_reboots import wait_for_stored

GUIDES = ["README.md", *sorted(f"docs/{path.name}" for path in (PROJECT / "docs").glob("*.md"))]
PROGRAMS = "make|ansible|ansible-playbook|ansible-inventory|routed-hypervisor|journalctl|nft"
INDENTED = re.compile(rf"^    ((?:{PROGRAMS}) .*?)(?: {{3,}}.*)?$", re.MULTILINE)
INLINE = re.compile(rf"`((?:{PROGRAMS}) [^`]+)`")
ON_A_HOST = ("routed-hypervisor", "journalctl", "nft")
ELSEWHERE = {
    "make lab INVENTORY=": "the scenarios of tests/run bring these labs up",
    "make test": "runs this test",
    "make twin": "tests/lab/twin",
    "make shell": "waits for commands",
    "make down": "tests/lab/default/test_9_teardown.py",
    "make lab": "needs the name of an inventory of this project",
    "make reboot": "test_reboots.py",
    "make docs": "the stage docs",
    "ansible-playbook -i inventories/NAME": "tests/golden",
    "ansible-playbook -i INVENTORY": "tests/nodes/daemons, with an emulated switch",
    "ansible-playbook playbooks/retire.yml": "tests/lab/retire; it is refused while guests run",
    "make capture": "ends with Ctrl-C",
    "ansible-playbook -i inventories/production playbooks/drift.yml": "ends with 1 if anything differs; test_drift.py",
    "ansible-playbook -i inventories/production playbooks/": "needs an inventory of that name; tests/lab/rollout",
    "nft list counter inet": "this lab has no policy; tests/lab/containers_in_vrfs",
    "nft list chain inet": "this lab has no policy; tests/lab/containers_in_vrfs",
    "nft flush ruleset": "removes what others made; tests/firewall",
    "nft --check": "part of a sentence",
    "routed-hypervisor rollback": "after confirm, nothing is armed; tests/nodes/test_arming.py",
    "routed-hypervisor run": "ends with the host; tests/lab/moving_guests",
    "ansible HOST -b -m routed.hypervisor.agent -a state=absent": "test_the_agent_is_removed_as_documented",
}


def documented():
    found = []
    for guide in GUIDES:
        text = (PROJECT / guide).read_text()
        found += [(guide, command.strip()) for pattern in (INDENTED, INLINE) for command in pattern.findall(text)]
    return list(dict.fromkeys(found))


def here():
    """The commands to run, each once, with the first guide that has it."""
    found = {command: guide for guide, command in reversed(documented())}
    return [(found[command], command) for command in reversed(found) if not command.startswith(tuple(ELSEWHERE))]


def controller(lab, command):
    # The lab has a vault identity of its own.
    words = shlex.split(command.replace(" --vault-id production@prompt", ""))
    if words[0] == "make":
        words += [f"INVENTORY={lab.inventory}"]
    else:
        words[1:1] = ["-i", str(lab.inventory)]
    done = subprocess.run(words, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_all_guides_are_looked_at():
    assert {"README.md", "docs/agent.md", "docs/real_hosts.md"} <= {guide for guide, _command in here()}
    unused = [start for start in ELSEWHERE if not any(command.startswith(start) for _guide, command in documented())]
    assert unused == []


@pytest.mark.parametrize(("guide", "command"), here(), ids=[f"{guide}: {command}" for guide, command in here()])
def test_a_documented_command_succeeds(lab, guide, command):
    if command.startswith(ON_A_HOST):
        code, output, errors = lab.tried("hv1", *shlex.split(command))
        output += errors
    else:
        code, output = controller(lab, command)
    # Without a dropped packet, the kernel's log has no line of ours.
    assert code == 0 or (command.startswith("journalctl -k -g") and "-- No entries --" in output), output


def test_the_agent_is_removed_as_documented(lab):
    [command] = [one for _guide, one in documented() if one.endswith("agent -a state=absent")]
    code, output = controller(lab, command.replace("HOST", "hv1"))
    assert code == 0, output
    left = lab.run(
        "hv1", "sh", "-c", "ls /usr/local/sbin/routed-hypervisor /var/lib/routed-hypervisor/state", check=False
    )
    assert left == ""
    run = lab.play("--tags", "agent")
    assert run.code == 0 and ("hv1", "agent") in run.changed, run.output
    wait_for_stored(lab)
