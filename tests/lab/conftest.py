"""A lab brought up by site.yml, and how tests inspect it. Tests run outside the lab's kernel.

A lab that is up is used as it is: in tests/scenario, molecule creates it. Others are brought up, and taken down at the
end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.modules import PROJECT
from support.recorded_run import Run, recording
from support.waiting import until

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client

PROGRAM = PROJECT / "bin/lab"
NOT_VERIFIED = ("--skip-tags", "verify")  # for tests of something else, when another run verifies


class Lab:
    """A lab made from a copy of an inventory, which tests may change; the lab is named after the directory."""

    def __init__(self, directory: Path, owner: Path):
        self.name = directory.name
        self.inventory = directory
        self.owner = owner
        self.intent = directory / "fabric.yml"
        self.report = PROJECT / "artifacts" / self.name / "verify.json"

    def start(self, *args, playbook="site.yml", record=None):
        environment = {
            **os.environ,
            **recording(record),
        }
        command = ["ansible-playbook", "-i", self.inventory, "-e", f"lab_owner={self.owner}", playbook, *args]
        return subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def play(self, *args, playbook="site.yml") -> Run:
        record = self.inventory.parent / f"record-{time.monotonic_ns()}.jsonl"
        process = self.start(*args, playbook=playbook, record=record)
        output, _ = process.communicate(timeout=900)
        return Run(process.returncode, output, record)

    def is_up(self) -> bool:
        try:
            return bool(lab_client.ask(self.name, "status"))
        except (lab_client.LabDown, OSError):
            return False

    def tried(self, node, *argv, seconds=60) -> tuple[int, str, str]:
        """Runs a command in a node, for so many seconds at most, and returns its exit code, output and errors.

        Tests do this often, so it avoids the 0.15 s of bin/lab.
        """
        head = {"kind": "exec", "lab": self.name, "node": node, "command": ["timeout", str(seconds), *argv]}
        code, output, errors = lab_client.run(self.name, {**head, "directory": "/root" if node else "/"})
        return code, output.decode(), errors.decode()

    def run(self, node, *argv, check=True, seconds=60):
        """Runs a command in a node and returns its output. Node '' is the machine whose kernel the lab uses."""
        code, output, errors = self.tried(node, *argv, seconds=seconds)
        assert not check or code == 0, f"{node}: {' '.join(argv)}: {output}{errors}"
        return output

    def json(self, node, *argv):
        return json.loads(self.run(node, "ip", "-json", *argv) or "[]")

    def spawn(self, node, *argv):
        command = [PROGRAM, "exec", self.name, node, *argv]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def nexthops(self, node, family, vrf, prefix):
        found = self.json(node, f"-{family}", "route", "show", "vrf", vrf, prefix)
        hops = [hop for route in found for hop in route.get("nexthops", [route])]
        return {hop["gateway"] for hop in hops if "gateway" in hop}

    def established(self, node):
        """When each BGP session of a node was established, in seconds of the day: {session: seconds}.

        BIRD computes the time for every answer from two clocks, so that of the same session differs by a millisecond.
        """
        words = [line.split() for line in self.run(node, "birdc", "show", "protocols").splitlines()]
        up = {word[0]: word[4] for word in words if len(word) > 5 and word[1] == "BGP" and word[5] == "Established"}
        clocks = {session: map(float, since.split(":")) for session, since in up.items()}
        return {session: hours * 3600 + minutes * 60 + s for session, (hours, minutes, s) in clocks.items()}

    def reboot(self, node, *answers, seconds=120) -> float:
        """Reboots a node that runs systemd, and returns the seconds until its services answer.

        All enabled services must be active, and each of `answers`, a command in the node, must succeed.
        """
        start = time.monotonic()
        run = self.play("-e", f"lab_reboot={node}", playbook="playbooks/reboot.yml")
        assert run.code == 0, run.output
        # In a lab kernel, `systemctl list-unit-files` takes longer than D-Bus waits.
        active = ("sh", "-c", "cd /etc/systemd/system/multi-user.target.wants && systemctl is-active *.service")
        for command in (active, *answers):
            until(lambda command=command: self.tried(node, *command)[0] == 0, seconds, " ".join(command), 0.1)
        return time.monotonic() - start

    def verified(self):
        """(passed, total) of the last verification."""
        report = json.loads(self.report.read_text())
        return report["passed"], report["total"]

    def remains(self):
        """Processes, files and mounts left by a lab of this name, on this machine and in a lab kernel that is up."""
        script = (Path(__file__).parent / "remains.py").read_text()
        found = subprocess.run([sys.executable, "-c", script, self.name], check=True, capture_output=True, text=True)
        inside = self.run("", sys.executable, "-c", script, self.name) if self.is_up() else ""
        return [*found.stdout.splitlines(), *inside.splitlines()]


class Twin:
    """The twin of a production inventory whose intent has this name."""

    def __init__(self, inventory: Path, name: str):
        self.production = inventory
        self.lab = Lab(PROJECT / "artifacts" / name / "twin", PROJECT / "artifacts" / name / "twin")
        self.lab.name = f"{name}-twin"
        self.lab.report = PROJECT / "artifacts" / self.lab.name / "verify.json"

    def make(self, target: str, *variables: str) -> tuple[int, str]:
        inventory = self.production if target == "twin" else self.lab.inventory
        command = ["make", target, f"INVENTORY={inventory}", *variables]
        start = time.monotonic()
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, check=False, cwd=PROJECT, text=True, **streams)
        print(f"make {target}: {time.monotonic() - start:.1f} s")
        return done.returncode, done.stdout

    def failures(self) -> list[tuple[str, str]]:
        """(node, title) of what the last verification found."""
        nodes = json.loads(self.lab.report.read_text())["nodes"]
        return [
            (node, found["title"]) for node, results in nodes.items() for found in results if found["state"] != "passed"
        ]


def wait_for_answer(ping):
    """Waits until a spawned ping has received its first answer."""
    assert any("bytes from" in line for line in ping.stdout), "no answer"


@pytest.fixture(scope="session")
def make_lab(tmp_path_factory):
    """A function that copies an inventory, for the same lab or for one with another name."""

    def make(inventory, name=None):
        original = PROJECT / "inventories" / inventory
        copy = tmp_path_factory.mktemp("inventories") / (name or inventory)
        shutil.copytree(original, copy)
        lab = Lab(copy, copy if name else original)
        lab.intent.write_text(lab.intent.read_text().replace(f"name: {inventory}\n", f"name: {lab.name}\n"))
        return lab

    return make


@pytest.fixture(scope="session")
def bring_up(make_lab):
    """A function that brings a lab up unless it is up already; those that it brought up are taken down at the end."""
    made = []

    def bring(inventory, *args, name=None, edit=lambda text: text):
        lab = make_lab(inventory, name)
        lab.intent.write_text(edit(lab.intent.read_text()))
        if lab.is_up():
            return lab
        made.append(lab)
        run = lab.play(*args)
        print(run.output[run.output.find("PLAY RECAP") :])
        assert run.code == 0, run.output
        return lab

    yield bring
    for lab in made:
        lab.play(playbook="playbooks/down.yml")


@pytest.fixture(scope="module")
def twin_of():
    """A function that returns the twin of an inventory; all of them are taken down at the end."""
    made = []

    def give(inventory: Path, name: str) -> Twin:
        made.append(Twin(inventory, name))
        return made[-1]

    yield give
    for twin in made:
        twin.make("down")


@pytest.fixture(scope="session")
def rebootable(bring_up):
    """The default lab with systemd on hv1: rebootable.reboot("hv1", ("birdc", "show", "status"))."""
    return bring_up(
        "l3_hypervisor",
        *NOT_VERIFIED,
        name="reboots",
        edit=lambda text: text.replace("lab: {}\n", "lab: {nodes: {hv1: {init: systemd}}}\n"),
    )


@pytest.fixture(scope="session")
def lab(bring_up):
    """The default lab; tests of other labs override this fixture."""
    return bring_up("l3_hypervisor", *NOT_VERIFIED)
