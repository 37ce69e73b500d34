"""Module daemon against a real systemd: this machine's own program as the first process of namespaces of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from support.modules import library
from support.waiting import until

SYSTEMD = "/lib/systemd/systemd"
HEADER = "# Managed by Routed Hypervisor, for a test\n"
# A copy of this machine's files that is thrown away, without its services and with nothing of its kernel to write to.
BOOT = """
mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir upper work root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" root
mount -t proc proc root/proc
mount --bind root/proc/sys root/proc/sys
mount -o remount,ro,bind root/proc/sys
mount -t sysfs sysfs root/sys
mount -t tmpfs tmpfs root/sys/fs/cgroup
mount -t cgroup2 cgroup2 root/sys/fs/cgroup
cp "$2"/usr/bin/gobgp "$2"/usr/bin/gobgpd root/usr/local/bin/
mkdir root/library && mount --bind "$3" root/library
for directory in run tmp dev; do mount -t tmpfs tmpfs "root/$directory"; done
for device in null zero random urandom; do
  touch "root/dev/$device" && mount --bind "/dev/$device" "root/dev/$device"
done
rm -rf root/lib/systemd/system/*.wants/* root/etc/systemd/system/*
printf '[Unit]\\nWants=systemd-journald.service\\n' >root/etc/systemd/system/test.target
cd root && mkdir old && pivot_root . old && umount -l old
# As on a real machine: what is mounted later is seen in the namespaces of services, too.
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=test.target
"""


class Machine:
    def __init__(self, pid: int):
        self.pid = pid

    def run(self, *argv: str, text: str | None = None) -> str:
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--all", *argv],
            input=text,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    def module(self, _check: bool = False, **args) -> dict:
        internal = {"_ansible_check_mode": _check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
        output = self.run(
            *("env", "PYTHONPATH=/library", "PYTHONDONTWRITEBYTECODE=1", "/usr/bin/python3"),
            *("-m", "ansible_collections.routed.hypervisor.plugins.modules.daemon"),
            text=json.dumps({"ANSIBLE_MODULE_ARGS": {**args, **internal}}),
        )
        assert "{" in output, output
        return json.loads(output[output.index("{") :])


@pytest.fixture
def machine(lab_image, tmp_path):
    if os.geteuid() != 0 or not Path(SYSTEMD).exists():
        pytest.skip("needs root and systemd")
    copy = library(tmp_path / "library")
    place = tmp_path / "machine"
    place.mkdir()
    names = ["--pid", "--mount", "--net", "--uts", "--ipc", "--cgroup"]
    script = ["sh", "-e", "-c", BOOT, "sh", place, lab_image, copy]
    with subprocess.Popen(
        ["unshare", *names, "--fork", "--kill-child", *script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield booted(process)
        finally:
            process.kill()


def booted(process: subprocess.Popen) -> Machine:
    def machine() -> Machine | None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children and "systemd" in os.readlink(f"/proc/{children[0]}/exe"):
            found = Machine(int(children[0]))
            if found.run("systemctl", "is-system-running").strip() == "running":
                return found
        return None

    with contextlib.suppress(AssertionError):
        until(lambda: process.poll() is not None or machine(), 20, "systemd is running", 0.1)
        if process.poll() is None and (found := machine()):
            return found
    process.kill()
    pytest.skip(f"systemd cannot run here: {process.stdout.read().decode(errors='replace')[-500:]}")


def actions(result: dict) -> list[str]:
    assert not result.get("failed"), result
    return [f"{change['op']} {change['name'].rpartition('/')[2]}" for change in result["changes"]]


def gobgpd(name: str, text: str = "", **more) -> dict:
    path, socket = f"/etc/gobgp/{name}.toml", f"unix:///run/test-gobgp/{name}.sock"
    conf = HEADER + f'[global.config]\n  as = 64512\n  router-id = "192.0.2.1"\n  port = -1\n{text}'
    return {
        "name": f"gobgpd-{name}",
        "command": ["gobgpd", "-f", path, "-p", "--pprof-disable", f"--api-hosts={socket}"],
        "runtime_directory": "test-gobgp",
        "prepare": ["rm", "-f", socket.removeprefix("unix://")],
        "files": [{"path": path, "content": conf}],
        "reload": ["kill", "-HUP", "{pid}"],
        "ready": ["gobgp", "--target", socket, "global"],
        "enabled": True,
        **more,
    }


def shown(machine: Machine, name: str, what: str) -> str:
    return machine.run("systemctl", "show", "--value", "--property", what, name).strip()


def test_a_unit_through_its_whole_life(machine):
    first = ["create a.toml", "create gobgpd-a.service", "start gobgpd-a", "enable gobgpd-a"]
    assert actions(machine.module(_check=True, **gobgpd("a"))) == first
    assert actions(machine.module(**gobgpd("a"))) == first
    assert actions(machine.module(**gobgpd("a"))) == []
    actions(machine.module(**gobgpd("b")))
    pid = shown(machine, "gobgpd-a", "MainPID")
    assert machine.run("systemctl", "is-enabled", "gobgpd-a").strip() == "enabled"
    assert machine.run("stat", "-c", "%a %U", "/run/test-gobgp").strip() == "750 root"

    # Loaded by the running process, by us or by a person.
    neighbor = '[[neighbors]]\n  [neighbors.config]\n    neighbor-address = "192.0.2.7"\n    peer-as = 64513\n'
    assert actions(machine.module(**gobgpd("a", neighbor))) == ["change a.toml", "reload gobgpd-a"]
    assert machine.run("systemctl", "reload", "gobgpd-a") == ""
    ask = ("gobgp", "--target", "unix:///run/test-gobgp/a.sock", "neighbor")
    until(lambda: "192.0.2.7" in machine.run(*ask), what="the neighbor of the new file")
    assert shown(machine, "gobgpd-a", "MainPID") == pid
    more = {"text": neighbor, "description": "100% of it", "restart_signal": "KILL"}
    assert actions(machine.module(**gobgpd("a", **more))) == ["change gobgpd-a.service", "restart gobgpd-a"]
    assert shown(machine, "gobgpd-a", "Description") == "100% of it"

    # Killed, it comes back with its API although its old socket lies there, and nothing is left for us to do.
    machine.run("systemctl", "kill", "--signal=KILL", "gobgpd-a")
    until(lambda: shown(machine, "gobgpd-a", "MainPID") not in ("0", pid) and "192.0.2.7" in machine.run(*ask))
    assert actions(machine.module(**gobgpd("a", **more))) == []

    # One that has to go takes nothing of the other with it.
    switch = gobgpd("c", stops=["gobgpd-*", "!gobgpd-b"])
    assert actions(machine.module(**switch)) == [
        *("create c.toml", "create gobgpd-c.service"),
        *("stop gobgpd-a", "disable gobgpd-a", "delete a.toml", "delete gobgpd-a.service"),
        *("start gobgpd-c", "enable gobgpd-c"),
    ]
    assert actions(machine.module(**switch)) == []
    assert "Router-ID" in machine.run("gobgp", "--target", "unix:///run/test-gobgp/b.sock", "global")
    for name in ("gobgpd-b", "gobgpd-c"):
        machine.module(name=name, state="absent")
        assert actions(machine.module(name=name, state="absent")) == []
    assert machine.run("sh", "-c", "ls -A /etc/gobgp; ls /etc/systemd/system") == "test.target\n"
    assert "gobgpd" not in machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend")


def test_words_of_a_command_arrive_as_they_are(machine):
    odd = "two words, 50% of $HOME, 'single', \"double\" and \\"
    argv = ["/bin/sh", "-c", 'printf "%s\\n%s\\n" "$1" "$ODD"; exec sleep 600', "sh", odd]
    actions(machine.module(name="echo", command=argv, environment={"ODD": odd}))
    until(lambda: f"{odd}\n{odd}\n" in machine.run("journalctl", "--unit=echo", "--output=cat", "--quiet"), 10)


def test_a_command_that_ends_at_once_gives_its_last_words_and_can_be_removed(machine):
    command = ["sh", "-c", "echo I cannot work like this; exit 3"]
    result = machine.module(name="moody", command=command, timeout=2)
    assert result["failed"] and "I cannot work like this" in result["msg"]
    assert actions(machine.module(name="moody", state="absent"))[-1] == "delete moody.service"
    assert "moody" not in machine.run("systemctl", "list-units", "--plain", "--no-legend")


@pytest.mark.parametrize("by_hand", [False, True], ids=["stopped by the module", "stopped before"])
def test_a_removed_service_that_ends_badly_leaves_no_failed_unit(machine, by_hand):
    command = ["sh", "-c", "trap 'exit 3' TERM; touch /run/trapped; while :; do sleep 0.1; done"]
    actions(machine.module(name="moody", command=command, ready=["test", "-e", "/run/trapped"]))
    if by_hand:
        machine.run("systemctl", "stop", "moody")
        assert shown(machine, "moody", "ActiveState") == "failed"
    assert actions(machine.module(name="moody", state="absent"))[-1] == "delete moody.service"
    assert "moody" not in machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend")
    assert machine.run("systemctl", "is-system-running").strip() == "running"


SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: quitter
# Default-Start: 2 3 4 5
# Default-Stop:
### END INIT INFO
exit 0
"""


def test_why_a_service_does_not_run_is_told_apart(machine):
    """Masked, missing, killed, and active for systemd although it has ended."""
    machine.run("sh", "-c", "cat >/etc/systemd/system/plain.service", text="[Service]\nExecStart=/bin/sleep 600\n")
    machine.run("systemctl", "daemon-reload")

    def why() -> list[str]:
        changes = machine.module(_check=True, name="plain", executable="/bin/sleep")["changes"]
        return [change["why"] for change in changes if change["op"] == "start"]

    assert why() == ["it is not running"]
    for number, reason in ("SEGV", "it was killed by SIGSEGV"), ("KILL", "it was killed by SIGKILL"):
        actions(machine.module(name="plain", executable="/bin/sleep"))
        machine.run("systemctl", "kill", f"--signal={number}", "plain")
        until(lambda reason=reason: why() == [reason], what=reason)
    machine.run("systemctl", "reset-failed", "plain")

    missing = machine.module(_check=True, name="quitter", executable="/bin/true")
    assert missing["msg"] == "quitter: there is no unit quitter.service"
    machine.run("sh", "-c", "cat >/etc/init.d/quitter; chmod +x /etc/init.d/quitter", text=SCRIPT)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "quitter")
    [change] = machine.module(_check=True, name="quitter", executable="/bin/true")["changes"]
    assert change["why"] == "it has ended, although systemd shows it as active (exited)"
    machine.run("systemctl", "mask", "quitter")
    masked = machine.module(_check=True, name="quitter", executable="/bin/true")
    assert masked["msg"] == "quitter: unit quitter.service is masked: run `systemctl unmask quitter`"


def test_a_service_sees_namespaces_that_come_and_go_after_its_start(machine):
    actions(machine.module(name="sleeper", command=["sleep", "600"]))
    pid = shown(machine, "sleeper", "MainPID")
    seen = ["nsenter", "--target", pid, "--mount", "stat", "--file-system", "--format=%T", "/run/netns/container"]
    machine.run("ip", "netns", "add", "container")
    assert machine.run(*seen).strip() == "nsfs"
    # Held by nobody else, it is gone with its name.
    assert machine.run("ip", "netns", "delete", "container") == ""
    assert "No such file" in machine.run(*seen)
