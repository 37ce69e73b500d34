"""playbooks/rollout.yml changes hosts in batches, and stops at the first that fails."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest
from support.host_state import differences, settled, writes
from support.modules import PROJECT
from support.waiting import seconds_until, until

pytestmark = pytest.mark.long
HOSTS = ("hv1", "hv2", "hv3")
PLAYBOOK = "playbooks/rollout.yml"
ARMED = "/var/lib/routed-hypervisor/armed"
LEASE = ("lease_s: 3600", "lease_s: 7200")  # concerns no packet of guests
OTHER_VLAN = ("vlan: 90", "vlan: 91")  # reflectors and switches do not follow
CLOSED = "all: {hosts: {hv3: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 9}}}\n"


def edit(lab, old: str, new: str) -> None:
    text = lab.intent.read_text()
    assert old in text
    lab.intent.write_text(text.replace(old, new))


def is_armed(lab, host: str) -> bool:
    return lab.tried(host, "test", "-d", ARMED)[0] == 0


def rollout(lab, *args):
    return lab.play("-e", "confirm_s=90", "--skip-tags", "verify", *args, playbook=PLAYBOOK)


def predicted(lab) -> dict:
    return json.loads((PROJECT / "artifacts" / lab.name / "rollout.json").read_text())["hosts"]


def plain(states: dict) -> dict:
    """Without counters of packets, and what an undone change leaves: the note of it, and other indexes of links."""
    return {
        host: {
            kind: [
                re.sub(r'"(ifindex|packets|bytes)": \d+', "", line)
                for line in lines
                if not re.search("rolled-back|motd|applied", line)
            ]
            for kind, lines in kinds.items()
        }
        for host, kinds in states.items()
    }


def sessions_are_up(lab) -> bool:
    return all(len(lab.established(host)) == 6 for host in HOSTS)


def test_a_canary_that_fails_leaves_the_other_hosts_untouched(lab):
    until(lambda: sessions_are_up(lab), 60, "sessions are up", 0.5)
    before, written = settled(lab, HOSTS), writes(lab, HOSTS)
    edit(lab, *OTHER_VLAN)
    try:
        run = rollout(lab)
    finally:
        edit(lab, *reversed(OTHER_VLAN))
    assert run.code != 0
    found = differences(written, writes(lab, HOSTS))
    assert found.keys() == {"hv1: writes"}, found
    assert {name for name, host in predicted(lab).items() if host["state"] == "differs"} >= set(HOSTS)
    secrets = [(PROJECT / "artifacts" / lab.name / f"rollout.{kind}").read_text() for kind in ("json", "txt")]
    assert not any("lab-public-51c7" in text for text in secrets)
    assert "hv1: failed: Stop if something does not work that must: BGP session" in run.output, run.output[-5000:]
    assert "hv1: undone; " in run.output and "not touched: hv2, hv3" in run.output, run.output[-5000:]
    until(lambda: sessions_are_up(lab), 60, "sessions are up", 0.5)
    after = settled(lab, HOSTS)
    # Routes through the canary were withdrawn, and are back.
    assert differences(plain(before), plain(after)) == {}


def test_a_good_rollout_changes_all_hosts_and_loses_no_packet(lab):
    edit(lab, *LEASE)
    written = writes(lab, HOSTS)
    run = lab.play("-e", "confirm_s=90", "--check", playbook=PLAYBOOK)
    assert run.code == 0 and differences(written, writes(lab, HOSTS)) == {}, run.output
    ping = lab.spawn("vm3", "ping", "-q", "-i", "0.02", "203.0.113.1")
    try:
        run = rollout(lab)
    finally:
        lab.run("vm3", "pkill", "-INT", "-x", "ping")
        output, _ = ping.communicate(timeout=20)
    assert run.code == 0, run.output
    assert {host for host in HOSTS if "7200" in lab.run(host, "cat", "/etc/dnsmasq.conf")} == set(HOSTS)
    armed = [task["host"] for task in run.tasks if task["task"].endswith("Undo what follows unless it is confirmed")]
    assert armed == list(HOSTS), armed
    [(sent, received)] = re.findall(r"(\d+) packets transmitted, (\d+) received", output)
    print(output)
    assert int(sent) == int(received) > 600, output
    again = rollout(lab)
    assert again.code == 0 and again.changed == set(), again.output
    assert not any(is_armed(lab, host) for host in HOSTS)


def test_a_host_that_cannot_be_reached_is_named_before_anything_is_touched(lab):
    edit(lab, *reversed(LEASE))
    overlay = lab.inventory / "hosts.yml"
    overlay.write_text(CLOSED)
    try:
        run = rollout(lab)
        assert run.code != 0 and "1 of 6 hosts cannot be reached: hv3. Nothing was touched." in flat(run), run.output
        assert not run.changed and "7200" in lab.run("hv1", "cat", "/etc/dnsmasq.conf")
        run = rollout(lab, "-e", "skip_unreachable=true")
        assert run.code == 0, run.output
        assert ["3600" in lab.run(host, "cat", "/etc/dnsmasq.conf") for host in HOSTS] == [True, True, False]
    finally:
        overlay.unlink()
    assert rollout(lab).code == 0


def flat(run) -> str:
    return " ".join(run.output.split())


def test_a_second_rollout_while_one_is_armed_is_refused(lab):
    edit(lab, *LEASE)
    lab.run("hv2", "routed-hypervisor", "arm", "--seconds", "600")
    try:
        run = rollout(lab)
    finally:
        edit(lab, *reversed(LEASE))
        lab.run("hv2", "routed-hypervisor", "confirm")
    assert run.code != 0 and not is_armed(lab, "hv1")
    assert re.search(r"hv2: another change is armed: armed by root at .*, \d+ s left", flat(run)), run.output
    assert "Nothing was touched" in flat(run)


def test_a_controller_that_is_killed_leaves_a_host_that_undoes_its_change(lab):
    until(lambda: sessions_are_up(lab), 60, "sessions are up", 0.5)
    before = settled(lab, HOSTS)
    edit(lab, *LEASE)
    process = lab.start("-e", "confirm_s=20", "--skip-tags", "verify", playbook=PLAYBOOK)
    try:
        changed = ("grep", "-q", "7200", "/etc/dnsmasq.conf")
        until(lambda: is_armed(lab, "hv1") and lab.tried("hv1", *changed)[0] == 0, 300, "hv1 is changed", 0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        edit(lab, *reversed(LEASE))
    seconds = seconds_until(lambda: not is_armed(lab, "hv1"), 20 + 10, "hv1 has undone its change", 0.2)
    print(f"the change was undone {seconds:.1f} s after the controller was killed")
    until(lambda: sessions_are_up(lab), 60, "sessions are up", 0.5)
    assert differences(plain(before), plain(settled(lab, HOSTS))) == {}
    assert lab.tried("hv1", "routed-hypervisor", "status")[0] == 1
    # The next run confirms, and nothing is left of it.
    run = lab.play("-e", "confirm_s=90", "--skip-tags", "verify")
    assert run.code == 0, run.output
    assert lab.tried("hv1", "routed-hypervisor", "status")[0] == 0
