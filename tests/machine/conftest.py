"""A Debian 12 server in QEMU, configured over ssh with the inventory of docs/real_hosts.md.

Its kernel is Debian's, and its processor is emulated: everything takes a hundred times as long as on a real server. So
there is one machine, and tests begin with states of it that were kept: memory and disk.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import disk
import pytest
import yaml
from support.kernel_state import OBJECTS, without_chance
from support.machine import Machine
from support.modules import PROJECT
from support.recorded_run import Run, recording

CACHE = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache" / "routed-hypervisor"))
PAGE = PROJECT / "docs/real_hosts.md"
RUN_S = 2400
REFLECTORS = ("rr1", "rr2")
FILES = ("/etc/bird", "/etc/dnsmasq.conf", "/etc/dnsmasq.hosts", "/etc/radvd.conf", "/etc/ndppd.conf")


def with_ipv6(intent: dict) -> dict:
    """The intent of the page has IPv4 only. BFD's packets of an emulated processor are late."""
    for number, fabric in enumerate(intent["fabrics"].values()):
        network = fabric["networks"]["public"]
        network["ipv6"] = f"2001:db8:c633:640{number}::/120"
        network["hypervisors"]["ipv6"] = f"2001:db8:c633:640{number}::"
    intent["segments"]["guests"] |= {"ipv6": "2001:db8:cb00:7100::/64", "gateway6": "fe80::1"}
    for number, reflector in enumerate(intent["reflectors"].values()):
        reflector["addresses"]["public"]["ipv6"] = f"2001:db8:c633:640{number}::26"
    intent["bgp"]["bfd"] = {"interval_ms": 3000, "multiplier": 5}
    return intent


def other(intent: dict) -> dict:
    """A later intent: a guest has left, one has come, and one is in a new VRF."""
    intent["vrfs"]["storage"] = {"table": 91, "vlan": 91}
    for number, fabric in enumerate(intent["fabrics"].values()):
        prefix = f"192.168.{number}"
        fabric["networks"]["storage"] = {"ipv4": f"{prefix}.0/24", "hypervisors": {"ipv4": f"{prefix}.0"}}
        intent["reflectors"][f"rr{number + 1}"]["addresses"]["storage"] = {"ipv4": f"{prefix}.254"}
    intent["segments"]["disks"] = {"vrf": "storage", "ipv4": "10.7.0.0/24", "gateway4": "10.7.0.254"}
    for hypervisor in intent["hypervisors"].values():
        for guest in hypervisor["guests"].values():
            guest["segment"] = "guests"
    guests = intent["hypervisors"]["hv1"]["guests"]
    del guests["web1"]
    guests["web3"] = {"ipv4": "203.0.113.3", "mac": "52:54:00:12:34:03", "port": "tap-web3", "segment": "guests"}
    guests["web4"] = {"ipv4": "10.7.0.4", "segment": "disks", "mac": "52:54:00:12:34:04", "port": "tap-web4"}
    return intent


