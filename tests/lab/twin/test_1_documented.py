"""make twin of the inventory that docs/real_hosts.md shows."""

from __future__ import annotations

import re

import pytest
from support import production
from support.modules import PROJECT


@pytest.fixture(scope="module")
def twin(twin_of, tmp_path_factory):
    inventory = production.encrypt(production.documented(tmp_path_factory.mktemp("inventories") / "production"))
    return twin_of(inventory, "production")


def test_production_is_up_as_a_lab_and_verified(twin):
    code, output = twin.make("twin")
    assert code == 0, output
    passed, total = twin.lab.verified()
    assert passed == total > 40
    assert "passwords of its own: group_vars/all/vault.yml" in output
    assert {"eno1", "eno2"} <= {link["ifname"] for link in twin.lab.json("hv1", "link")}
    assert {"enp5s0f0", "tap-web2"} <= {link["ifname"] for link in twin.lab.json("hv2", "link")}
    assert twin.lab.run("web1", "ping", "-c", "1", "203.0.113.2")
    secrets = twin.lab.run("hv1", "cat", "/etc/bird/secrets.conf")
    assert re.search(r'"\w{16}"', secrets) and "a-long-one-of-yours" not in secrets


def test_made_again_it_changes_nothing_and_ends_without_a_trace(twin):
    code, output = twin.make("twin", "ARGS=--skip-tags verify")
    assert code == 0 and set(re.findall(r"changed=(\d+)", output)) == {"0"}, output
    assert twin.make("down")[0] == 0
    assert twin.lab.remains() == []


def test_a_lab_has_no_twin(twin_of):
    code, output = twin_of(PROJECT / "inventories/l3_hypervisor", "l3_hypervisor").make("twin")
    assert code != 0 and "is a lab already, so make lab brings it up" in output, output
