"""The files that the role agent writes, byte for byte, and what systemd makes of the unit."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import units
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon import service_file

GOLDEN = Path(__file__).parent / "agent"
CONFIG = {
    "vrfs": [{"name": "public", "table": 90}],
    "interfaces": [
        {"name": "eno1"},
        {"name": "eno1.90", "type": "vlan", "parent": "eno1", "vlan_id": 90, "vrf": "public"},
        {"name": "vm1", "vrf": "public"},
    ],
}
FOLLOWED = {"guests": {"web1": {"port": "tap-web1"}, "web2": {"port": None}}}
THERE = {"/etc/NetworkManager", "/etc/init.d/ndppd"}.__contains__


def texts(config, there) -> dict[str, str]:
    follower = {service_file.path(units.FOLLOWER, systemd): units.follower(systemd) for systemd in (True, False)}
    return {**units.files(there), **follower, **units.for_managers(config, FOLLOWED, there)}


FILES = texts(CONFIG, THERE)


@pytest.mark.parametrize("path", FILES)
def test_the_text_is_the_same_as_ever(path):
    golden = GOLDEN / path.lstrip("/").replace("/", "_")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(FILES[path])
    assert FILES[path] == golden.read_text()


def test_there_is_a_golden_file_for_each():
    assert sorted(golden.name for golden in GOLDEN.iterdir()) == sorted(
        path.lstrip("/").replace("/", "_") for path in FILES
    )


@pytest.mark.parametrize(
    ("there", "path"),
    [
        ({"/etc/NetworkManager"}, "NetworkManager/conf.d"),
        ({"/etc/init.d/ndppd"}, "systemd/system/ndppd.service.d"),
        ({"/etc/init.d/ndppd", "/lib/systemd/system/ndppd.service"}, None),
    ],
)
def test_programs_get_a_file_only_where_they_need_it(there, path):
    found = set(texts(CONFIG, there.__contains__)) - set(texts(CONFIG, lambda _path: False))
    assert found == ({f"/etc/{path}/routed-hypervisor.conf"} if path else set())


def test_without_links_of_ours_no_file_matches_every_link():
    assert set(units.for_managers({"interfaces": [{"name": "eno1"}]}, {}, THERE)) == {units.NETWORKD}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path):
    unit = tmp_path / "routed-hypervisor.service"
    unit.write_text(FILES[units.UNIT].replace(units.PROGRAM, "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", unit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "routed-hypervisor" not in done.stderr, done.stderr
    assert done.returncode == 0
