"""Lab nodes on this machine's kernel (root; namespaces and overlayfs, no module)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support.waiting import until

from ansible_collections.routed.hypervisor.plugins.module_utils._lab.node import Node, stop_nodes


def shown(result):
    return [f"{change['op']} {change['name']}: {change['why']}" for change in result["changes"]]


def test_nodes_are_machines_of_their_own(lab):
    result = lab.nodes("n1", "n2")
    assert shown(result) == ["create n1: it is not running", "create n2: it is not running"]
    assert sorted(lab.processes()) == ["n1", "n2"]
    assert lab.enter("n1", "hostname").stdout == "n1\n"
    assert [link["operstate"] for link in lab.ip("n1", "link")] == ["UNKNOWN"]
    assert lab.ip("n1", "addr")[0]["addr_info"][0]["local"] == "127.0.0.1"
    script = "echo 1 >/proc/sys/net/ipv4/ip_forward && echo x >/etc/x && ls /sys/class/net && echo ok >/dev/null && tty"
    assert lab.enter("n1", "sh", "-c", script).stdout.split() == ["lo", "not", "a", "tty"]
    assert lab.enter("n2", "cat", "/etc/x", "/proc/sys/net/ipv4/ip_forward").returncode == 1
    assert not (Path(lab.image) / "etc/x").exists()


def test_a_node_holds_nothing_of_the_run_that_made_it(lab):
    lab.nodes("n1")
    (pid,) = lab.processes()["n1"]
    held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert {target for target in held if not target.startswith("anon_inode:")} == {"/dev/null"}
    assert os.getsid(pid) == pid
    mounts = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    assert sorted(line.split()[4] for line in mounts) == sorted(
        ["/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/run", str(lab.directory)]
    )


def test_devices_are_open_to_all(lab):
    lab.nodes("n1")
    assert lab.enter("n1", "stat", "-c", "%a", "/dev/null", "/dev/urandom", "/dev/tty").stdout.split() == ["666"] * 3
    assert lab.enter("n1", "sh", "-c", "echo x >/dev/shm/x && head -c 4 /dev/urandom | wc -c").stdout == "4\n"


def test_the_exchange_directory_is_shared(lab):
    lab.nodes("n1")
    (lab.directory / "tmp/from-host").write_text("hello")
    assert lab.enter("n1", "cat", f"{lab.directory}/tmp/from-host").stdout == "hello"
    assert (lab.directory / "tmp").stat().st_mode & 0o777 == 0o700


def test_a_second_run_changes_nothing(lab):
    lab.nodes("n1", "n2")
    before = lab.processes()
    assert not lab.nodes("n1", "n2")["changed"]
    assert lab.processes() == before


def test_check_mode_tells_what_a_run_does_and_does_nothing(lab):
    predicted = lab.nodes("n1", "n2", _check=True, _diff=True)
    assert lab.processes() == {} and not lab.directory.exists()
    done = lab.nodes("n1", "n2", _diff=True)
    assert {key: predicted[key] for key in ("before", "after", "changes", "diff", "changed")} == {
        key: done[key] for key in ("before", "after", "changes", "diff", "changed")
    }
    assert shown(lab.nodes("n1", state="overridden", _check=True)) == ["delete n2: not listed"]
    assert sorted(lab.processes()) == ["n1", "n2"]


def test_overridden_removes_what_is_not_listed(lab):
    lab.nodes("n1", "n2")
    kept = lab.processes()["n1"]
    assert lab.nodes("n1", "n3", state="overridden")["after"] == [
        {"name": "n1", "image": lab.image, "init": "minimal"},
        {"name": "n3", "image": lab.image, "init": "minimal"},
    ]
    assert sorted(lab.processes()) == ["n1", "n3"] and lab.processes()["n1"] == kept
    assert sorted(path.name for path in (lab.directory / "nodes").iterdir()) == ["n1.pid", "n3.pid"]


def test_deleted_twice(lab):
    lab.nodes("n1", "n2")
    daemon = subprocess.Popen([lab.directory / "enter", "n1", "sleep", "600"])
    assert shown(lab.nodes("n2", state="deleted")) == ["delete n2: to be deleted"]
    assert lab.nodes(state="deleted")["changed"]
    assert daemon.wait(timeout=30) != 0
    assert lab.processes() == {} and not lab.directory.exists()
    assert not lab.nodes(state="deleted")["changed"]


def test_gathered_tells_pid_image_and_owner(lab):
    lab.nodes("n1")
    (pid,) = lab.processes()["n1"]
    gathered = lab.nodes(state="gathered")["gathered"]
    assert gathered == [{"name": "n1", "pid": pid, "image": lab.image, "owner": lab.owner, "init": "minimal"}]


def killed_run(lab, names, nodes_seen):
    """Kills a run after so many nodes, and returns what it leaves, which may be all."""
    had = len(lab.processes())
    process = lab.run_module.start("lab_nodes", **lab.arguments(*names))
    children = set()
    listing = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def far_enough():
        children.update(map(int, listing.read_text().split()))
        seen = len(lab.processes())
        return seen == len(names) or (len(children) > nodes_seen and seen >= had + nodes_seen)

    until(far_enough, what="the first nodes", pause=0.005)
    os.kill(process.pid, signal.SIGSTOP)
    children.update(map(int, listing.read_text().split()))
    process.kill()
    process.communicate()

    def settled():
        whole = {pid for pids in lab.processes().values() for pid in pids}
        return all(pid in whole or not Path(f"/proc/{pid}").exists() for pid in children)

    until(settled, what="half-made nodes are gone", pause=0.005)
    return lab.processes()


@pytest.mark.parametrize("nodes_seen", [0, 1, 12])
def test_a_killed_run_leaves_whole_nodes_or_nothing_and_the_next_completes_it(lab, nodes_seen):
    names, some = [], {}
    while len(some) == len(names):  # so fast was the run, or so slow this test: more nodes take longer
        names += [f"n{number}" for number in range(len(names), len(names) + 40)]
        some = killed_run(lab, names, nodes_seen)
    result = lab.nodes(*names)
    assert len(result["changes"]) == len(names) - len(some)
    assert sorted(lab.processes()) == sorted(names)
    assert all(len(pids) == 1 for pids in lab.processes().values())
    assert lab.enter("n39", "hostname").stdout == "n39\n"


def test_a_lab_of_another_owner_is_refused(lab):
    lab.nodes("n1")
    for state in ("merged", "overridden", "deleted"):
        result = lab.nodes("n2", state=state, owner="/srv/inventories/other")
        assert result["failed"]
        assert "belongs to another inventory, /srv/inventories/test" in result["msg"]
        assert "playbooks/down.yml" in result["msg"]
    assert sorted(lab.processes()) == ["n1"]


def test_a_node_on_an_outdated_image_is_replaced(lab, tmp_path):
    newer = tmp_path / "image, with: odd name"
    newer.mkdir()
    for name in ("bin", "sbin", "lib", "lib64"):
        (newer / name).symlink_to(f"usr/{name}")
    for name in ("usr", "proc", "sys", "dev", "run", "tmp", "etc"):
        (newer / name).mkdir()
    lab.nodes("n1")
    old = lab.processes()["n1"]
    for directory in ("usr/bin", "usr/lib", "usr/lib64"):
        (newer / directory).mkdir(exist_ok=True)
    shutil.copy(f"{lab.image}/usr/bin/catatonit", newer / "usr/bin")
    result = lab.nodes("n1", image=str(newer))
    assert shown(result) == [f"replace n1: its image is {lab.image}, not {newer}"]
    assert lab.processes()["n1"] != old and len(lab.processes()["n1"]) == 1
    assert lab.nodes("n1", image=str(newer))["changed"] is False


def test_a_process_that_got_the_number_of_a_node_is_not_hit(lab):
    lab.nodes("n1")
    other = subprocess.Popen(["sleep", "600"])
    try:
        assert stop_nodes(lab.name, [Node("n1", other.pid, lab.image, lab.owner)], 5) == []
        assert other.poll() is None
        # The PID file is a hint: a stale one is seen through, by the script as by the module.
        (lab.directory / "nodes/n1.pid").write_text(f"{other.pid}\n")
        assert lab.enter("n1", "hostname").stdout == "n1\n"
        assert lab.nodes("n1")["changed"] is False
    finally:
        other.kill()
        other.wait()


def test_a_process_that_only_looks_like_a_node_is_not_one(lab):
    imitation = subprocess.Popen([f"routed-hypervisor:{lab.name}:n1", "600"], executable="/bin/sleep")
    try:
        assert lab.nodes(state="gathered")["gathered"] == []
        assert lab.nodes(state="deleted")["changed"] is False
        assert imitation.poll() is None
    finally:
        imitation.kill()
        imitation.wait()


def test_a_node_that_was_killed_comes_back(lab):
    lab.nodes("n1", "n2")
    (pid,) = lab.processes()["n1"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: "n1" not in lab.processes(), what="the node is gone", pause=0.005)
    said = lab.enter("n1", "true")
    assert said.returncode == 125
    assert said.stderr == f"node n1 of lab {lab.name} is not up: bring the lab up first\n"
    assert shown(lab.nodes("n1", "n2")) == ["create n1: it is not running"]


def test_enter_passes_on_arguments_input_and_exit_code(lab):
    lab.nodes("n1")
    command = [lab.directory / "enter", "n1", "sh", "-c", 'cat; echo "$1" "$HOME"; exit 7', "x", "a  b"]
    result = subprocess.run(command, input="in\n", capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (7, "in\na  b /root\n")


def test_mistakes_are_refused_all_at_once_before_anything_is_touched(lab):
    result = lab.nodes("n1", "n 2", "n1", image="/nonexistent")
    assert result["failed"] and len(result["msg"].splitlines()) == 3
    assert lab.processes() == {} and not lab.directory.exists()


def test_in_check_mode_an_image_may_be_built_later(lab):
    lab.nodes("n1")
    result = lab.nodes("n1", image="/nonexistent", _check=True)
    assert shown(result) == [f"replace n1: its image is {lab.image}, not /nonexistent"]


def test_an_image_without_catatonit_is_refused(lab, tmp_path):
    assert "has no usr/bin/catatonit (Debian package catatonit)" in lab.nodes("n1", image=str(tmp_path))["msg"]


def test_a_node_that_cannot_be_made_is_named_with_the_reason(lab, tmp_path):
    # An image with nothing but the one file that is looked for before.
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/catatonit").symlink_to("/bin/true")
    result = lab.nodes("n1", "n2", image=str(tmp_path))
    assert result["failed"] and result["after"] == [] and result["changed"] is False
    for line, name in zip(sorted(result["msg"].splitlines()), ("n1", "n2"), strict=True):
        assert line.startswith(f"node {name}: cannot create its file system: mount proc on") and "No such file" in line
    assert lab.processes() == {}


def test_two_runs_at_once_make_each_node_once(lab):
    names = [f"n{number}" for number in range(10)]
    runs = [lab.run_module.start("lab_nodes", **lab.arguments(*names)) for _ in range(2)]
    for process in runs:
        assert '"failed"' not in process.communicate(timeout=60)[0]
    assert sorted(lab.processes()) == sorted(names)
    assert all(len(pids) == 1 for pids in lab.processes().values())
