# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that make systemd and hosts' network managers start and respect the agent. Private to this collection."""

from __future__ import annotations

import typing as t

from .absent import Config

SERVICE = "routed-hypervisor"
PROGRAM = f"/usr/local/sbin/{SERVICE}"
UNIT = f"/etc/systemd/system/{SERVICE}.service"
ENABLED = f"/etc/systemd/system/multi-user.target.wants/{SERVICE}.service"
HEADER = "# Managed by Routed Hypervisor (role agent): changes made here are overwritten."
WAIT_S = 30  # for uplinks
DAEMONS = ("bird", "gobgpd", "frr", "ndppd", "radvd", "dnsmasq", "routed-hypervisor-routes")
# What configures the same kernel and would overwrite us if it came later. nftables.service flushes all tables.
EARLIER = (
    "network-pre.target",
    "systemd-sysctl.service",
    "nftables.service",
    "networking.service",
    "systemd-networkd.service",
    "NetworkManager.service",
)


def unit() -> str:
    # Not Before=network.target: sshd must not wait for an absent uplink.
    return f"""{HEADER}
[Unit]
Description=Network of this hypervisor, from its stored state
After={" ".join(EARLIER)}
Before={" ".join(f"{name}.service" for name in DAEMONS)}
# When nftables is restarted or reloaded, it flushes our table.
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={PROGRAM} apply --boot
ExecReload={PROGRAM} apply
TimeoutStartSec={WAIT_S + 90}

[Install]
WantedBy=multi-user.target
"""


def after() -> str:
    """A drop-in for services whose names are known only by their beginning."""
    return f"{HEADER}\n[Unit]\nWants={SERVICE}.service\nAfter={SERVICE}.service\n"


def ndppd() -> str:
    """With Debian's init script, systemd takes the service for active after ndppd has ended, as it does when a guest's
    port is absent. This way it is started again until the port is there."""
    return f"""{HEADER}
[Unit]
StartLimitIntervalSec=0

[Service]
Type=simple
ExecStart=
ExecStart=/usr/sbin/ndppd -p /run/ndppd.pid
ExecStop=
KillMode=control-group
RemainAfterExit=no
Restart=always
RestartSec=5
"""


def networkd() -> str:
    """networkd removes foreign routes and rules when it restarts."""
    return f"{HEADER}\n[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n"


def network_manager(config: Config) -> str:
    """The links that we create, or that are in our VRFs, are not NetworkManager's."""
    names = [entry["name"] for kind in ("vrfs", "ipvlan_links") for entry in config.get(kind) or ()]
    names += [entry["name"] for entry in config.get("interfaces") or () if entry.get("type") or entry.get("vrf")]
    listed = ";".join(f"interface-name:{name}" for name in dict.fromkeys(names))
    return f"{HEADER}\n[device-{SERVICE}]\nmatch-device={listed}\nmanaged=0\n"


def files(config: Config, exists: t.Callable[[str], bool]) -> dict[str, str]:
    """The text of each file by its path, on a host with systemd."""
    found = {
        UNIT: unit(),
        f"/etc/systemd/system/gobgpd-.service.d/{SERVICE}.conf": after(),
        f"/etc/systemd/networkd.conf.d/{SERVICE}.conf": networkd(),
    }
    if exists("/etc/init.d/ndppd") and not exists("/lib/systemd/system/ndppd.service"):
        found[f"/etc/systemd/system/ndppd.service.d/{SERVICE}.conf"] = ndppd()
    if exists("/etc/NetworkManager"):
        found[f"/etc/NetworkManager/conf.d/{SERVICE}.conf"] = network_manager(config)
    return found


def warnings(exists: t.Callable[[str], bool]) -> list[str]:
    """What no file of ours can change."""
    found = []
    if exists("/usr/share/ifupdown2"):
        found.append(
            "ifupdown2 is installed: its `ifreload` takes links that it does not manage out of their VRFs; "
            f"run `{SERVICE} apply` after it"
        )
    return found
