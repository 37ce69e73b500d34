"""playbooks/leaves.yml against a command line on SSH: what a switch is sent, keeps, and has after a failure."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.nxos_device import Device, Refused
from support.nxos_ssh import Server

TESTS = Path(__file__).parents[2]

pytest.importorskip("ansible_collections.cisco.nxos.plugins", reason="no cisco.nxos: run bin/setup --dev")

OTHERS = "feature lldp\nvlan 99\n  name others\ninterface mgmt0\n  ip address 192.0.2.1/24\n"
PASSWORD = "first-secret"


def values(name: str = "leaf_contiv") -> dict:
    found = yaml.safe_load((TESTS / "golden" / "data" / f"{name}.yml").read_text())
    if name == "leaf_contiv":
        found["bgp_passwords"] = {"hosts": PASSWORD}
        found["bgp"]["sessions"][0]["password_key"] = "hosts"
    return found


class Leaves:
    """An inventory of devices, and the playbook that configures them."""

    def __init__(self, place: Path):
        self.server, self.place, self.hosts = Server(), place, {}

    def add(self, name: str, device: Device, **variables) -> Device:
        self.hosts[name] = {
            **(variables or values()),
            "fabric_name": "leaves",
            "ansible_host": "127.0.0.1",
            "ansible_port": self.server.serve(device),
            "ansible_user": "admin",
            "ansible_password": "a login",
            # The device answers at once.
            "ansible_buffer_read_timeout": 0.01,
            "nxos_directory": str(self.place / name),
        }
        return device

    def play(self, *options: str) -> tuple[int, str]:
        inventory = self.place / "leaves.yml"
        inventory.write_text(yaml.safe_dump({"nxos_leaves": {"hosts": self.hosts}}))
        argv = [sys.executable, "-m", "ansible.cli.playbook", "-i", str(inventory), "playbooks/leaves.yml", *options]
        environment = {
            **os.environ,
            "ANSIBLE_INVENTORY_ENABLED": "yaml",
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_HOME": str(self.place / "home"),
        }
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, cwd=TESTS.parent, env=environment, timeout=300
        )
        return done.returncode, done.stdout + done.stderr

    def backups(self, name: str) -> list[Path]:
        return sorted((self.place / name).glob("backup-*.cfg"))


@pytest.fixture
def leaves(tmp_path):
    made = Leaves(tmp_path)
    yield made
    made.server.close()


def configuring(device: Device) -> bool:
    return "configure terminal" in device.log


def test_a_leaf_is_told_about_configured_saved_and_left_alone(leaves):
    device = leaves.add("leaf1", Device(OTHERS), **values("leaf_full"))
    before = device.show()
    code, output = leaves.play("--check", "--diff")
    assert code == 0, output
    assert "+   neighbor 50.1.1.1" in output and "+ password of neighbor 50.1.1.1" in output and PASSWORD not in output
    assert device.show() == before and not configuring(device) and not (leaves.place / "leaf1").exists()

    code, output = leaves.play("-v")
    assert code == 0, output
    assert PASSWORD not in output
    assert "password 3 " in "\n".join(device.show()) and device.startup == device.tree
    assert all(line in device.show() for line in OTHERS.splitlines())
    (backup,) = leaves.backups("leaf1")
    assert [line for line in backup.read_text().splitlines() if line and line[0] != "!"][1:] == before
    assert backup.stat().st_mode & 0o777 == 0o600
    assert not (leaves.place / "leaf1" / "changes-secrets.cfg").exists()

    # Neither sent nor saved again.
    device.log.clear()
    code, output = leaves.play("--diff")
    assert code == 0 and "changed=0" in output, output
    assert not configuring(device) and len(leaves.backups("leaf1")) == 1

    # A run that was cut off ahead of saving is completed by the next, here with something to send as well.
    device.startup = {}

    device.send(["interface Vlan10", "mtu 1500"])
    device.log.clear()
    code, output = leaves.play("--diff")
    assert code == 0 and "+   mtu 9000" in output, output
    assert changes(device) == ["interface Vlan10", "mtu 9000"]
    assert device.startup == device.tree


def test_a_leaf_in_use_is_changed_in_the_order_that_was_planned(leaves):
    """Blocks come more than once: an address leaves one interface ahead of the other, an access list goes by a copy."""
    device = leaves.add("leaf1", Device(OTHERS), **values("leaf_full"))
    code, output = leaves.play()
    assert code == 0, output
    changed = leaves.hosts["leaf1"]["leaf"]
    interfaces = {one["name"]: one for one in changed["interfaces"]}
    one, other = interfaces["Ethernet1/49"], interfaces["Ethernet1/50"]
    one["addresses"], other["addresses"] = other["addresses"], one["addresses"]
    changed["acls"][0]["rules"].reverse()
    leaves.hosts["leaf1"]["bgp"]["policies"][0]["permit"].insert(
        0, {"prefix": "10.1.0.0/16", "family": "ipv4", "longest": 32}
    )
    device.log.clear()
    code, output = leaves.play("--diff")
    assert code == 0, output
    lines = changes(device)
    assert lines[:6] == [
        *["interface Ethernet1/49", "no ip address 80.1.1.1/30", "no ipv6 address 2001:db8:80::1/127"],
        *["interface Ethernet1/50", "no ip address 80.1.1.5/30", "no ipv6 address 2001:db8:80::3/127"],
    ]
    assert lines[6] == "ip prefix-list CONTAINERS-IPV4 seq 30 permit 10.1.0.0/16 le 32"
    assert lines.count("interface Vlan10") == 2 and "no ip access-list FROM-HOSTS-NEXT" in lines
    assert "NEXT" not in output and device.startup == device.tree


def test_another_as_is_refused_before_anything_is_sent_unless_it_is_asked_for(leaves):
    device = leaves.add("leaf1", Device(OTHERS + "feature bgp\nrouter bgp 65500\n  neighbor 192.0.2.9\n"))
    before = device.show()
    code, output = leaves.play()
    assert code != 0 and "Nothing was sent: the switch runs router bgp 65500" in " ".join(output.split()), output
    assert device.show() == before and not configuring(device)
    code, output = leaves.play("--diff", "-e", "nxos_replace_bgp=true")
    assert code == 0 and "- router bgp 65500" in output and "-   neighbor 192.0.2.9" in output, output
    assert [line for line in device.tree if line.startswith("router bgp")] == ["router bgp 500"]


def test_a_line_that_is_refused_half_way_brings_everything_back(leaves):
    device, other = leaves.add("leaf1", Device(OTHERS)), leaves.add("leaf2", Device(OTHERS))
    before = copy.deepcopy(device.tree)
    device.refuse = "route-map TO-HOSTS-IPV4 out"
    code, output = leaves.play()
    assert code != 0
    assert "leaf1: send the lines failed:" in output and "route-map TO-HOSTS-IPV4 out" in output
    assert "The configuration of before is back" in output, output
    assert device.tree == device.startup == before
    assert not configuring(other), "a mistake must stop at the first leaf"


def test_a_password_that_is_refused_is_not_shown(leaves):
    device = leaves.add("leaf1", Device(OTHERS))
    before = copy.deepcopy(device.tree)
    device.refuse = "password"
    code, output = leaves.play("-v")
    assert code != 0 and "its reason is not shown" in output, output
    assert PASSWORD not in output and device.tree == before
    assert not (leaves.place / "leaf1" / "changes-secrets.cfg").exists()


def test_a_password_that_a_command_line_would_misread_is_refused(leaves):
    wrong = values()
    wrong["bgp_passwords"]["hosts"] = "what-is?this"
    device = leaves.add("leaf1", Device(OTHERS), **wrong)
    code, output = leaves.play()
    assert code != 0 and "bgp_passwords has ?, | or { in hosts" in " ".join(output.split()), output
    assert device.log == [] and "what-is?this" not in output


def test_a_connection_that_is_lost_half_way_brings_everything_back(leaves):
    device = leaves.add("leaf1", Device(OTHERS))
    before = copy.deepcopy(device.tree)
    device.vanish = "router bgp"
    code, output = leaves.play()
    assert code != 0 and "The configuration of before is back" in output, output
    assert device.tree == device.startup == before


JOB = ["feature scheduler", "scheduler job name routed-hypervisor"]
JOB += ["rollback running-config file bootflash:routed-hypervisor.checkpoint", "end-job"]
CHECKPOINT = "checkpoint file bootflash:routed-hypervisor.checkpoint"
# By the clock of the switch, ten minutes after 10:05:59.
SCHEDULE = ["scheduler schedule name routed-hypervisor", "job name routed-hypervisor", "time start 2026:11:21:10:16"]
CONFIRMED = ["no scheduler schedule name routed-hypervisor", "no scheduler job name routed-hypervisor"]


def sent(device: Device) -> list[str]:
    """Without reading, and what surrounds it."""
    others = ("show ", "terminal ", "configure terminal", "end", "exit")
    return [line for line in device.log if line and not (line.startswith(others) and line != "end-job")]


def changes(device: Device) -> list[str]:
    """The lines that were sent between arming the switch and confirming it."""
    lines = sent(device)
    return lines[lines.index(SCHEDULE[-1]) + 1 : lines.index(CONFIRMED[0])]


def test_a_switch_is_armed_before_the_first_line_and_confirmed_over_a_new_connection(leaves):
    device = leaves.add("leaf1", Device(OTHERS))
    connections = []

    class Watched(list):
        def append(self, line):
            super().append(line)
            if line in ("router bgp 500", *CONFIRMED):
                connections.append(device.connections)

    device.log = Watched()
    code, output = leaves.play()
    assert code == 0, output
    lines = sent(device)
    assert lines[:8] == [*JOB, CHECKPOINT, *SCHEDULE]
    assert lines[-4:] == [*CONFIRMED, "no feature scheduler", "copy running-config startup-config"]
    assert connections[-1] > connections[0], connections
    assert not device.schedules() and not [line for line in device.tree if "scheduler" in line]
    assert device.startup == device.tree

    device.log.clear()
    code, output = leaves.play()
    assert code == 0 and "changed=0" in output and sent(device) == [], output


def test_a_scheduler_that_others_use_stays(leaves):
    theirs = "feature scheduler\nscheduler job name theirs\ncopy running-config startup-config\nend-job\n"
    device = leaves.add("leaf1", Device(OTHERS + theirs))
    code, output = leaves.play()
    assert code == 0, output
    assert [line for line in device.tree if "scheduler" in line] == ["feature scheduler", "scheduler job name theirs"]


def without_scheduler(tree: dict) -> dict:
    return {line: below for line, below in tree.items() if "scheduler" not in line}


def test_a_change_that_cuts_the_path_is_undone_by_the_switch(leaves):
    device = leaves.add("leaf1", Device(OTHERS))
    before = copy.deepcopy(device.tree)
    device.cut = "router bgp"
    code, output = leaves.play()
    assert code != 0 and "It does that by itself at 2026:11:21:10:16 by its clock" in flat(output), output
    assert device.tree != before and device.startup == before
    assert list(device.schedules().values()) == [{line: {} for line in SCHEDULE[1:]}]
    device.reach_deadline()
    assert without_scheduler(device.tree) == before and not device.schedules()

    # Reached again, it is changed as if nothing had happened.
    device.is_cut, device.cut = False, None
    code, output = leaves.play()
    assert code == 0 and not device.schedules(), output


def test_a_change_that_was_not_confirmed_is_left_to_the_switch(leaves):
    device = leaves.add("leaf1", Device(OTHERS))
    before = copy.deepcopy(device.tree)
    device.refuse = "no scheduler schedule"
    code, output = leaves.play()
    assert code != 0 and device.schedules() and device.startup == before, output

    # Another run does not make the schedule its own.
    device.refuse = None
    device.log.clear()
    code, output = leaves.play()
    assert code != 0 and sent(device) == [], output
    assert "leaf1: another change is armed: the switch goes back at 2026:11:21:10:16 by its clock" in flat(output)
    device.reach_deadline()
    assert without_scheduler(device.tree) == before
    code, output = leaves.play()
    assert code == 0, output


def test_a_switch_need_not_be_armed(leaves):
    device = leaves.add("leaf1", Device(OTHERS))
    code, output = leaves.play("-e", "nxos_confirm_minutes=0")
    assert code == 0 and not [line for line in device.log if "scheduler" in line], output


def test_without_a_checkpoint_of_its_own_a_run_does_not_go_back_to_an_earlier_one(leaves):
    device = leaves.add("leaf1", Device(OTHERS))
    code, output = leaves.play()
    assert code == 0, output
    device.send(["interface Vlan10", "mtu 1500", "vlan 98"])
    before = copy.deepcopy(device.tree)
    device.execute = refusing(device.execute, "checkpoint")
    code, output = leaves.play()
    assert code != 0 and "The configuration of before is back" in flat(output), output
    assert device.tree == before


def refusing(execute, start):
    def answer(line):
        if line.startswith(start):
            raise Refused("% No space left on device")
        return execute(line)

    return answer


def flat(output: str) -> str:
    return " ".join(output.split())


def test_what_could_not_be_put_back_is_told_with_the_way_to_do_it(leaves):
    device = leaves.add("leaf1", Device(OTHERS))
    device.refuse, device.broken_rollback = "router bgp", True
    code, output = leaves.play()
    assert code != 0 and "THE CONFIGURATION OF BEFORE IS NOT BACK" in output
    assert str(leaves.backups("leaf1")[0]) in output.replace("\n", "").replace(" ", "") or "backup-" in output
    assert "rollback running-config file bootflash:routed-hypervisor.checkpoint" in " ".join(output.split())
    assert device.startup != device.tree


def test_a_switch_that_shows_other_lines_than_it_took_is_told(leaves):
    class Deaf(Device):
        def put(self, above, line, one):
            if line != "bestpath as-path multipath-relax":
                super().put(above, line, one)

    leaves.add("leaf1", Deaf(OTHERS))
    code, output = leaves.play()
    assert (
        code != 0 and "its configuration is not as intended" in output and "bestpath as-path multipath-relax" in output
    ), output
