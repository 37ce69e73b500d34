"""Revisions that a host keeps when changes are confirmed, and which of them a rollback finds."""

from __future__ import annotations

import gzip
import json
import os

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._agent import stored as states
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.arming import applied, files, services
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.arming.applied import Made
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.arming.record import ArmingError

FIRST, SECOND, THIRD = "20260101T000000Z", "20260102T000000Z", "20260103T000000Z"


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose stored state is what the test says."""
    monkeypatch.setattr(applied, "DIRECTORY", str(tmp_path / "applied"))
    monkeypatch.setattr(services, "read", lambda: {"bird.service": True})
    entries = [{"path": f"{states.DIRECTORY}/{states.CURRENT}", "content": "", "mode": 0o600, "uid": 0, "gid": 0}]
    monkeypatch.setattr(files, "store", lambda: list(entries))

    def store(content: str) -> None:
        entries[0] = {**entries[0], "content": content}

    return store


def kept(host, *names: str, fabric: str = "production") -> None:
    for number, name in enumerate(names):
        host(str(number))
        applied.keep(Made(name, fabric, [{"kind": "ping", "title": name}]))


def test_a_host_that_a_run_did_not_change_has_its_newest_revision_before_it(host):
    kept(host, FIRST, THIRD)
    assert applied.names() == [FIRST, THIRD]
    for wanted, found in ((FIRST, FIRST), (SECOND, FIRST), (THIRD, THIRD)):
        name, revision = applied.find(wanted, "production")
        assert name == found and revision["probes"] == [{"kind": "ping", "title": found}]


def test_the_same_content_is_kept_once(host):
    kept(host, FIRST)
    applied.keep(Made(SECOND, "production", []))
    assert applied.names() == [FIRST]


def test_the_last_ten_are_kept_for_root_only(host):
    kept(host, *(f"2026010{number % 10}T00000{number}Z" for number in range(10)), "20270101T000000Z")
    assert len(applied.names()) == applied.KEPT and applied.names()[-1] == "20270101T000000Z"
    assert {os.stat(f"{applied.DIRECTORY}/{name}").st_mode & 0o777 for name in os.listdir(applied.DIRECTORY)} == {0o600}


def test_leases_and_what_the_host_had_before_us_are_in_no_revision():
    paths = ["/etc/bird/bird.conf", "/var/lib/cni/networks/net/10.0.0.1", "/var/lib/routed-hypervisor/former.json"]
    assert [entry["path"] for entry in applied.of_revision([{"path": path} for path in paths])] == paths[:1]


def test_an_unknown_revision_is_refused_with_those_that_exist(host):
    kept(host, SECOND, THIRD)
    with pytest.raises(ArmingError, match=f"no revision {FIRST}, and none before it; it has {SECOND}, {THIRD}"):
        applied.find(FIRST, "production")


def test_a_revision_of_another_fabric_is_refused(host):
    kept(host, FIRST, fabric="staging")
    with pytest.raises(ArmingError, match="is a revision of the fabric staging, not of production"):
        applied.find(FIRST, "production")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"routed-hypervisor-state 3 sha256:0\n{}", "has an old format"),
        (b"\x1f\x8b", "is damaged"),
        (gzip.compress(b"[]"), "is damaged"),
        (
            gzip.compress(
                json.dumps(
                    {"magic": applied.MAGIC, "version": 99, "fabric": "x", "files": [], "services": {}, "probes": []}
                ).encode()
            ),
            "has version 99",
        ),
    ],
)
def test_a_file_that_cannot_be_applied_is_refused(host, content, why):
    kept(host, FIRST)
    [name] = os.listdir(applied.DIRECTORY)
    with open(f"{applied.DIRECTORY}/{name}", "wb") as file:
        file.write(content)
    with pytest.raises(ArmingError, match=why):
        applied.find(FIRST, "production")
