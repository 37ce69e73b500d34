# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks settings common to all BGP sessions: timers, graceful restart, and features a daemon lacks."""

from __future__ import annotations

from .draft import Intent, Router
from .mistakes import Mistakes, Path, listed

GOBGP_CONNECT_RETRY_S = 5  # GoBGP 3 silently raises smaller values to this


def check(intent: Intent, written: set[Path], mistakes: Mistakes) -> None:
    """WRITTEN holds the paths present in the file; other values are defaults."""
    _timers(intent, written, mistakes)
    users = [node for node in intent.routers if node.daemon == "gobgp"]
    for node in users:
        _gobgp(intent, node, mistakes)
    path = ("bgp", "graceful_restart_s")
    if path in written and intent.graceful_restart_s and not users:
        right = "remove it, or use gobgp; bird, frr and nxos only help a restarting neighbor"
        mistakes.add(path, "no router of this file runs gobgp", right)
    if users and intent.timers["connect_retry_s"] < GOBGP_CONNECT_RETRY_S:
        wrong = f"{intent.timers['connect_retry_s']} is out of range on {users[0].name}, which runs gobgp"
        mistakes.add(("bgp", "timers", "connect_retry_s"), wrong, f"{GOBGP_CONNECT_RETRY_S} or more")


def _timers(intent: Intent, written: set[Path], mistakes: Mistakes) -> None:
    """RFC 4271, section 10: a third of the hold time is the longest keepalive that makes sense."""
    hold, keepalive = intent.timers["hold_s"], intent.timers["keepalive_s"]
    if hold >= 3 * keepalive:
        return
    path = ("bgp", "timers")
    key = "hold_s" if (*path, "hold_s") in written else "keepalive_s"
    if key == "hold_s":
        wrong = f"{hold} is less than three keepalives of {keepalive} s"
    else:
        wrong = f"three keepalives of {keepalive} s are more than the hold time of {hold} s"
    shorter = f", or a keepalive_s of {hold // 3}" if hold >= 3 else ""
    mistakes.add((*path, key), wrong, f"a hold_s of {3 * keepalive} or more{shorter}")


def _gobgp(intent: Intent, node: Router, mistakes: Mistakes) -> None:
    """Measured with GoBGP 3.10: it ignores passwords and has no BFD."""
    path = ("bgp", "daemon") if intent.daemon == "gobgp" else (*node.path, "daemon")
    lacks = ["BFD (bgp.bfd)"] if intent.bfd else []
    vrfs = {vrf for uplink in node.uplinks.values() for vrf in uplink.given}
    keys = [f"vrfs.{vrf}.password" for vrf in sorted(vrfs) if vrf in intent.vrfs and intent.vrfs[vrf].password]
    lacks += [f"passwords ({listed(keys)})"] if keys else []
    if lacks:
        mistakes.add(path, f"gobgp has no {' and no '.join(lacks)}", "use bird, or remove them")
