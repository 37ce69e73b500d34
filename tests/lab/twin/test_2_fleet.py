"""The twin of twenty hypervisors behind leaves with NX-OS, and what it finds before production is touched."""

from __future__ import annotations

import pytest
import yaml
from support import production

pytestmark = pytest.mark.long
# A route to a guest that an administrator has pinned on a leaf, with a typing error: its hypervisor is 10.1.1.7.
LEAF, GUEST, WRONG = f"leaf1.{production.DOMAIN}", "203.0.113.7/32", "10.1.1.70"


@pytest.fixture(scope="module")
def twin(twin_of, tmp_path_factory):
    inventory = tmp_path_factory.mktemp("inventories") / "fleet"
    return twin_of(production.write(inventory, production.fleet(20)), "fleet")


def edit(twin, change) -> None:
    path = twin.production / "fabric.yml"
    intent = yaml.safe_load(path.read_text())
    change(intent)
    path.write_text(yaml.safe_dump(intent, sort_keys=False))


def test_the_fleet_is_up_and_verified(twin):
    code, output = twin.make("twin")
    assert code == 0, output[-8000:]
    passed, total = twin.lab.verified()
    assert passed == total > 1300
    assert "FRRouting" in twin.lab.run("leaf1", "vtysh", "-c", "show version")


def test_two_hosts_with_one_router_id_are_refused(twin):
    def same_id(intent):
        for name in ("hv2", "hv3"):
            intent["hypervisors"][f"{name}.{production.DOMAIN}"]["router_id"] = "10.0.0.1"

    before = twin.lab.intent.read_text(), (twin.production / "fabric.yml").read_text()
    edit(twin, same_id)
    code, output = twin.make("twin")
    (twin.production / "fabric.yml").write_text(before[1])
    assert code != 0 and "router_id: router id 10.0.0.1 is also given to hypervisors.hv2." in output, output
    assert twin.lab.intent.read_text() == before[0] and "PLAY" not in output


def test_a_wrong_next_hop_is_found_by_the_verification(twin):
    def pin(intent):
        intent["leaves"][LEAF]["static"] = {"main": {GUEST: WRONG}}

    edit(twin, pin)
    code, output = twin.make("twin")
    assert code != 0 and "fleet-twin: NOT verified" in output, output[-8000:]
    assert f"are missing: {WRONG}, the next hop of {GUEST} on {LEAF}" in output
    found = twin.failures()
    print(*found, sep="\n")
    assert all("web7" in title or node == "web7" for node, title in found)
    assert any("reaches web7" in title for _node, title in found), "no packet was lost"
