"""The units and init scripts of the module daemon, and the services that its patterns match."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._daemon import service_file
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.others import matching
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.plan import (
    Other,
    Seen,
    Wanted,
    WantedFile,
    is_ours,
    plan,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.service import Process

FULL = service_file.Command(
    service="gobgpd-public",
    argv=("/bin/sleep", "50% of $HOME", 'a "quoted" \\ word', "plain"),
    description="GoBGP of public, 100%",
    environment=(("A", "b c"),),
    runtime_directory="routed-hypervisor-gobgp",
    vrf="public",
    prepare=("rm", "-f", "/run/x y"),
    restart_signal="KILL",
    reload=("kill", "-HUP", "{pid}"),
    files=("/etc/gobgp/public.toml",),
    cleanup=("ip", "route", "flush", "proto", "83"),
)
PLAIN = service_file.Command("x", ("/bin/true",))


@pytest.mark.parametrize("command", [FULL, PLAIN], ids=["full", "plain"])
@pytest.mark.parametrize("systemd", [True, False])
def test_both_kinds_carry_our_mark_and_list_what_belongs_to_them(command, systemd):
    text = service_file.text(command, systemd)
    assert is_ours(text.encode())
    assert service_file.notes(text) == (list(command.files), list(command.cleanup))


def test_a_mark_further_down_does_not_make_a_script_ours():
    assert not is_ours(b"#!/bin/sh\n# mine\n# Managed by Routed Hypervisor\n")
    assert not is_ours(b"# mine\n# Managed by Routed Hypervisor\n")


@pytest.mark.parametrize("command", [FULL, PLAIN], ids=["full", "plain"])
def test_a_shell_can_parse_the_script(command):
    subprocess.run(["sh", "-n"], input=service_file.init_script(command), text=True, check=True)


@pytest.mark.parametrize("command", [FULL, PLAIN], ids=["full", "plain"])
def test_systemd_can_parse_the_unit(command, tmp_path):
    if not shutil.which("systemd-analyze") or not os.path.exists(service_file.IP):
        pytest.skip("needs systemd-analyze and ip")
    unit = tmp_path / f"{command.service}.service"
    unit.write_text(service_file.unit(command))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_preserves_words():
    text = service_file.unit(FULL)
    words = r'/bin/sleep "50%% of $$HOME" "a \"quoted\" \\ word" plain'
    assert f"ExecStart=/usr/sbin/ip vrf exec public {words}\n" in text
    assert 'ExecStartPre=rm -f "/run/x y"\n' in text and "ExecReload=kill -HUP $MAINPID\n" in text
    assert "RestartKillSignal=SIGKILL\n" in text and "RestartKillSignal" not in service_file.unit(PLAIN)


def test_patterns_match_services_and_exclude_others():
    names = {"bird", "gobgpd", "gobgpd-main", "gobgpd-old", "ssh"}
    assert matching(["bird", "gobgpd-*", "!gobgpd-main"], names) == ["bird", "gobgpd-old"]
    assert matching(["!bird"], names) == []


WANTED = Wanted("gobgpd-main", "started", [WantedFile("/etc/x", b"# Managed by Routed Hypervisor\n")], True)
SEEN = Seen({"/etc/x": None}, None, {}, {})


def steps(wanted, seen):
    return [(change.op, change.name) for change in plan(wanted, seen)]


def test_other_services_stop_after_the_files_are_written_and_before_the_start():
    SEEN.others = [Other("bird", runs=True, enabled=True)]
    assert steps(WANTED, SEEN) == [
        ("create", "/etc/x"),
        ("stop", "bird"),
        ("disable", "bird"),
        ("start", "gobgpd-main"),
    ]


def test_another_service_of_ours_is_removed_with_everything_that_belongs_to_it():
    old = Other("old", True, False, ("/etc/old", "/etc/init.d/old"), frozenset(["/etc/old"]), ("true",))
    SEEN.others = [old]
    assert steps(WANTED, SEEN)[1:-1] == [
        ("stop", "old"),
        ("clean up", "old"),
        ("restore", "/etc/old"),
        ("delete", "/etc/init.d/old"),
    ]


def test_a_service_that_is_not_to_run_stops_no_others():
    for state in ("stopped", "absent"):
        wanted = Wanted("gobgpd-main", state, [], True)
        seen = Seen({}, Process(1, 2, 3.0), {}, {}, others=[Other("bird", runs=True, enabled=True)])
        assert steps(wanted, seen) == [("stop", "gobgpd-main")]
