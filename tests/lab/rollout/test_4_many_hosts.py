"""Ten times as many hosts as forks: each waits for others in every task, and none rolls itself back."""

from __future__ import annotations

import json
import threading

import pytest
import yaml

pytestmark = pytest.mark.long
HOSTS = [f"hv{number}" for number in range(1, 21)]
STATE = "/var/lib/routed-hypervisor"
FORKS = 2
INTENT = {
    "plugin": "routed.hypervisor.fabric",
    "name": "many",
    "lab": {"nodes": {host: {"init": "systemd"} for host in HOSTS}},
    "bgp": {"as": 65000},
    "vrfs": {"main": {}},
    "fabrics": {"A": {"networks": {"main": {"ipv4": "10.9.0.0/24", "hypervisors": {"ipv4": "10.9.0.0"}}}}},
    "reflectors": {"rr1": {"fabric": "A", "addresses": {"main": {"ipv4": "10.9.0.250"}}}},
    "hypervisors": {host: {"id": number} for number, host in enumerate(HOSTS, start=1)},
}


@pytest.fixture(scope="module")
def many(bring_up):
    return bring_up(
        "l3_hypervisor", "--skip-tags", "verify", name="many", edit=lambda _: yaml.safe_dump(INTENT, sort_keys=False)
    )


class Waiting(threading.Thread):
    """The longest time that the first host, while it is armed, has waited for its next step."""

    def __init__(self, lab):
        super().__init__()
        self.lab, self.ended, self.longest_s = lab, threading.Event(), 0.0
        self.start()

    def run(self):
        while not self.ended.wait(0.5):
            code, text, _ = self.lab.tried(HOSTS[0], "cat", "/proc/uptime", f"{STATE}/armed/deadline")
            if code == 0:
                uptime, deadline = text.split("\n")
                given = json.loads(deadline)
                self.longest_s = max(self.longest_s, float(uptime.split()[0]) - given["ends"] + given["seconds"])


def change(lab, hold_s: int) -> None:
    """Sessions begin anew with another hold time, so that the verification of each host takes a while."""
    intent = yaml.safe_load(lab.intent.read_text())
    intent["bgp"]["timers"] = {"hold_s": hold_s, "keepalive_s": 3}
    lab.intent.write_text(yaml.safe_dump(intent, sort_keys=False))


# Seconds that one host needs for a stage, and fewer than all of them need together. A rollout waits for sessions, too.
@pytest.mark.parametrize(
    ("playbook", "confirm_s", "hold_s"),
    [("site.yml", 8, 30), ("playbooks/rollout.yml", 20, 60)],
    ids=["run", "rollout"],
)
def test_none_rolls_itself_back(many, playbook, confirm_s, hold_s):
    change(many, hold_s)
    waiting = Waiting(many)
    try:
        run = many.play(
            "-f", str(FORKS), "-e", f"confirm_s={confirm_s}", "-e", "rollout_serial=100%", playbook=playbook
        )
    finally:
        waiting.ended.set()
        waiting.join()
    print(f"{playbook}: the first host has waited {waiting.longest_s:.0f} s for its next step")
    assert run.code == 0, run.output[-8000:]
    assert waiting.longest_s > confirm_s
    for host in HOSTS:
        assert f"hold time {hold_s};" in many.run(host, "cat", "/etc/bird/bird.conf"), host
        assert not {"armed", "rolled-back"} & set(many.run(host, "ls", STATE).split()), host
