"""A lab that site.yml brought up, and the questions that tests ask it. bin/lab-kernel has the kernel for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
STATE = Path("/run/routed-hypervisor")
NOT_VERIFIED = ("--skip-tags", "verify")  # where something else is asked, and another run verifies


class Run:
    """What one ansible-playbook did."""

    def __init__(self, code, output, record):
        self.code = code
        self.output = output
        self.tasks = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []

    @property
    def changed(self):
        return {(task["host"], task["action"].rpartition(".")[2]) for task in self.tasks if task["changed"]}

    @property
    def failures(self):
        return [task for task in self.tasks if task["status"] != "ok"]


class Lab:
    """A lab of its own: a copy of an inventory under a name that nobody else uses."""

    def __init__(self, directory: Path):
        self.name = directory.name
        self.inventory = directory
        self.intent = directory / "fabric.yml"
        self.report = PROJECT / "artifacts" / self.name / "verify.json"

    def start(self, *args, playbook="site.yml", record=None):
        environment = {
            **os.environ,
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "record,routed.hypervisor.stages",
            "RECORD_FILE": str(record or os.devnull),
            "ANSIBLE_NOCOLOR": "1",
        }
        command = ["ansible-playbook", "-i", str(self.inventory), playbook, *args]
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

    def command(self, node, *argv):
        return [str(STATE / self.name / "enter"), node, *argv]

    def run(self, node, *argv, check=True):
        """Runs a command in a node and returns its output."""
        done = subprocess.run(self.command(node, *argv), capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, f"{node}: {' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, node, *argv):
        return json.loads(self.run(node, "ip", "-json", *argv) or "[]")

    def spawn(self, node, *argv):
        return subprocess.Popen(self.command(node, *argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def nexthops(self, node, family, vrf, prefix):
        found = self.json(node, f"-{family}", "route", "show", "vrf", vrf, prefix)
        hops = [hop for route in found for hop in route.get("nexthops", [route])]
        return {hop["gateway"] for hop in hops if "gateway" in hop}

    def established(self, node):
        """Since when each BGP session of a node is up, in seconds of the day: {session: seconds}.

        BIRD computes the time anew for every answer, from two clocks: the same session's differs by a millisecond.
        """
        words = [line.split() for line in self.run(node, "birdc", "show", "protocols").splitlines()]
        up = {word[0]: word[4] for word in words if len(word) > 5 and word[1] == "BGP" and word[5] == "Established"}
        clocks = {session: map(float, since.split(":")) for session, since in up.items()}
        return {session: hours * 3600 + minutes * 60 + s for session, (hours, minutes, s) in clocks.items()}

    def verified(self):
        """(passed, total) of the last verification."""
        report = json.loads(self.report.read_text())
        return report["passed"], report["total"]

    def remains(self):
        """Processes and files that a lab of this name left."""
        mark = f"routed-hypervisor:{self.name}:".encode()
        processes = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if entry.read_bytes().startswith(mark):
                    processes.append(entry.parent.name)
            except OSError:
                continue
        files = [str(path) for path in [STATE / self.name] if path.exists()]
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if self.name in line]
        return processes + files + mounts


def until(holds, seconds=30.0, what="the condition"):
    """Waits for a condition and returns how long it took; says what was missing when the time is over."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds, f"{what} did not hold within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - start


@pytest.fixture(scope="session")
def make_lab(tmp_path_factory):
    """A function that copies an inventory under another name; the name of a lab is that of its directory."""

    def make(name, inventory="l3_hypervisor"):
        copy = tmp_path_factory.mktemp("inventories") / name
        shutil.copytree(PROJECT / "inventories" / inventory, copy)
        intent = copy / "fabric.yml"
        intent.write_text(intent.read_text().replace(f"name: {inventory}\n", f"name: {name}\n"))
        return Lab(copy)

    return make


@pytest.fixture(scope="session")
def bring_up(make_lab):
    """A function that makes a lab and brings it up; all of them are taken down in the end."""
    made = []

    def bring(name, inventory="l3_hypervisor", *args, edit=lambda text: text):
        lab = make_lab(name, inventory)
        lab.intent.write_text(edit(lab.intent.read_text()))
        made.append(lab)
        run = lab.play(*args)
        print(run.output[run.output.find("PLAY RECAP") :])
        assert run.code == 0, run.output
        return lab

    yield bring
    for lab in made:
        lab.play(playbook="playbooks/down.yml")
        shutil.rmtree(lab.report.parent, ignore_errors=True)


@pytest.fixture(scope="session")
def lab(bring_up):
    """The default lab, up and verified, for the whole session."""
    return bring_up("lab_test")
