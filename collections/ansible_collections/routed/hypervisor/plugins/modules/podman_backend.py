#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: podman_backend
short_description: Have podman use CNI networks
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Writes a file with C(network_backend="cni"), so that podman has the networks of M(routed.hypervisor.cni_networks).
    C(podman network create) refuses ipvlan networks on an interface of choice with both of its backends.
  - Refuses podman 5, which has no CNI; and to change the backend while there are containers, which would lose their
    networks, and names them.
requirements:
  - C(podman) 4 (Debian 12) on the managed host
attributes:
  check_mode:
    support: full
    description: Reports exactly what a run would do.
  diff_mode:
    support: none
    description: The content of the file is always the same.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  path:
    description: The file.
    type: path
    default: /etc/containers/containers.conf.d/90-routed-hypervisor.conf
  state:
    description: V(absent) removes the file.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Have podman use CNI
  routed.hypervisor.podman_backend:

- name: Leave the choice to podman
  routed.hypervisor.podman_backend:
    state: absent
"""

RETURN = r"""
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  type: list
  elements: dict
  returned: success
  sample:
    - kind: files
      op: create
      name: /etc/containers/containers.conf.d/90-routed-hypervisor.conf
      before: {}
      after: {}
      why: it does not exist
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._daemon.files import FileError
from ..module_utils._daemon.service import ServiceError
from ..module_utils._runtimes.podman import PodmanError, apply, plan

PATH = "/etc/containers/containers.conf.d/90-routed-hypervisor.conf"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": PATH},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    try:
        made = plan(module.params["path"], module.params["state"])
        if not module.check_mode:
            apply(made)
    except (FileError, PodmanError, ServiceError) as error:
        module.fail_json(msg=str(error))
    changes = [change.shown() for change in made.changes]
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
