"""An emulated switch of an administrator, and the push of a leaf's configuration to it, checked line by line."""

from __future__ import annotations

import yaml

from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.plan import changes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.shown import difference
from ansible_collections.routed.hypervisor.plugins.plugin_utils.nxos.tree import commands

from .nxos_device import Device
from .nxos_state import send_checked
from .templates import GOLDEN, render

# What an administrator has on the switch beside ours.
OTHERS = """
feature lldp
feature bgp
vlan 99
  name others
ip prefix-list OTHERS seq 5 permit 0.0.0.0/0
route-map OTHERS permit 10
  match ip address prefix-list OTHERS
interface Ethernet1/48
  description spine
  speed 10000
router bgp 4200000500
  neighbor 192.0.2.9
    remote-as 65099
    description spine
    address-family ipv4 unicast
      route-map OTHERS in
interface mgmt0
  ip address 192.0.2.1/24
"""


def data(name: str = "leaf_full") -> dict:
    return yaml.safe_load((GOLDEN / "data" / f"{name}.yml").read_text())


def steps(device: Device, values: dict, **options):
    intended, secrets = (render(f"nxos/{file}", values) for file in ("leaf.cfg", "secrets.cfg"))
    running, complete = ("\n".join(device.show(complete)) for complete in (False, True))
    return changes(intended, running, complete, secrets, **options)


def push(device: Device, values: dict, **options) -> list[str]:
    """Sends what differs, checks what is true after each line, and that nothing differs then. Returns what was sent."""
    shown, passwords = steps(device, values, **options)
    sent = [*commands(shown), *commands(passwords)]
    send_checked(device, sent)
    left = steps(device, values)
    assert left == ([], []), "\n".join(difference([*left[0], *left[1]]))
    return [line.strip() for line in sent]
