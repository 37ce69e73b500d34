"""The role agent in a lab node without systemd: its service comes, takes over from an earlier one, stays and goes."""

from __future__ import annotations

import pytest
from support import ansible_runs
from support.routing_lab import settings
from support.waiting import until

SETTINGS = settings("/run/routed-hypervisor-gobgp/main.sock")
PLAY = {"hosts": "all", "gather_facts": False, "tasks": [{"include_role": {"name": "agent"}}]}
FILES = ("/etc/init.d/{}", "/run/{}.pid")
EARLIER, NOW = "routed-hypervisor-routes", "routed-hypervisor-run"
PROGRAM, CONFIG = f"/usr/local/sbin/{EARLIER}", "/etc/routed-hypervisor/routing_manager.json"
MARK = "Managed by Routed Hypervisor (role routing_manager): changes made here are overwritten."
# What the role routing_manager made, with another program.
EARLIER_PLAY = {
    "hosts": "all",
    "gather_facts": False,
    "tasks": [
        {
            "routed.hypervisor.daemon": {
                "name": EARLIER,
                "command": ["sleep", "1000000"],
                "files": [
                    {"path": PROGRAM, "mode": "0755", "content": f"#!/bin/sh\n# {MARK}\n"},
                    {"path": CONFIG, "content": f'{{"comment": "{MARK}"}}\n'},
                ],
                "cleanup": ["ip", "route", "flush", "table", "all", "proto", "84"],
                "enabled": True,
            }
        },
        {"ansible.builtin.command": "ip link set lo up"},
        {"ansible.builtin.command": "ip route add 10.1.0.0/16 dev lo proto 83 metric 4096"},
        {"ansible.builtin.command": "ip route add 10.20.2.9 dev lo proto 84 metric 32"},
    ],
}


@pytest.fixture
def play(lab, tmp_path):
    """Runs the role with settings in node n1; returns the node's change count. `check` is check mode."""
    lab.nodes("n1")

    def run(given, *, check=False):
        groups = {"routers": {"n1": {"network": {}, **({"routing_manager": given} if given else {})}}}
        return ansible_runs.changed(ansible_runs.play(lab, tmp_path, groups, PLAY, *(["--check"] if check else [])))

    return run


def pid(lab):
    return lab.enter("n1", "cat", f"/run/{NOW}.pid").stdout.strip()


def log(lab):
    return lab.enter("n1", "cat", f"/var/log/{NOW}.log").stdout


def there(lab, *paths):
    return [path for path in paths if lab.enter("n1", "test", "-e", path).returncode == 0]


def routes(lab, protocol):
    return lab.enter("n1", "ip", "route", "show", "table", "all", "proto", str(protocol)).stdout.split()[:1]


def test_the_service_comes_stays_gets_new_settings_and_goes(play, lab):
    assert play(SETTINGS, check=True) == 1
    assert play(SETTINGS) == 1
    first = pid(lab)
    until(lambda: "following GoBGP for table 254 (main)" in log(lab), 20)
    status = lab.enter("n1", "routed-hypervisor", "status")
    assert status.returncode == 1
    assert "gobgpd does not answer at /run/routed-hypervisor-gobgp/main.sock" in status.stdout
    assert "not running" not in status.stdout
    assert play(SETTINGS) == 0
    assert play(SETTINGS, check=True) == 0
    since = len(log(lab))
    assert play({**SETTINGS, "stale_s": 60}) == 1
    until(lambda: "following GoBGP for table 254 (main)" in log(lab)[since:], 20)
    assert pid(lab) == first, "new settings need no restart"
    lab.enter("n1", "kill", "-9", first)
    ended = "routed-hypervisor-run is not running"
    until(lambda: ended in lab.enter("n1", "routed-hypervisor", "status").stdout, what="the end of the process")
    assert play({**SETTINGS, "stale_s": 60}) == 1
    assert pid(lab) != first
    assert play({}) == 1
    assert there(lab, *(path.format(NOW) for path in FILES)) == []
    assert lab.enter("n1", "pgrep", "-f", "routed-hypervisor run").returncode == 1
    assert play({}) == 0


def test_the_service_of_an_earlier_version_goes_and_its_routes_stay(play, lab, tmp_path):
    ansible_runs.changed(ansible_runs.play(lab, tmp_path, {"routers": {"n1": {}}}, EARLIER_PLAY))
    before = there(lab, *(path.format(EARLIER) for path in FILES), PROGRAM, CONFIG)
    assert len(before) == 4
    assert play(SETTINGS, check=True) == 1
    assert there(lab, *before) == before
    assert play(SETTINGS) == 1
    assert there(lab, *before, "/etc/routed-hypervisor") == []
    until(lambda: "following GoBGP for table 254 (main)" in log(lab), 20)
    assert routes(lab, 83) == ["10.1.0.0/16"], "GoBGP may still have it"
    until(lambda: not routes(lab, 84), 20, "the route to a container that does not exist is removed")
    assert play({}) == 1
    assert not routes(lab, 83)
