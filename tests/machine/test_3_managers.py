"""Other managers of interfaces on the same server: they restart, and nothing of ours disappears."""

from __future__ import annotations

import pytest
from support.waiting import until_equal

pytestmark = pytest.mark.long
# Not the card of management, whose file comes first.
ALL_CARDS = "[Match]\nName=en*\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
INTERFACES = "auto lo\niface lo inet loopback\n\nauto eno1\niface eno1 inet manual\n"
IFUPDOWN = "sudo dpkg -i /opt/{0}_*.deb && sudo tee /etc/network/interfaces >/dev/null"
MANAGERS = {
    "systemd-networkd": ("sudo tee /etc/systemd/network/zz-all.network >/dev/null", ALL_CARDS, "restart"),
    "ifupdown": (IFUPDOWN.format("ifupdown"), INTERFACES, "restart"),
    "ifupdown2": (IFUPDOWN.format("ifupdown2"), INTERFACES, "reload"),
    "NetworkManager": ("true", "", "restart"),
}
THEIRS = ("ens3", "eno1", "eno2")  # cards, which a manager may configure as it likes; the VLANs on them are ours
SERVICES = {"ifupdown": "networking", "ifupdown2": "networking"}


def ours(kernel: dict) -> dict:
    return {
        kind: [entry for entry in found if entry.get("dev") not in THEIRS and entry.get("ifname") not in THEIRS]
        for kind, found in kernel.items()
    }


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_manager_that_restarts_takes_nothing_away_and_preflight_names_it(server, configured, manager):
    machine = server.machine
    machine.load("configured")
    install, text, verb = MANAGERS[manager]
    service = SERVICES.get(manager, manager)
    before = ours(server.kernel())
    machine.run(install, text)
    machine.run(f"sudo systemctl restart {service}")
    machine.run(f"sudo systemctl {verb} {service}")
    until_equal(lambda: ours(server.kernel()), before, 120, 1)
    assert server.status() == "hv1 is as stored"
    found = server.play("--tags", "preflight")
    assert found.code == 0 and f"{manager} manages" in found.output, found.output
    machine.cut_power()
