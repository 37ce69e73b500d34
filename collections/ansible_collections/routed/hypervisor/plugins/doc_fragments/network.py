# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module for all kinds, composed of those of the modules of one kind."""

from __future__ import annotations

from textwrap import indent

from .links import ModuleDocFragment as Links
from .routing import ModuleDocFragment as Routing


def _together(**kinds: str) -> str:
    """The option C(config) with a suboption for each kind, equal to C(config) of the module of that kind."""
    lists = [text.replace("\noptions:\n  config:", f"  {kind}:", 1) for kind, text in kinds.items()]
    description = "The objects of each kind. A kind that is not given is left alone."
    head = f"options:\n  config:\n    description: {description}\n    type: dict\n    suboptions:\n"
    return head + indent("".join(lists), "    ")


class ModuleDocFragment:
    # Annotated, because ansible-test treats every plain assignment here as literal text.
    DOCUMENTATION: str = _together(
        sysctls=Routing.SYSCTLS,
        vrfs=Links.VRFS,
        namespaces=Links.NAMESPACES,
        interfaces=Links.INTERFACES,
        ipvlan_links=Links.IPVLAN_LINKS,
        proxy_arp=Routing.PROXY_ARP,
        routes=Routing.ROUTES,
        rules=Routing.RULES,
    )
