"""The twin of twenty hypervisors behind leaves with NX-OS, and what it finds before production is touched."""

from __future__ import annotations

import pytest
import yaml
from support import production

pytestmark = pytest.mark.long
GUEST = "203.0.113.7/32"
# Routes that an administrator has pinned on both leaves of a guest's hypervisor, and one of them with a typing error.
RIGHT = {f"leaf1.{production.DOMAIN}": "10.1.1.7", f"leaf2.{production.DOMAIN}": "10.1.2.7"}
WRONG = {**RIGHT, f"leaf1.{production.DOMAIN}": "10.1.1.70"}


@pytest.fixture(scope="module")
def twin(twin_of, tmp_path_factory):
    intent = production.fleet(20)
    pin(intent, RIGHT)
    return twin_of(production.write(tmp_path_factory.mktemp("inventories") / "fleet", intent), "fleet")


def pin(intent, next_hops) -> None:
    for leaf, next_hop in next_hops.items():
        intent["leaves"][leaf]["static"] = {"main": {GUEST: next_hop}}


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
    edit(twin, lambda intent: pin(intent, WRONG))
    code, output = twin.make("twin")
    assert code != 0 and "fleet-twin: NOT verified" in output, output[-8000:]
    found = twin.failures()
    print(*found, sep="\n")
    assert found and all("web7" in title or node == "web7" for node, title in found)
