#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ndppd
short_description: The NDP proxy daemon, its proxies and its rules
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Manages the configuration of ndppd 0.2 (Debian 12) and the running service.
  - ndppd itself validates almost nothing. This module parses its language strictly and rejects everything that ndppd
    would misread or ignore, reporting all mistakes together.
  - ndppd binds to its interfaces when it starts. It is restarted if its configuration changes, or if an interface was
    replaced by another one of the same name.
attributes:
  check_mode:
    support: full
    description: Reports exactly what a run would do.
  diff_mode:
    support: full
    description: Shows how the file changes.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  config:
    description: The proxies, one per interface.
    type: list
    elements: dict
    suboptions:
      interface:
        description: Interface whose neighbour solicitations are answered. It must exist.
        type: str
        required: true
      router:
        description: Whether the router flag is set in answers. ndppd's default is V(true).
        type: bool
      timeout:
        description: How many milliseconds to wait for an answer to a forwarded solicitation. Default V(500).
        type: int
      ttl:
        description: How many milliseconds an answer is cached. Default V(30000).
        type: int
      rules:
        description: The addresses to answer for. Rules of one proxy must not overlap.
        type: list
        elements: dict
        suboptions:
          prefix:
            description: IPv6 prefix, or an address.
            type: str
            required: true
          method:
            description:
              - V(static) answers immediately for every address of the prefix. Duplicate address detection of hosts on
                the proxy's interface is not disturbed, because the answer to the unspecified address goes nowhere.
              - V(iface) sends a solicitation on O(config[].rules[].interface) first.
              - V(auto) sends a solicitation on the interface of the first matching route in C(/proc/net/ipv6_route),
                which need not be the longest match, in any routing table. Do not use it with VRFs.
            type: str
            choices: [static, auto, iface]
            required: true
          interface:
            description: The interface for V(iface).
            type: str
  state:
    description:
      - V(merged) adds the proxies in O(config), or sets the given options; rules are added by prefix.
      - V(replaced) makes the proxies in O(config) exactly as given, and leaves others alone.
      - V(overridden) makes them the only ones.
      - V(deleted) removes them, or all if O(config) is not given. With the last proxy, the service is stopped, the file
        removed, and the file that was there before is restored. If all are to be removed and the file is not ours, the
        file and the service are left alone.
      - V(gathered) only returns the content of the file.
    type: str
    choices: [merged, replaced, overridden, deleted, gathered]
    default: merged
  may_be_absent:
    description:
      - Interfaces that need not exist, such as the ports of guests that may be stopped. ndppd does not start without
        one of its interfaces, so their proxies are left out while they are missing.
    type: list
    elements: str
    default: []
  path:
    description: The file that the service reads.
    type: path
    default: /etc/ndppd.conf
  enabled:
    description: Whether the service starts when the host boots. Left alone if not given.
    type: bool
  former:
    description: As O(routed.hypervisor.daemon#module:former).
    type: path
  timeout:
    description: Time limit for a start or a stop, in seconds.
    type: int
    default: 30
extends_documentation_fragment:
  - routed.hypervisor.daemon.renewed
"""

EXAMPLES = r"""
- name: Answer on a guest's port for all its neighbours on other hypervisors
  routed.hypervisor.ndppd:
    config:
      - interface: vm1
        rules:
          - prefix: 2001:db8:cb00:7100::/64
            method: static

- name: Answer on this port only, without the router flag
  routed.hypervisor.ndppd:
    config:
      - interface: vm1
        router: false
        rules:
          - prefix: 2001:db8:cb00:7100::/64
            method: auto
    state: overridden
"""

RETURN = r"""
before:
  description: The proxies in the file.
  type: list
  elements: dict
  returned: always
  sample: []
after:
  description: The proxies that are in the file now, or would be in check mode.
  type: list
  elements: dict
  returned: O(state) is not V(gathered)
  sample:
    - interface: vm1
      router: true
      timeout: 500
      ttl: 30000
      rules: [{prefix: "2001:db8:cb00:7100::/64", method: static, interface: null}]
changes:
  description: Like those of M(routed.hypervisor.daemon).
  type: list
  elements: dict
  returned: O(state) is not V(gathered)
  sample:
    - {kind: services, op: restart, name: ndppd, before: {}, after: {}, why: ndppd.conf changes}
"""

from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._daemon import ndppd
from ..module_utils._daemon.daemon import Daemon, DaemonError
from ..module_utils._daemon.files import FileError, read
from ..module_utils._daemon.options import RENEWED, renewed
from ..module_utils._daemon.plan import Wanted, WantedFile, is_ours
from ..module_utils._daemon.run import converge, interface_index
from ..module_utils._daemon.service import Service
from ..module_utils._engine.former import Former
from ..module_utils._engine.lock import Held, refuse_after_rollback
from ..module_utils._engine.options import Mistakes, in_range, interface_name

PID_FILE = "/run/ndppd.pid"  # ndppd writes it after it has bound its interfaces

ARGUMENTS = {
    "config": {
        "type": "list",
        "elements": "dict",
        "options": {
            "interface": {"type": "str", "required": True},
            "router": {"type": "bool"},
            "timeout": {"type": "int"},
            "ttl": {"type": "int"},
            "rules": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "prefix": {"type": "str", "required": True},
                    "method": {"type": "str", "choices": ["static", "auto", "iface"], "required": True},
                    "interface": {"type": "str"},
                },
            },
        },
    },
    "state": {
        "type": "str",
        "choices": ["merged", "replaced", "overridden", "deleted", "gathered"],
        "default": "merged",
    },
    "may_be_absent": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "path", "default": "/etc/ndppd.conf"},
    "enabled": {"type": "bool"},
    "former": {"type": "path"},
    "renewed": RENEWED,
    "timeout": {"type": "int", "default": 30},
}


def refuse(mistakes: list[str]) -> None:
    if mistakes:
        raise DaemonError("\n".join(f"ndppd: {mistake}" for mistake in mistakes))


def check_config(config: list[dict], deleting: bool) -> None:
    """Reports every mistake in the given proxies, and completes the prefixes of rules."""
    mistakes = Mistakes()
    seen: dict[str, str] = {}
    for number, proxy in enumerate(config):
        place = f"config[{number}]"
        interface_name(proxy["interface"], f"{place}.interface", mistakes)
        if proxy["interface"] in seen:
            mistakes.at(place, f"there is already a proxy for {proxy['interface']} at {seen[proxy['interface']]}")
        seen.setdefault(proxy["interface"], place)
        given = {key: value for key, value in proxy.items() if value is not None}
        for name in ("timeout", "ttl"):
            in_range(given, name, (0, 2**31 - 1), place, mistakes)
        if proxy["rules"] is not None and not deleting:
            places = [f"{place}.rules[{index}]" for index in range(len(proxy["rules"]))]
            ndppd.check_rules(proxy, place, places, mistakes)
    refuse(mistakes)


def desired(params: dict, have: ndppd.Config) -> ndppd.Config:
    want = params["config"] or []
    check_config(want, params["state"] == "deleted")
    gone = {name for name in params["may_be_absent"] if interface_index(name) is None}
    proxies = ndppd.combine(have.proxies, want, params["state"])
    proxies = {name: proxy for name, proxy in proxies.items() if gone.isdisjoint(ndppd.interfaces([proxy]))}
    mistakes = Mistakes()
    for name, proxy in proxies.items():
        # Two valid lists of rules may overlap when they are merged.
        ndppd.check_rules(proxy, f"proxy {name}", [f"proxy {name}"] * len(proxy["rules"]), mistakes)
    refuse(mistakes)
    return ndppd.Config(proxies, have.route_ttl)


def daemon(params: dict, config: ndppd.Config) -> Daemon:
    wanted = Wanted(
        service="ndppd",
        state="started" if config.proxies else "absent",
        files=[WantedFile(params["path"], ndppd.render(config).encode())],
        can_reload=False,
        interfaces=tuple(ndppd.interfaces(config.proxies.values())),
        survives_down=False,  # ndppd 0.2.4 takes a whole processor: poll reports the error again and again
        enabled=params["enabled"],
    )
    former = Former(params["former"]) if params["former"] else None
    service = Service("ndppd", pid_file=PID_FILE, timeout=params["timeout"])
    return Daemon("ndppd", wanted, service, former=former, renewed=renewed(params))


def manage(params: dict, check_mode: bool, scratch: str, warn: Callable[[str], None]) -> dict:
    old = read(params["path"])
    have, mistakes = ndppd.parse(old.content.decode(errors="replace")) if old else (ndppd.Config({}), [])
    state = params["state"]
    exact = state == "overridden" or (state == "deleted" and not params["config"])
    if not exact:
        refuse([f"{params['path']}, {mistake}" for mistake in mistakes])
    before = list(have.proxies.values())
    if state == "gathered":
        return {"changed": False, "before": before}
    if state == "deleted" and exact and old is not None and not is_ours(old.content):
        return {"changed": False, "changes": [], "before": before, "after": before}
    config = desired(params, have)
    result = converge(daemon(params, config), check_mode, scratch, warn)
    return {**result, "before": before, "after": list(config.proxies.values())}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_if=[
            ("state", "merged", ["config"]),
            ("state", "replaced", ["config"]),
            ("state", "overridden", ["config"]),
        ],
    )
    try:
        if not module.check_mode:
            refuse_after_rollback()
        result = manage(module.params, module.check_mode, module.tmpdir, module.warn)
    except (DaemonError, FileError, Held) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