class Server:
    """The machine, and the inventory that configures it."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.machine = Machine(CACHE / "tools", disk.build(CACHE).path, directory)
        self.inventory = directory / "production"
        for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
            (self.inventory / name).parent.mkdir(parents=True, exist_ok=True)
            (self.inventory / name).write_text(text)
        self.first_intent = with_ipv6(yaml.safe_load((self.inventory / "fabric.yml").read_text()))
        self.vault = directory / "vault"
        self.vault.write_text("not very secret\n")
        words = ["encrypt", "--encrypt-vault-id", "production", self.inventory / "group_vars/all/vault.yml"]
        self._ansible("ansible-vault", *words)
        self.write(self.first_intent)

    def write(self, intent: dict) -> None:
        (self.inventory / "fabric.yml").write_text(yaml.safe_dump(intent, sort_keys=False))

    def write_other(self) -> None:
        self.write(other(json.loads(json.dumps(self.first_intent))))

    def start(self, *arguments: str, record: Path | None = None, playbook: str = "site.yml") -> subprocess.Popen[str]:
        machine = self.machine
        where = {"ansible_host": "127.0.0.1", "ansible_port": machine.port}
        options = " ".join(machine.ssh_options())
        (self.inventory / "hosts.yml").write_text(
            re.sub(r"hv1: \{.*\}", f"hv1: {json.dumps(where)}", (self.inventory / "hosts.yml").read_text())
        )
        words = ["ansible-playbook", "--vault-id", f"production@{self.vault}", "-i", self.inventory]
        return subprocess.Popen(
            # A stage takes a hundred times as long as on a server.
            [*map(str, words), playbook, "--limit", "hv1", "-e", "confirm_s=900", *arguments],
            cwd=PROJECT,
            env={
                **os.environ,
                **recording(record),
                "ANSIBLE_SSH_ARGS": options,
                "ANSIBLE_SSH_CONTROL_PATH": f"{self.directory}/%%p",
                "ANSIBLE_TIMEOUT": "60",
            },
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def play(self, *arguments: str, playbook: str = "site.yml") -> Run:
        record = self.directory / f"record-{time.monotonic_ns()}.jsonl"
        start = time.monotonic()
        process = self.start(*arguments, record=record, playbook=playbook)
        output, _ = process.communicate(timeout=RUN_S)
        words = " ".join([playbook, *arguments])
        print(f"{words}: exit code {process.returncode}, {time.monotonic() - start:.0f} s", flush=True)
        (self.directory / "runs.log").open("a").write(f"\n##### {words}\n{output}")
        return Run(process.returncode, output, record)

    def _ansible(self, program: str, *arguments: object) -> str:
        words = [program, *(str(word) for word in arguments), "--vault-id", f"production@{self.vault}"]
        done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install_reflectors(self) -> None:
        """The reflectors at the other ends of the uplinks run what is rendered for them."""
        out = self.directory / "rendered"
        self._ansible("ansible-playbook", "-i", self.inventory, "playbooks/render.yml", "-e", f"render_secrets={out}")
        for name in REFLECTORS:
            addresses = self.first_intent["reflectors"][name]["addresses"]["public"]
            place = f"/etc/reflectors/{name}"
            lines = f"{addresses['ipv4']}/25\n{addresses['ipv6']}/120\n"
            files = {"addresses": lines}
            for file in ("bird.conf", "secrets.conf"):
                files[file] = (out / name / "etc/bird" / file).read_text()
            for file, text in files.items():
                self.machine.run(f"sudo mkdir -p {place} && sudo tee {place}/{file} >/dev/null", text)
        shutil.rmtree(out)
        self.machine.run("sudo systemctl restart reflectors")

    def kernel(self) -> dict:
        command = "; echo ,; ".join(f"sudo ip -d -json {one}" for one in OBJECTS)
        found = json.loads(f"[{self.machine.run(command)}]")
        # A foreign link comes and goes with its guest: what matters is what we made of it.
        return {one: without_chance(value) for one, value in zip(OBJECTS, found, strict=True)}

    def files(self) -> str:
        return self.machine.run(f"sudo find {' '.join(FILES)} -type f -exec sha256sum {{}} + 2>/dev/null | sort -k2")

    def status(self) -> str:
        return self.machine.run("sudo routed-hypervisor status || true").strip()


@pytest.fixture(scope="session")
def server():
    if not (CACHE / "tools/qemu/usr/bin/qemu-img").exists():
        pytest.skip("no QEMU in the cache: bin/setup --qemu")
    # Not pytest's directory, whose name may be too long for a socket.
    directory = Path(tempfile.mkdtemp(prefix="machine-"))
    try:
        made = Server(directory)
    except disk.NoDisk as error:
        pytest.skip(f"no disk: {error}")
    made.machine.create_disk()
    try:
        yield made
    finally:
        made.machine.cut_power()
        if not os.environ.get("ROUTED_HYPERVISOR_TESTS_KEEP"):
            shutil.rmtree(directory, ignore_errors=True)  # ssh removes its sockets at the same time


@pytest.fixture(scope="session")
def configured(server) -> None:
    """A machine that the first run has configured and that has booted since: server.machine.load("configured")."""
    if not (server.directory / "configured.qcow2").exists():
        server.machine.cut_power()
        server.machine.create_disk()
        server.machine.boot()
        server.install_reflectors()
        run = server.play("--skip-tags", "verify")
        assert run.code == 0, run.output
        server.machine.reboot()
        server.machine.save("configured")
