"""Lab nodes that run systemd, on this machine's kernel (root; cgroup2, namespaces and overlayfs)."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from pathlib import Path

import pytest
from support.lab_nodes import lab_command, made
from support.waiting import until

from ansible_collections.routed.hypervisor.plugins.module_utils._lab import groups

N1 = {"name": "n1", "init": "systemd"}
CABLE = {"a": {"node": "n1", "interface": "eth0"}, "b": {"node": "n2", "interface": "port"}, "mtu": 1400}


def shown(result):
    assert not result.get("failed"), result["msg"]
    return [f"{change['op']} {change['name']}: {change['why']}" for change in result["changes"]]


@pytest.fixture(scope="module")
def systemd_lab(run_module_once, systemd_image):
    with made(run_module_once, systemd_image) as lab:
        yield lab


@pytest.fixture
def lab(systemd_lab):
    """n1 with systemd, n2 without, and a cable between them."""
    shown(systemd_lab.nodes(N1, "n2", state="overridden"))
    shown(systemd_lab.cables(CABLE))
    return systemd_lab


def boot_id(lab):
    return lab.run("n1", "cat", "/proc/sys/kernel/random/boot_id").strip()


def end_systemd(lab):
    (pid,) = lab.processes()["n1"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), what="systemd has ended", pause=0.005)


def test_a_node_boots_systemd_without_failed_units_and_next_to_one_without(run_module, systemd_image):
    with made(run_module, systemd_image) as lab:
        predicted = lab.nodes(N1, "n2", _check=True)
        assert lab.processes() == {} and not groups.exist(lab.name)
        result = lab.nodes(N1, "n2")
        assert shown(result) == shown(predicted) == ["create n1: it is not running", "create n2: it is not running"]
        assert list(result["booted"]) == ["n1"] and result["failed_units"] == {}
        assert lab.run("n1", "systemctl", "is-system-running") == "running\n"
        assert lab.enter("n2", "test", "-e", "/run/systemd/system").returncode == 1
        assert lab.nodes(N1, "n2")["changed"] is False
        # No daemon of the image has started by itself.
        running = lab.run(
            "n1", "systemctl", "list-units", "--type=service", "--state=running", "--plain", "--no-legend"
        )
        assert {line.split()[0] for line in running.splitlines()} <= {"systemd-journald.service", "dbus.service"}


def test_a_service_has_its_control_group_and_journal(lab):
    lab.run("n1", "systemd-run", "--unit=talker", "sh", "-c", "echo hello; exec sleep 600")
    pid = lab.run("n1", "systemctl", "show", "--value", "--property=MainPID", "talker").strip()
    assert lab.run("n1", "cat", f"/proc/{pid}/cgroup").splitlines()[-1].endswith("/system.slice/talker.service")
    until(lambda: "hello" in lab.run("n1", "journalctl", "--unit=talker", "--output=cat", "--quiet"), 10)
    # A node must not change the machine.
    assert lab.enter("n1", "sh", "-c", "echo 1 >/proc/sys/vm/swappiness").returncode != 0
    lab.run("n1", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")


def test_a_node_is_found_after_systemd_has_re_executed_itself(lab):
    lab.run("n1", "systemctl", "daemon-reexec")
    # systemctl returns a moment before.
    until(lambda: lab.enter("n1", "cat", "/proc/1/cmdline").stdout.startswith("/lib/systemd/systemd"), what="it has")
    assert lab.run("n1", "hostname") == "n1\n"
    assert lab.nodes(N1, "n2")["changed"] is False
    assert lab.nodes(state="gathered")["gathered"][0]["pid"] > 0


def test_a_reboot_keeps_files_and_cables_and_nothing_else(lab):
    lab.run(
        "n1", "sh", "-c", "touch /root/kept /run/gone; ip link add br9 type bridge; ip addr add 192.0.2.1/24 dev eth0"
    )
    lab.run("n2", "ip", "addr", "add", "192.0.2.2/24", "dev", "port")
    before, first = lab.links("n1")["eth0"], boot_id(lab)
    assert shown(lab.nodes("n1", state="rebooted", _check=True)) == ["reboot n1: to be rebooted"]
    assert boot_id(lab) == first
    result = lab.nodes("n1", state="rebooted")
    assert shown(result) == ["reboot n1: to be rebooted"] and "warnings" not in result
    assert boot_id(lab) != first
    assert lab.run("n1", "ls", "/root") == "kept\n"
    assert lab.enter("n1", "test", "-e", "/run/gone").returncode == 1
    links = lab.links("n1")
    assert list(links) == ["eth0"]
    same = ("address", "mtu", "ifalias", "group")
    assert [links["eth0"].get(key) for key in same] == [before.get(key) for key in same]
    assert "192.0.2.1" not in lab.run("n1", "ip", "addr") and "192.0.2.2" in lab.run("n2", "ip", "addr")
    # Nothing is left to do, and the cable works.
    assert lab.cables(CABLE)["changed"] is False and lab.nodes(N1, "n2")["changed"] is False
    lab.run("n1", "ip", "addr", "add", "192.0.2.1/24", "dev", "eth0")
    lab.run("n1", "ping", "-c", "1", "-W", "5", "192.0.2.2")
    # The journal has both boots.
    assert len(lab.run("n1", "journalctl", "--list-boots", "--quiet").splitlines()) >= 2


def test_a_service_that_does_not_stop_does_not_hold_up_a_reboot(lab):
    script = "trap '' TERM; touch /run/stubborn; sleep 600"
    lab.run("n1", "systemd-run", "--unit=stubborn", "--property=TimeoutStopSec=600", "sh", "-c", script)
    until(lambda: lab.enter("n1", "test", "-e", "/run/stubborn").returncode == 0, what="it ignores SIGTERM")
    result = lab.nodes("n1", state="rebooted", grace=1)
    shown(result)
    assert "node n1 did not shut down in 1 s: it was switched off" in str(result["warnings"])
    assert lab.run("n1", "systemctl", "is-system-running") == "running\n"


def test_a_failed_unit_is_named(lab):
    unit = "[Service]\nType=oneshot\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n"
    lab.run("n1", "tee", "/etc/systemd/system/broken.service", text=unit)
    lab.run("n1", "systemctl", "enable", "broken")
    result = lab.nodes("n1", state="rebooted")
    lab.run("n1", "rm", "/etc/systemd/system/multi-user.target.wants/broken.service")
    assert result["failed_units"] == {"n1": ["broken.service"]}
    assert "node n1 is up, but units have failed: broken.service" in str(result["warnings"])


def test_a_power_failure_ends_services_without_stopping_them(lab):
    stop = "--property=ExecStop=touch /root/stopped"
    lab.run("n1", "systemd-run", "--unit=careful", stop, "sleep", "600")
    result = lab.nodes("n1", state="rebooted", grace=0)
    assert shown(result) == ["reboot n1: to be rebooted"] and "warnings" not in result
    assert lab.enter("n1", "test", "-e", "/root/stopped").returncode == 1
    assert list(lab.links("n1")) == ["eth0"]


def test_a_node_whose_systemd_has_ended_is_off_and_boots_again_with_its_files(lab):
    lab.run("n1", "touch", "/root/survives")
    end_systemd(lab)
    reason = f"node n1 of lab {lab.name} is not up: its systemd has ended: make reboot NODE=n1\n"
    assert lab.enter("n1", "true").stderr == reason
    assert lab.nodes(state="gathered")["gathered"][0]["pid"] == 0
    assert "is not up" in lab.cables(CABLE)["msg"]
    assert shown(lab.nodes(N1, "n2")) == ["start n1: its systemd has ended"]
    assert lab.run("n1", "ls", "/root/survives")


def test_the_supervisor_of_a_lab_reports_that_a_node_is_off(lab):
    try:
        lab_command("up", lab.name, "--owner", lab.owner)
        assert lab_command("exec", lab.name, "n1", "hostname").stdout == "n1\n"
        end_systemd(lab)
        off = lab_command("exec", lab.name, "n1", "true", fails=True)
        assert "node n1 of lab" in off.stderr and "its systemd has ended: make reboot NODE=n1" in off.stderr
    finally:
        lab_command("down", lab.name)
    assert not groups.exist(lab.name)


def test_reboot_inside_a_node_is_refused_with_the_remedy(lab):
    refused = lab.enter("n1", "shutdown", "-r", "now")
    assert refused.returncode == 1 and "make reboot NODE=n1" in refused.stderr
    assert lab.run("n1", "systemctl", "is-system-running") == "running\n"


def test_a_node_without_systemd_is_not_rebooted(lab):
    assert "set lab.nodes.n2.init to systemd" in lab.nodes("n2", state="rebooted")["msg"]


def test_another_init_replaces_a_node(lab):
    assert shown(lab.nodes("n1", "n2", _check=True)) == ["replace n1: its init is systemd, not minimal"]
    assert lab.nodes(N1, "n2")["changed"] is False
    assert shown(lab.nodes("n1", "n2")) == ["replace n1: its init is systemd, not minimal"]
    assert lab.enter("n1", "test", "-e", "/run/systemd/system").returncode == 1


def is_running(name):
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(f"{name}\0".encode()):
                return True
    return False


@pytest.mark.parametrize("step", ["chassis", "systemd"])
def test_a_run_that_is_killed_while_a_node_boots_leaves_a_node_that_the_next_run_completes(
    run_module, systemd_image, step
):
    with made(run_module, systemd_image) as lab:
        process = lab.run_module.start("lab_nodes", **lab.arguments(N1))
        prefix = "routed-hypervisor" if step == "systemd" else "routed-hypervisor-chassis"
        begun = functools.partial(is_running, f"{prefix}:{lab.name}:n1")
        until(begun, what=step, pause=0.001)
        process.kill()
        process.communicate()
        lab.nodes(N1)
        assert lab.run("n1", "systemctl", "is-system-running") == "running\n"
        assert len(lab.processes()["n1"]) == 1
        assert lab.nodes(N1)["changed"] is False


def test_a_run_waits_for_a_systemd_that_does_not_answer_yet(run_module, systemd_image):
    with made(run_module, systemd_image) as lab:
        killed = lab.run_module.start("lab_nodes", **lab.arguments(N1))
        (systemd,) = until(lambda: lab.processes().get("n1"), what="systemd has begun", pause=0.001)
        os.kill(systemd, signal.SIGSTOP)
        killed.kill()
        killed.communicate()
        run = lab.run_module.start("lab_nodes", **lab.arguments(N1))
        until(lambda: is_running("systemctl") or run.poll() is not None, what="the run asks", pause=0.001)
        os.kill(systemd, signal.SIGCONT)
        run.communicate(timeout=60)
        assert lab.run("n1", "systemctl", "is-system-running") == "running\n"


def test_an_image_without_systemd_is_refused(lab, lab_image):
    if (lab_image / "lib/systemd/systemd").exists():
        pytest.skip("every image in the cache has systemd")
    refused = lab.nodes(N1, image=str(lab_image))
    assert "has no lib/systemd/systemd (Debian package systemd)" in refused["msg"]
