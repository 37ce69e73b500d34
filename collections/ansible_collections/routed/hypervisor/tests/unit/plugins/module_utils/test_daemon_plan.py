"""When files are replaced, and when a daemon is started, reloaded, restarted or left alone."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.daemons import with_files
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.daemon import (
    Daemon,
    DaemonError,
    record,
    recorded,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.plan import (
    Renewed,
    Seen,
    SeenFile,
    Wanted,
    WantedFile,
    plan,
    stamp,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.service import Process, Service

OURS = b"# Managed by Routed Hypervisor\nx\n"
PATH = "/etc/example.conf"
RUNNING = Process(pid=7, start=1000, started=50.0)


def wanted(content=OURS, **values):
    options = {"service": "example", "state": "started", "files": [WantedFile(PATH, content)], "can_reload": True}
    return Wanted(**{**options, **values})


def seen(content=OURS, mtime_ns=1, ctime=40.0, **values):
    old = None if content is None else SeenFile(content, 0o644, 0, 0, mtime_ns, ctime)
    options = {"files": {PATH: old}, "process": RUNNING, "stamp": {}, "indexes": {}}
    return Seen(**{**options, **values})


def stamped(**values):
    """A daemon that has loaded exactly the existing files."""
    state = seen(**values)
    return dataclasses.replace(state, stamp=stamp(wanted(), state))


def ops(want, state):
    return [change.op for change in plan(want, state)]


def test_nothing_is_done_when_the_process_has_loaded_the_file():
    assert ops(wanted(), stamped()) == []


def test_a_changed_file_is_written_and_reloaded():
    assert ops(wanted(OURS + b"y"), stamped()) == ["change", "reload"]


def test_a_daemon_that_cannot_reload_is_restarted():
    assert ops(wanted(OURS + b"y", can_reload=False), stamped()) == ["change", "restart"]


def test_a_change_of_a_file_that_a_reload_does_not_read_restarts():
    assert ops(wanted(OURS + b"y", restart_on=frozenset([PATH])), stamped()) == ["change", "restart"]


def test_a_first_run_creates_and_starts():
    assert ops(wanted(), seen(content=None, process=None)) == ["create", "start"]


def test_a_run_killed_before_the_reload_is_completed():
    state = stamped(content=b"# Managed by Routed Hypervisor\nold\n")
    after_the_kill = dataclasses.replace(state, files=seen(mtime_ns=2, ctime=60.0).files)
    assert ops(wanted(), after_the_kill) == ["reload"]


def test_a_file_that_was_edited_and_reverted_is_loaded_again():
    state = stamped()
    assert ops(wanted(), dataclasses.replace(state, files=seen(mtime_ns=2).files)) == ["reload"]


def test_a_daemon_restarted_by_others_after_the_file_was_written_is_left_alone():
    state = stamped()
    assert ops(wanted(), dataclasses.replace(state, process=Process(8, 9000, 90.0))) == []


def test_an_unknown_daemon_older_than_its_file_is_reloaded():
    assert ops(wanted(), seen(ctime=60.0)) == ["reload"]


def test_a_stopped_daemon_is_started():
    assert ops(wanted(), stamped(process=RUNNING) and seen(process=None)) == ["start"]


def test_a_replaced_interface_causes_a_restart():
    want = wanted(interfaces=("vm1",))
    state = seen(indexes={"vm1": 3})
    known = dataclasses.replace(state, stamp=stamp(want, state))
    assert ops(want, known) == []
    assert ops(want, dataclasses.replace(known, indexes={"vm1": 9})) == ["restart"]


def test_the_bound_interfaces_of_an_unknown_process_are_looked_up():
    want = wanted(interfaces=("vm1",))
    assert ops(want, seen(indexes={"vm1": 3}, bound={3, 4})) == []
    assert ops(want, seen(indexes={"vm1": 5}, bound={3, 4})) == ["restart"]


@pytest.mark.parametrize("survives_down", [True, False])
def test_an_interface_that_was_down_causes_a_restart_of_a_daemon_that_does_not_survive_it(survives_down):
    want = wanted(interfaces=("vm1",), survives_down=survives_down)
    restarts = [] if survives_down else ["restart"]
    state = seen(indexes={"vm1": 3}, bound={3}, came_up={"vm1": 900})
    assert ops(want, state) == []
    assert ops(want, dataclasses.replace(state, came_up={"vm1": 1001})) == restarts
    known = dataclasses.replace(state, stamp=stamp(want, state))
    assert ops(want, dataclasses.replace(known, came_up={"vm1": 1001})) == restarts
    down = dataclasses.replace(known, came_up={})
    assert ops(want, down) == restarts
    assert ops(want, dataclasses.replace(down, stamp=stamp(want, down))) == []


def sessions(**came_up):
    """A daemon with sessions on eth7 and from 192.0.2.1, and when these came up."""
    want = wanted(session_interfaces=("eth7",), session_addresses=("192.0.2.1",))
    return want, seen(came_up={"eth7": 900, "192.0.2.1": 900, **came_up})


def test_sessions_younger_than_their_interfaces_and_addresses_are_left_alone():
    assert ops(*sessions()) == []


@pytest.mark.parametrize(
    ("renewed", "changed"), [(Renewed(moved=frozenset({"eth7"})), True), (Renewed(moved=frozenset({"eth8"})), False)]
)
def test_check_mode_foresees_that_the_run_moves_an_interface_first(renewed, changed):
    want, state = sessions()
    known = dataclasses.replace(state, stamp=stamp(want, state))
    assert ops(want, renewed.foresee(known)) == (["refresh"] if changed else [])


def test_check_mode_foresees_that_the_run_creates_a_vrf_again_first():
    want = wanted(uses=("red",))
    state = seen(indexes={"red": 3}, came_up={"red": 900})
    known = dataclasses.replace(state, stamp=stamp(want, state))
    assert ops(want, known) == []
    [change] = plan(want, Renewed(replaced=frozenset({"red"})).foresee(known))
    assert change.op == "reload" and "interface red was created after" in str(change)


@pytest.mark.parametrize("name", ["eth7", "192.0.2.1"])
def test_sessions_older_than_their_interfaces_or_addresses_are_refreshed_once(name):
    want, state = sessions(**{name: 1001})
    [change] = plan(want, state)
    assert change.op == "refresh" and f"{name} came up after its sessions" in str(change)
    refreshed = dataclasses.replace(state, stamp=stamp(want, state))
    assert ops(want, refreshed) == []
    again = dataclasses.replace(refreshed, came_up={**refreshed.came_up, name: 2000})
    assert ops(want, again) == ["refresh"]


@pytest.mark.parametrize("name", ["eth7", "192.0.2.1"])
def test_sessions_are_refreshed_in_the_run_that_brings_back_what_they_use(name):
    """In check mode it is still missing: the run that adds it is predicted to refresh."""
    want, state = sessions()
    state = dataclasses.replace(state, came_up={key: time for key, time in state.came_up.items() if key != name})
    assert ops(want, state) == ["refresh"]


def test_a_restart_refreshes_by_itself():
    want, state = sessions(eth7=1001)
    want = dataclasses.replace(want, files=[WantedFile(PATH, OURS + b"y")], can_reload=False)
    assert ops(want, state) == ["change", "restart"]


def test_a_wrong_mode_is_repaired_without_a_reload():
    want = wanted(files=[WantedFile(PATH, OURS, mode=0o640)])
    assert ops(want, stamped()) == ["change"]


def test_absent_stops_first_and_removes_only_our_files():
    assert ops(wanted(state="absent"), seen()) == ["stop", "delete"]
    assert ops(wanted(state="absent"), seen(content=b"# mine\n")) == ["stop"]
    assert ops(wanted(state="absent"), seen(process=None, backups={PATH})) == ["restore"]


def test_stopped_writes_and_stops():
    assert ops(wanted(OURS + b"y", state="stopped"), stamped()) == ["change", "stop"]
    assert ops(wanted(state="stopped"), seen(process=None)) == []


def test_start_at_boot_is_left_alone_unless_given():
    assert ops(wanted(enabled=True), dataclasses.replace(stamped(), enabled=False)) == ["enable"]
    assert ops(wanted(enabled=False), dataclasses.replace(stamped(), enabled=False)) == []


def test_the_content_of_a_secret_file_is_masked_in_messages():
    secret = WantedFile("/etc/secrets.conf", b'define key = "s3cr3t word";\n', secret=True)
    daemon = Daemon("example", wanted(files=[secret]), Service("example"))
    masked = daemon.mask('line 1: bad text s3cr3t word near "s3cr3t word"')
    assert masked == 'line 1: bad text ******** near "********"'


def test_only_the_secret_parts_of_a_file_are_masked_including_old_secrets():
    pattern = r"neighbor \S+ password (\S+)"
    file = WantedFile("/etc/frr.conf", b"neighbor n password n\n", secret=True, secret_part=pattern)
    daemon = Daemon("example", wanted(files=[file]), Service("example"))
    assert file.shown("neighbor n password older\nhostname n\n") == "neighbor n password ********\nhostname n\n"
    assert daemon.mask("bad line: neighbor n password older") == "bad line: neighbor n password ********"
    assert dataclasses.replace(file, secret_part=None).shown("anything") == "(secret, not shown)\n"
    assert dataclasses.replace(file, secret=False, secret_part=None).shown("anything") == "anything"


def test_a_recorded_daemon_has_the_same_work_to_do_and_no_content_of_files_is_recorded():
    names = {"uses": ("red",), "session_interfaces": ("red.90",), "session_addresses": ("192.0.2.1",)}
    want = wanted(files=[WantedFile(PATH, OURS, 0o644, secret=True)], restart_on=frozenset([PATH]), **names)
    daemon = Daemon("example", want, Service("example", "/bin/true", timeout=7), reload=["a"], refresh=["b", "c"])
    text = json.dumps(record(daemon))
    assert OURS.decode().splitlines()[1] not in text.split('"')
    state = seen(indexes={"red": 7}, came_up={"red": 1, "red.90": 2000, "192.0.2.1": 1})
    same = with_files(recorded(json.loads(text)), state)
    assert same.wanted == want
    assert record(same) == record(daemon)
    [change] = plan(same.wanted, state)
    assert change == plan(want, state)[0]
    assert (change.op, change.why) == ("refresh", "red.90 came up after its sessions")


def test_a_recorded_daemon_without_one_of_its_files_is_named_with_the_remedy():
    daemon = recorded(record(Daemon("example", wanted(uses=("red",)), Service("example"))))
    with pytest.raises(DaemonError, match=rf"^example: {PATH} is missing; run site\.yml$"):
        with_files(daemon, seen(files={PATH: None}))


def test_a_daemon_that_depends_on_no_interface_is_not_recorded():
    assert record(Daemon("example", wanted(), Service("example"))) is None
    stopped = wanted(state="stopped", uses=("red",))
    assert record(Daemon("example", stopped, Service("example"))) is None
