# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the objects that we create in the kernel carry, so that only they are removed. Private to this collection."""

from __future__ import annotations

MARK = "routed.hypervisor"  # alias of the links that we create
PROTOCOL = 82  # of our routes, rules, addresses and proxy neighbours
FOLLOWED = 85  # of those that the agent adds and removes as guests come and go; runs leave them alone

# Link groups of ports to guests: others create these, we configure them. The firewall drops all packets of closed ones.
OPEN_PORT = 0x52480010
CLOSED_PORT = 0x52480011
