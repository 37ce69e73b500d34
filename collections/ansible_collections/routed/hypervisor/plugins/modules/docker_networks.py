#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_networks
short_description: Docker's ipvlan networks, and the settings that they need
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Creates ipvlan networks of Docker, and removes those that carry our label and are not wanted. Networks of others are
    left alone.
  - Merges settings into C(daemon.json) without touching other keys, and restarts dockerd if they changed.
  - Refuses to change or remove a network with containers, and to restart dockerd if that would stop containers, and
    names them.
  - Refuses a mode other than that of the links which the parent has, whatever their namespace, because it would become
    their mode; a parent that does not exist, which Docker would create; and a parent with macvlan links.
  - C(community.docker.docker_network) needs Python libraries on the managed host, and disconnects running containers to
    change or remove a network.
requirements:
  - C(docker) and C(dockerd) (Debian package C(docker.io)) on the managed host
attributes:
  check_mode:
    support: full
    description: Reports exactly what a run would do. A parent that does not exist yet is no error.
  diff_mode:
    support: none
    description: The changes have what differs before and after.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  networks:
    description: The networks.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      parent:
        description: The interface that containers' links are on.
        type: str
        required: true
      mode:
        description: The mode of all links on this interface. V(l3s) needs Docker 22.06 or newer.
        type: str
        choices: [l2, l3, l3s]
        required: true
      subnets:
        description: Its subnets.
        type: list
        elements: dict
        required: true
        suboptions:
          subnet:
            description: The prefix.
            type: str
            required: true
          range:
            description: The part of it from which containers have addresses; default, all of it.
            type: str
          gateway:
            description: The router. In l3, where containers use none, it is an address that no container may have.
            type: str
  settings:
    description: Settings of dockerd, if there is a network. With another list of networks, they are taken out again.
    type: dict
    default: {}
  daemon_json:
    description: The file with dockerd's settings.
    type: path
    default: /etc/docker/daemon.json
  former:
    description: The file that records what settings were before.
    type: path
    default: /var/lib/routed-hypervisor/former.json
  state:
    description:
      - V(overridden) also removes networks of ours that are not listed.
      - V(pruned) only removes what is not listed, and refuses if others have links in another mode on a master. It is
        meant for before the host's interfaces are changed.
      - V(deleted) removes all networks of ours, and restores the settings.
    type: str
    choices: [overridden, pruned, deleted]
    default: overridden
  timeout:
    description: Seconds to wait for dockerd.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: A network for Docker
  routed.hypervisor.docker_networks:
    networks:
      - name: web
        parent: web
        mode: l2
        subnets: [{subnet: 192.0.2.0/24, range: 192.0.2.192/26, gateway: 192.0.2.1}]
    settings: {ip-forward: false}

- name: Remove all networks of ours
  routed.hypervisor.docker_networks:
    state: deleted
"""

RETURN = r"""
changes:
  description: The changes made, or predicted in check mode, in order. M(routed.hypervisor.network) explains the keys.
  type: list
  elements: dict
  returned: success
  sample:
    - kind: networks
      op: create
      name: web
      before: {}
      after: {driver: ipvlan, parent: web, mode: l2, subnets: [[192.0.2.0/24, 192.0.2.192/26, 192.0.2.1]]}
      why: it does not exist
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._daemon.files import FileError
from ..module_utils._daemon.service import ServiceError
from ..module_utils._engine.former import Former
from ..module_utils._engine.lock import Held, host_lock
from ..module_utils._runtimes.docker import DockerError, apply, plan
from ..module_utils._runtimes.settings import SettingsError
from ..module_utils._runtimes.slaves import MODES

TEXT = {"type": "str", "required": True}
SUBNET = {"subnet": TEXT, "range": {"type": "str"}, "gateway": {"type": "str"}}
NETWORK = {
    "name": TEXT,
    "parent": TEXT,
    "mode": {**TEXT, "choices": list(MODES)},
    "subnets": {"type": "list", "elements": "dict", "required": True, "options": SUBNET},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "networks": {"type": "list", "elements": "dict", "default": [], "options": NETWORK},
            "settings": {"type": "dict", "default": {}},
            "daemon_json": {"type": "path", "default": "/etc/docker/daemon.json"},
            "former": {"type": "path", "default": "/var/lib/routed-hypervisor/former.json"},
            "state": {"type": "str", "choices": ["overridden", "pruned", "deleted"], "default": "overridden"},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    try:
        with contextlib.nullcontext() if module.check_mode else host_lock():
            former = Former(module.params["former"])
            made = plan(module.params, former, module.check_mode)
            if not module.check_mode:
                apply(made, former)
    except (DockerError, FileError, Held, OSError, ServiceError, SettingsError) as error:
        module.fail_json(msg=str(error))
    changes = [change.shown() for change in made.changes]
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
