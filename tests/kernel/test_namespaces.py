"""Named network namespaces: created like those of `ip netns`, marked, removed. On any kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.namespace import Namespace


@pytest.fixture
def host(bare_namespace):
    return bare_namespace


def names(host):
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line.startswith(f"{host.name}-c")}


def config(host, *suffixes):
    return [{"name": f"{host.name}-{suffix}"} for suffix in suffixes]


def test_a_namespace_is_created_with_lo_up_and_a_second_run_changes_nothing(host):
    wanted = config(host, "c1", "c2")
    expected = host.module("namespaces", config=wanted, _check=True, _diff=True)
    assert names(host) == set()
    assert host.module("namespaces", config=wanted, _diff=True) == expected
    assert names(host) == {f"{host.name}-c1", f"{host.name}-c2"}
    [loopback] = Namespace(f"{host.name}-c1").show("link show lo")
    assert "UP" in loopback["flags"] and loopback["ifalias"] == "routed.hypervisor"
    assert host.changed("namespaces", config=wanted) == []


def test_lo_is_set_up_again(host):
    host.changed("namespaces", config=config(host, "c1"))
    Namespace(f"{host.name}-c1").ip("link set lo down")
    assert host.changed("namespaces", config=config(host, "c1")) == [("namespaces", "change", f"{host.name}-c1")]
    assert "UP" in Namespace(f"{host.name}-c1").show("link show lo")[0]["flags"]


def test_only_our_namespaces_are_deleted(host):
    foreign = f"{host.name}-c-foreign"
    Namespace.made(foreign)
    host.changed("namespaces", config=config(host, "c1", "c2"))
    assert host.changed("namespaces", config=config(host, "c2"), state="overridden") == [
        ("namespaces", "delete", f"{host.name}-c1")
    ]
    assert names(host) == {foreign, f"{host.name}-c2"}
    refused = host.module("namespaces", config=[{"name": foreign}])
    assert refused["mistakes"] == [
        f"namespaces[0]: namespace {foreign} exists but is not ours (it does not carry our mark); give another name, "
        "or delete it first"
    ]
    owned = {entry["name"]: entry["owned"] for entry in host.module("namespaces", state="gathered")["gathered"]}
    assert owned[f"{host.name}-c2"] and not owned[foreign]
    assert host.changed("namespaces", state="deleted") == [("namespaces", "delete", f"{host.name}-c2")]
    assert host.changed("namespaces", state="deleted") == []
    assert names(host) == {foreign}


def test_a_file_left_without_a_namespace_by_a_killed_run_is_reused(host):
    Path(f"/run/netns/{host.name}-c1").touch()
    assert host.changed("namespaces", config=config(host, "c1")) == [("namespaces", "create", f"{host.name}-c1")]
    Namespace(f"{host.name}-c1").ip("link show lo")


def test_a_name_that_cannot_be_a_file_name_is_refused(host):
    refused = host.module("namespaces", config=[{"name": "a/b"}, {"name": ".."}])
    assert [mistake.split(":")[0] for mistake in refused["mistakes"]] == ["namespaces[0].name", "namespaces[1].name"]
