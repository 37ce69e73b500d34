# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What VRFs and interfaces have in common. Private to this collection."""

from __future__ import annotations

from ansible_collections.routed.hypervisor.plugins.module_utils._kernel import LINK, Kernel


def delete_link(kernel: Kernel, name: str) -> None:
    """Gone already is well: a link goes with its parent, its peer or its namespace."""
    kernel.delete(LINK, {}, [("IFLA_IFNAME", name)], missing_ok=True)
