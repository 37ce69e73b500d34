# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What IPv6 itself sets, for intents and modules. Private to this collection."""

from __future__ import annotations

IPV6_MTU = 1280  # RFC 8200, section 5; with a smaller one, the kernel removes IPv6 from a link


def interface_identifier(mac: str) -> int:
    """The lower 64 bits of the addresses that a host with this MAC generates (RFC 4291, appendix A)."""
    number = int(mac.replace(":", ""), 16) ^ 1 << 41  # the universal bit, inverted
    return number >> 24 << 40 | 0xFFFE << 24 | number & 0xFFFFFF
