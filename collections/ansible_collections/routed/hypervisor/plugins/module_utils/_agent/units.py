# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that make systemd and hosts' network managers start and respect the agent. Private to this collection."""

from __future__ import annotations

import typing as t

from .._daemon import service_file
from .uplinks import Config

SERVICE = "routed-hypervisor"
PROGRAM = f"/usr/local/sbin/{SERVICE}"
UNIT = f"/etc/systemd/system/{SERVICE}.service"
FOLLOWER = f"{SERVICE}-run"
REPLACED = f"{SERVICE}-routes"  # the routing manager, when it was a service of its own
HEADER = "# Managed by Routed Hypervisor (role agent): changes made here are overwritten."
# A host that is a hundred times slower than a server still boots: systemd would end the agent in the middle. It is no
# more than a limit, because other services wait for the agent.
LIMIT_S = 900
# They start containers, whose links need their masters. Docker would create a missing one.
ENGINES = ("docker", "podman-restart")
DAEMONS = ("bird", "gobgpd", "frr", "ndppd", "radvd", "dnsmasq", "routed-hypervisor-cni-dhcp")
# What configures the same kernel and would overwrite us if it came later. nftables.service flushes all tables, and
# networking.service takes uplinks down.
MANAGERS = ("nftables.service", "networking.service", "systemd-networkd.service", "NetworkManager.service")
EARLIER = ("network-pre.target", "systemd-sysctl.service", *MANAGERS)
NETWORKD = f"/etc/systemd/networkd.conf.d/{SERVICE}.conf"
NETWORKD_LINKS = f"/etc/systemd/network/00-{SERVICE}.network"  # the first file that matches a link applies to it
NETWORK_MANAGER = f"/etc/NetworkManager/conf.d/{SERVICE}.conf"


def unit() -> str:
    # Not Before=network.target: sshd must not wait for an absent uplink.
    return f"""{HEADER}
[Unit]
Description=Network of this hypervisor, from its stored state
After={" ".join(EARLIER)}
Before={" ".join(f"{name}.service" for name in (*DAEMONS, *ENGINES))}
# What they undo when they are restarted or reloaded is done again.
PartOf={" ".join(MANAGERS)}
ReloadPropagatedFrom={" ".join(MANAGERS)}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={PROGRAM} apply --boot
ExecReload={PROGRAM} apply
TimeoutStartSec={LIMIT_S}

[Install]
WantedBy=multi-user.target
"""


def follower(systemd: bool) -> str:
    # Ending it withdraws nothing: what is in the kernel stays, and the next start adopts it.
    description = "Guests and containers of this hypervisor, as they start, stop and move"
    if not systemd:
        # start-stop-daemon closes as many descriptors as there may be, and we have raised their number.
        prepare, reload = ("ulimit", "-S", "-n", "1024"), ("kill", "-HUP", "{pid}")
        return service_file.init_script(
            service_file.Command(FOLLOWER, (PROGRAM, "run"), description, prepare=prepare, reload=reload)
        )
    return f"""{HEADER}
[Unit]
Description={description}
Wants={SERVICE}.service
After={SERVICE}.service

[Service]
ExecStart={PROGRAM} run
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


def after() -> str:
    """A drop-in for services whose names are known only by their beginning."""
    return f"{HEADER}\n[Unit]\nWants={SERVICE}.service\nAfter={SERVICE}.service\n"


def ndppd() -> str:
    """With Debian's init script, systemd takes the service for active after ndppd has ended, as it does when a guest's
    port is absent. This way it is started again until the port is there, and not at all without a configuration."""
    return f"""{HEADER}
[Unit]
ConditionPathExists=/etc/ndppd.conf
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


def networkd_links(links: list[str]) -> str:
    """A file of the host that matches these links, such as `Name=en*`, would take them out of their VRFs."""
    return f"{HEADER}\n[Match]\nName={' '.join(links)}\n\n[Link]\nUnmanaged=yes\n"


def network_manager(links: list[str]) -> str:
    listed = ";".join(f"interface-name:{name}" for name in links)
    return f"{HEADER}\n[device-{SERVICE}]\nmatch-device={listed}\nmanaged=0\n"


def _our_links(config: Config, guests: Config) -> list[str]:
    """The links that we create, the members of our VRFs, and the ports of followed guests whose names are known."""
    names = [entry["name"] for kind in ("vrfs", "ipvlan_links") for entry in config.get(kind) or ()]
    names += [entry["name"] for entry in config.get("interfaces") or () if entry.get("type") or entry.get("vrf")]
    names += [guest["port"] for guest in (guests.get("guests") or {}).values() if guest["port"]]
    return list(dict.fromkeys(names))


def for_managers(config: Config, guests: Config, exists: t.Callable[[str], bool]) -> dict[str, str]:
    """The text of each file that makes other managers leave our links alone. It must be there before the links."""
    found = {NETWORKD: networkd()}
    links = _our_links(config, guests)
    if links:  # without a name, the file would match every link
        found[NETWORKD_LINKS] = networkd_links(links)
        if exists("/etc/NetworkManager"):
            found[NETWORK_MANAGER] = network_manager(links)
    return found


def files(exists: t.Callable[[str], bool]) -> dict[str, str]:
    """The text of each other file by its path, on a host with systemd."""
    found = {
        UNIT: unit(),
        f"/etc/systemd/system/gobgpd-.service.d/{SERVICE}.conf": after(),
        f"/etc/systemd/system/dhcrelay-.service.d/{SERVICE}.conf": after(),
    }
    if exists("/etc/init.d/ndppd") and not exists("/lib/systemd/system/ndppd.service"):
        found[f"/etc/systemd/system/ndppd.service.d/{SERVICE}.conf"] = ndppd()
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
