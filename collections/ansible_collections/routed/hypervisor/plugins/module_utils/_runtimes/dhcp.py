# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DHCP daemon of the CNI plugins, as the role cni runs it. Private to this collection."""

from __future__ import annotations

import contextlib
import socket

SOCKET = "/run/routed-hypervisor-cni-dhcp.sock"
LOST = f"{SOCKET}.lost"  # containers whose leases nothing renews, one a line


def problems() -> list[str]:
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(SOCKET):
            return ["the DHCP daemon of the CNI plugins does not run, and nothing renews leases"]
    with contextlib.suppress(FileNotFoundError), open(LOST, encoding="utf-8", errors="replace") as file:
        lost = "; ".join(file.read().splitlines())
        return [f"addresses that are not renewed since the DHCP daemon was restarted: {lost}"]
    return []
