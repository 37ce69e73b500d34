"""The role routing_manager in a lab node: the service runs, a second run changes nothing, and it goes again."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from support import ansible_runs
from support.modules import PROJECT

SETTINGS = {
    "namespaces": ["/run/netns"],
    "instances": [
        {
            "name": "main",
            "api": "/run/routed-hypervisor-gobgp/main.sock",
            "vrf": None,
            "table": 254,
            "families": ["ipv4", "ipv6"],
            "local_addresses": {"ipv4": ["192.0.2.1"], "ipv6": []},
            "prefsrc": {"ipv4": None, "ipv6": None},
            "announce": [{"prefix": "10.10.1.0/24", "longest": 32}],
            "networks": [{"name": "web", "prefixes": ["10.20.1.0/24"], "interface": None}],
        }
    ],
}
TASKS = [
    {"include_role": {"name": "routing_manager"}, "when": "routing_manager | length > 0"},
    # As other daemons have it removed, by `stops`.
    {
        "routed.hypervisor.daemon": {"name": "routed-hypervisor-routes", "state": "absent"},
        "when": "routing_manager | length == 0",
    },
]
PLAY = {"hosts": "all", "gather_facts": False, "tasks": TASKS}


@pytest.fixture
def play(lab, tmp_path):
    """Runs the role with settings in node n1; returns the node's change count. `check` is check mode."""
    lab.nodes("n1")

    def run(settings, *, check=False):
        groups = {"routers": {"n1": {"routing_manager": settings}}}
        return ansible_runs.changed(ansible_runs.play(lab, tmp_path, groups, PLAY, *(["--check"] if check else [])))

    return run


def pid(lab):
    return lab.enter("n1", "cat", "/run/routed-hypervisor-routes.pid").stdout.strip()


def log(lab):
    return lab.enter("n1", "cat", "/var/log/routed-hypervisor-routes.log").stdout


def test_the_service_comes_stays_reloads_and_goes(play, lab):
    assert play(SETTINGS, check=True) == 1
    assert play(SETTINGS) == 1
    first = pid(lab)
    assert "started for table 254 (main)" in log(lab)
    status = lab.enter("n1", "routed-hypervisor-routes", "status")
    assert status.returncode == 1
    assert "gobgpd does not answer at /run/routed-hypervisor-gobgp/main.sock" in status.stdout
    assert play(SETTINGS) == 0
    assert play(SETTINGS, check=True) == 0
    assert play({**SETTINGS, "stale_s": 60}) == 1
    assert pid(lab) == first, "a new configuration needs no restart"
    assert "reloading the configuration" in log(lab)
    assert play({}) == 1
    assert lab.enter("n1", "pgrep", "-f", "routing_manager").returncode == 1
    assert lab.enter("n1", "ls", "/usr/local/sbin/routed-hypervisor-routes").returncode != 0
    assert lab.enter("n1", "ls", "/usr/local/lib/routed-hypervisor/routing_manager/plan.py").returncode != 0
    assert play({}) == 0


def listed():
    return yaml.safe_load((PROJECT / "roles/routing_manager/vars/main.yml").read_text())["routing_manager_modules"]


def test_the_list_of_modules_is_complete():
    there = (PROJECT / "roles/routing_manager/files/routing_manager").glob("*.py")
    assert [name for name in listed() if "/" not in name] == sorted(path.name for path in there)


def test_the_listed_files_need_nothing_but_python(tmp_path):
    for name in listed():
        target = tmp_path / "routing_manager" / name
        target.parent.mkdir(exist_ok=True, parents=True)
        target.write_bytes((PROJECT / "roles/routing_manager/files/routing_manager" / name).read_bytes())
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import routing_manager.__main__"
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
