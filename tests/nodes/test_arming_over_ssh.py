"""A controller that reaches a host by SSH over the interface that is changed, and is cut off by the change.

n1 runs systemd and sshd; n2 is the controller. The lab's own way into n1 only observes.
"""

from __future__ import annotations

import base64
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from support.lab_nodes import made
from support.modules import PROJECT, ModuleRunner
from support.waiting import until

from ansible_collections.routed.hypervisor.plugins.plugin_utils import zipapp

pytestmark = pytest.mark.long
CABLE = {"a": {"node": "n1", "interface": "eth0"}, "b": {"node": "n2", "interface": "eth0"}, "mtu": 1500}
N1, N2 = "192.0.2.1", "192.0.2.2"
PROGRAM = "/root/program"
ROOT = f"python3 -I {PROGRAM}"
OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=2", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
ONE_CONNECTION = ("-o", "ControlMaster=auto", "-o", "ControlPath=/root/master", "-o", "ControlPersist=600")
NEW_CONNECTION = ("-o", "ControlPath=none")
CONFIRM_S = 8
CUTS = {
    "the address is gone": "ip address flush dev eth0",
    "the link is down": "ip link set eth0 down",
    "the address is another one": f"ip address add 192.0.2.9/24 dev eth0; ip address del {N1}/24 dev eth0",
    "nothing finds its way back": f"ip rule add priority 10 to {N2} blackhole protocol 82",
}


@pytest.fixture(scope="module")
def lab(run_module_once, tmp_path_factory):
    packages = yaml.safe_load((PROJECT / "roles/lab_image/defaults/main.yml").read_text())["lab_image_packages"]
    wanted = [*packages, "dbus", "systemd", "openssh-server", "openssh-client"]
    cache = Path.home() / ".cache" / "routed-hypervisor"
    image = ModuleRunner(tmp_path_factory.mktemp("image"))("lab_image", path=str(cache), packages=wanted)
    if image.get("failed"):
        pytest.skip(f"no image with sshd: {image['msg']}")
    with made(run_module_once, image["path"]) as lab:
        for result in (lab.nodes({"name": "n1", "init": "systemd"}, "n2"), lab.cables(CABLE)):
            assert not result.get("failed"), result["msg"]
        for node, address in (("n1", N1), ("n2", N2)):
            lab.run(node, "sh", "-ec", f"ip address add {address}/24 dev eth0; ip link set eth0 up")
        lab.run(
            "n2", "sh", "-ec", "mkdir -p -m 700 /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519"
        )
        key = lab.run("n2", "cat", "/root/.ssh/id_ed25519.pub")
        lab.run("n1", "sh", "-ec", "mkdir -p -m 700 /root/.ssh; cat >/root/.ssh/authorized_keys", text=key)
        program = base64.b64encode(zipapp.build().encode()).decode()
        lab.run("n1", "sh", "-ec", f"base64 -d >{PROGRAM}", text=program)
        lab.run("n1", "sh", "-ec", "ssh-keygen -A; systemctl restart ssh")
        yield lab


def ssh(lab, connection: tuple[str, ...], command: str):
    return lab.enter("n2", "timeout", "20", "ssh", *OPTIONS, *connection, f"root@{N1}", command)


def answers(lab) -> bool:
    return ssh(lab, NEW_CONNECTION, "true").returncode == 0


@pytest.fixture
def armed(lab):
    """The controller's one connection has armed a change."""
    until(lambda: answers(lab), 20, "n1 answers")
    done = ssh(lab, ONE_CONNECTION, f"{ROOT} arm --seconds {CONFIRM_S}")
    assert done.returncode == 0 and "confirm within" in done.stdout, done.stdout + done.stderr
    yield lab
    lab.enter("n2", "ssh", "-o", "ControlPath=/root/master", "-O", "exit", N1)
    until(lambda: lab.enter("n1", "test", "-d", "/var/lib/routed-hypervisor/armed").returncode, 30, "nothing is armed")


def addresses(lab) -> str:
    return lab.run("n1", "ip", "-brief", "-4", "address", "show", "dev", "eth0")


def test_the_connection_that_armed_a_change_cannot_confirm_it_and_a_new_one_can(armed):
    done = ssh(armed, ONE_CONNECTION, f"{ROOT} arm --extend --seconds 120")
    assert done.returncode == 0, done.stderr
    done = ssh(armed, ONE_CONNECTION, f"{ROOT} confirm")
    assert done.returncode == 2 and "this connection is the one that armed the change" in done.stderr, done.stderr
    done = ssh(armed, ONE_CONNECTION, "ip address add 192.0.2.50/24 dev eth0")
    assert done.returncode == 0, done.stderr
    done = ssh(armed, NEW_CONNECTION, f"{ROOT} confirm")
    assert done.returncode == 0, done.stderr
    assert "192.0.2.50" in addresses(armed)
    armed.run("n1", "ip", "address", "del", "192.0.2.50/24", "dev", "eth0")


def test_a_controller_that_is_killed_leaves_a_host_that_ends_its_run(armed):
    """Its module, which holds the lock of the host, does not end with it."""
    before, start = addresses(armed), time.monotonic()
    module = f"flock /run/routed-hypervisor.lock sh -c '{CUTS['the address is gone']}; sleep 300'"
    command = [armed.directory / "enter", "n2", "ssh", *OPTIONS, *ONE_CONNECTION, f"root@{N1}", f"setsid {module}"]
    controller = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    until(lambda: addresses(armed) != before, 10, "the address is gone")
    armed.run("n2", "pkill", "-KILL", "-x", "ssh")
    controller.wait(10)
    until(lambda: answers(armed), CONFIRM_S + 20, "n1 answers")
    assert time.monotonic() - start < CONFIRM_S + 10
    assert addresses(armed) == before
    assert armed.enter("n1", "pgrep", "-f", "sleep 300").returncode == 1


@pytest.mark.parametrize("name", CUTS)
def test_a_controller_that_is_cut_off_reaches_the_host_again_in_time(armed, name):
    before, start = addresses(armed), time.monotonic()
    ssh(armed, ONE_CONNECTION, f"setsid sh -c '{CUTS[name]}' >/dev/null 2>&1 &")
    until(lambda: not answers(armed), CONFIRM_S, "n1 is cut off")
    until(lambda: answers(armed), CONFIRM_S + 20, "n1 answers")
    assert time.monotonic() - start < CONFIRM_S + 10
    assert addresses(armed) == before
    done = ssh(armed, NEW_CONNECTION, f"{ROOT} status")
    assert done.returncode and "ROLLED BACK" in done.stdout, done.stdout + done.stderr
    assert "the change of root from 192.0.2.2" in done.stdout
