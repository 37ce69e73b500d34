"""systemd-networkd in a node: what it does to links that its files match, and how it leaves ours alone."""

from __future__ import annotations

import json

import pytest
from support.lab_nodes import made
from support.waiting import until, until_equal

CABLE = {"a": {"node": "n1", "interface": "eth0"}, "b": {"node": "n2", "interface": "port"}, "mtu": 1500}
# A node has no udev, for which networkd waits unless this is read-only.
WITHOUT_UDEV = "[Service]\nReadOnlyPaths=/sys\n"
ALL_CARDS = "[Match]\nName=eth*\n\n[Network]\nLinkLocalAddressing=no\n"
OURS = {"vrfs": [{"name": "public", "table": 90}], "interfaces": [{"name": "eth0", "vrf": "public"}, {"name": "eth1"}]}
FILES = ("/etc/systemd/networkd.conf.d/routed-hypervisor.conf", "/etc/systemd/network/00-routed-hypervisor.network")


@pytest.fixture
def lab(run_module, systemd_image):
    """n1 with networkd, which one of its files lets manage eth0."""
    with made(run_module, systemd_image) as lab:
        lab.nodes({"name": "n1", "init": "systemd"}, "n2")
        lab.cables(CABLE)
        lab.run("n1", "mkdir", "/etc/systemd/system/systemd-networkd.service.d")
        lab.run("n1", "tee", "/etc/systemd/system/systemd-networkd.service.d/udev.conf", text=WITHOUT_UDEV)
        lab.run("n1", "tee", "/etc/systemd/network/50-all.network", text=ALL_CARDS)
        lab.run("n1", "systemctl", "daemon-reload")
        # This kernel may have no VRFs; as for a VRF, a member of a bridge has a master.
        lab.run("n1", "sh", "-ec", "ip link add br0 type bridge; ip link set eth0 master br0")
        yield lab


def managed(lab) -> str:
    """Empty while networkd, which has just started, does not answer."""
    answer = json.loads(lab.run("n1", "networkctl", "--json=short", "list", fails=True) or "{}")
    links = answer.get("Interfaces", [])
    return next((link["AdministrativeState"] for link in links if link["Name"] == "eth0"), "")


def remarks(lab) -> list[str]:
    return lab.module("n1", "preflight", needs=[])["remarks"]


def test_networkd_takes_links_from_their_master_unless_the_agent_has_prepared_the_host(lab):
    lab.run("n1", "systemctl", "start", "systemd-networkd")
    until(lambda: "master" not in lab.links("n1")["eth0"], what="networkd takes eth0 out of the bridge")
    until(lambda: managed(lab) == "configured", what="eth0 is configured")
    until_equal(lambda: remarks(lab), ["systemd-networkd manages eth0"])

    predicted = lab.module("n1", "agent", _check=True, state="prepared", network=OURS)
    done = lab.module("n1", "agent", state="prepared", network=OURS)
    assert done["changes"] == predicted["changes"]
    assert sorted(change["name"] for change in done["changes"]) == sorted(FILES)
    assert lab.module("n1", "agent", state="prepared", network=OURS)["changed"] is False
    until(lambda: managed(lab) == "unmanaged", what="networkd has read the file")
    until_equal(lambda: remarks(lab), [])

    lab.run("n1", "sh", "-ec", "ip link set eth0 master br0; ip rule add priority 1234 table 77 protocol 82")
    lab.run("n1", "systemctl", "restart", "systemd-networkd")
    until(lambda: managed(lab) == "unmanaged", what="networkd is up")
    assert lab.links("n1")["eth0"]["master"] == "br0"
    assert "1234" in lab.run("n1", "ip", "rule")

    # Files for a network that has no link of ours any more, and for none.
    assert [change["op"] for change in lab.module("n1", "agent", state="prepared", network={})["changes"]] == ["delete"]
    lab.module("n1", "agent", state="absent")
    for path in FILES:
        assert lab.enter("n1", "test", "-e", path).returncode == 1, path
