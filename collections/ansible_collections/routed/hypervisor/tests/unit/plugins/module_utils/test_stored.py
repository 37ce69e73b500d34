# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stored state of a host: its format, its damage, its versions, and how it is replaced."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import stored as states

MACHINE = states.Machine("a" * 32, "hv1")
NETWORK = {"vrfs": [{"name": "public", "table": 90}], "routes": []}
TABLE = {"table": "routed_hypervisor", "text": "# Managed by Routed Hypervisor\n", "required": True}
STATE = states.Stored("hv1", MACHINE, NETWORK, [TABLE])
OTHER = dataclasses.replace(STATE, network={"vrfs": []})


def written(version: int, content: dict) -> bytes:
    body = json.dumps(content).encode()
    return b"routed-hypervisor-state %d sha256:%s\n%s" % (version, states.digest(body).encode(), body)


def test_a_state_is_read_as_it_was_written():
    assert states.decode(states.encode(STATE)) == STATE


def test_the_same_state_has_the_same_bytes():
    turned = dataclasses.replace(STATE, network=dict(reversed(NETWORK.items())))
    assert states.encode(turned) == states.encode(STATE)


def test_a_file_cut_off_anywhere_is_damaged():
    data = states.encode(STATE)
    for length in range(len(data)):
        with pytest.raises(states.Corrupt):
            states.decode(data[:length])


def test_a_changed_byte_is_never_applied():
    data = states.encode(STATE)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(states.Unusable):
            states.decode(bytes(changed))


@pytest.mark.parametrize("data", [b"{}", b"\0" * 100, b"routed-hypervisor-states 2 x\n{}", b"# a file of someone\n"])
def test_another_file_is_not_ours_rather_than_damaged(data):
    with pytest.raises(states.Unusable, match="is not ours") as caught:
        states.decode(data)
    assert not isinstance(caught.value, states.Corrupt)


def test_version_1_is_read():
    content = {"host": "hv1", "machine": dataclasses.asdict(MACHINE), "network": NETWORK}
    assert states.decode(written(1, {**content, "nftables": TABLE})) == STATE
    assert states.decode(written(1, {**content, "nftables": None})) == dataclasses.replace(STATE, tables=[])


ADDED = {3: "guests", 4: "routing_manager", 5: "proxy_ndp"}  # by the version with which it came


@pytest.mark.parametrize("version", range(2, states.VERSION))
def test_an_older_version_had_less(version):
    content = dataclasses.asdict(STATE)
    for later in range(version + 1, states.VERSION + 1):
        del content[ADDED[later]]
    with pytest.raises(states.Corrupt, match=f"{ADDED[version + 1]}, which version {version} did not have"):
        states.decode(written(version, {**content, ADDED[version + 1]: {}}))
    assert states.decode(written(version, content)) == STATE


def test_every_older_version_has_a_migration():
    assert sorted(states.MIGRATIONS) == list(range(1, states.VERSION))


def test_a_newer_version_is_refused_even_if_its_content_is_unknown():
    sentence = f"has version {states.VERSION + 1}, and this program reads versions up to {states.VERSION}"
    with pytest.raises(states.Unusable, match=sentence) as caught:
        states.decode(written(states.VERSION + 1, {"anything": 1}))
    assert not isinstance(caught.value, states.Corrupt)


@pytest.mark.parametrize("content", [[], {}, {"host": "hv1"}, {**dataclasses.asdict(STATE), "tables": {}}])
def test_content_of_another_shape_is_damaged(content):
    with pytest.raises(states.Corrupt):
        states.decode(written(states.VERSION, content))


def test_a_write_keeps_the_state_before(tmp_path):
    states.write(str(tmp_path), STATE)
    states.write(str(tmp_path), OTHER)
    assert states.decode((tmp_path / "state").read_bytes()) == OTHER
    assert states.decode((tmp_path / "state.previous").read_bytes()) == STATE
    assert sorted(os.listdir(tmp_path)) == ["state", "state.previous"]


def test_only_root_can_read_states(tmp_path):
    directory = tmp_path / "states"
    directory.mkdir(mode=0o755)
    for state in (STATE, OTHER):
        states.write(str(directory), state)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_a_damaged_state_does_not_replace_the_last_good_one(tmp_path):
    states.write(str(tmp_path), STATE)
    states.write(str(tmp_path), OTHER)
    (tmp_path / "state").write_bytes(states.encode(OTHER)[:-1])
    states.write(str(tmp_path), OTHER)
    assert states.decode((tmp_path / "state.previous").read_bytes()) == STATE


@pytest.mark.parametrize("name", ["fsync", "replace", "link"])
def test_a_write_that_fails_leaves_the_state(tmp_path, monkeypatch, name):
    states.write(str(tmp_path), STATE)

    def failing(*_args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, name, failing)
        with pytest.raises(OSError, match="No space"):
            states.write(str(tmp_path), OTHER)
    assert states.read(str(tmp_path), MACHINE) == (STATE, [])
    states.write(str(tmp_path), OTHER)
    assert states.read(str(tmp_path), MACHINE) == (OTHER, [])


def test_the_new_state_is_on_disk_before_it_is_in_place(tmp_path, monkeypatch):
    states.write(str(tmp_path), STATE)
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: calls.append(name) or real(*args))
    states.write(str(tmp_path), OTHER)
    assert calls == ["replace", "fsync", "replace", "fsync"]  # the state before; the draft; its rename; the directory


def test_a_damaged_state_falls_back_to_the_last_good_one(tmp_path):
    states.write(str(tmp_path), STATE)
    states.write(str(tmp_path), OTHER)
    (tmp_path / "state").write_bytes(states.encode(OTHER)[:100])
    state, (note,) = states.read(str(tmp_path), MACHINE)
    assert state == STATE
    assert note == (
        f"{tmp_path}/state is damaged: its digest differs; the last good state is used instead, "
        f"{tmp_path}/state.previous"
    )


def test_two_damaged_states_are_refused(tmp_path):
    for name in ("state", "state.previous"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(states.Unusable, match=r"state is damaged.*state.previous is damaged.*nothing was changed"):
        states.read(str(tmp_path), MACHINE)


def test_only_damage_falls_back(tmp_path):
    states.write(str(tmp_path), STATE)
    states.write(str(tmp_path), OTHER)
    for data in (b"of someone else", written(states.VERSION + 1, {})):
        (tmp_path / "state").write_bytes(data)
        with pytest.raises(states.Unusable, match="nothing was changed"):
            states.read(str(tmp_path), MACHINE)


def test_a_missing_state_is_refused(tmp_path):
    with pytest.raises(states.Unusable, match="state does not exist; nothing was changed"):
        states.read(str(tmp_path), MACHINE)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/null", path)])
def test_what_is_not_a_plain_file_is_refused(tmp_path, make):
    make(tmp_path / "state")
    with pytest.raises(states.Unusable):
        states.read(str(tmp_path), MACHINE)


def test_a_state_that_others_can_write_is_refused(tmp_path):
    states.write(str(tmp_path), STATE)
    (tmp_path / "state").chmod(0o620)
    with pytest.raises(states.Unusable, match="not a file that only root can write"):
        states.read(str(tmp_path), MACHINE)


@pytest.mark.parametrize(
    ("here", "is_other"),
    [
        (MACHINE, False),
        (states.Machine("a" * 32, "renamed"), False),
        (states.Machine("b" * 32, "hv1"), True),
        (states.Machine(None, "hv1"), False),
        (states.Machine(None, "hv2"), True),
    ],
)
def test_a_state_is_only_for_the_machine_that_stored_it(tmp_path, here, is_other):
    states.write(str(tmp_path), STATE)
    if is_other:
        with pytest.raises(states.Unusable, match="is for another machine"):
            states.read(str(tmp_path), here)
    else:
        assert states.read(str(tmp_path), here)[0] == STATE


def test_an_unfinished_machine_id_is_none(tmp_path):
    (tmp_path / "machine-id").write_text("uninitialized\n")
    assert states.this_machine(str(tmp_path / "machine-id")).id is None
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    assert states.this_machine(str(tmp_path / "machine-id")).id == "0123456789abcdef0123456789abcdef"
