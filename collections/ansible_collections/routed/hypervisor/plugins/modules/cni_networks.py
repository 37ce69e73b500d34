#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cni_networks
short_description: Networks of containers for any caller of CNI plugins
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Writes configuration files of CNI networks, and removes those that carry our mark and are not wanted. Files of
    others are left alone.
  - C(cniVersion) becomes the newest version, up to the one in the file, that all its plugins support.
  - Refuses what the plugin C(ipvlan) accepts and should not, before anything is changed. These are a mode other than
    that of the links which the master has, whatever their namespace, because it would become their mode; an MTU above
    the master's; and a master with macvlan links.
  - Refuses to remove a network that containers are in, or to change the link of one, and names the containers.
  - Releases the addresses of containers that have gone without the plugin, for instance with a killed runtime, and the
    namespaces in C(/run/routed-hypervisor-netns) without a process, which O(plugin) has mounted.
requirements:
  - the plugins (Debian package C(containernetworking-plugins)) on the managed host
attributes:
  check_mode:
    support: full
    description: Reports exactly what a run would do. A master that does not exist yet is no error.
  diff_mode:
    support: full
    description: Shows the files that change.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  files:
    description: The files, one for each network.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Its path, in O(directory).
        type: path
        required: true
      content:
        description:
          - A configuration list as JSON. Its first line must contain C(Managed by Routed Hypervisor), for instance in
            a key C(comment), which CNI ignores.
        type: str
        required: true
  directory:
    description: The directory that runtimes read.
    type: path
    default: /etc/cni/net.d
  plugins:
    description: The directories of plugins.
    type: list
    elements: path
    default: [/usr/lib/cni, /opt/cni/bin]
  plugin:
    description:
      - A plugin of ours, which files name as C(routed-hypervisor), and which is written beside the plugin C(ipvlan). It
        is removed with the last file. It supports all versions of the specification that have chains.
    type: str
  state:
    description:
      - V(overridden) also removes files of ours that are not listed.
      - V(pruned) only removes what is not listed, and refuses if others have links in another mode on a master. It is
        meant for before the host's interfaces are changed.
      - V(deleted) removes all files of ours.
    type: str
    choices: [overridden, pruned, deleted]
    default: overridden
"""

EXAMPLES = r"""
- name: A network for CNI
  routed.hypervisor.cni_networks:
    files:
      - path: /etc/cni/net.d/90-web.conflist
        content: |
          {"comment": "Managed by Routed Hypervisor",
           "cniVersion": "1.0.0",
           "name": "web",
           "plugins": [{
             "type": "ipvlan", "master": "web", "mode": "l2", "capabilities": {"ips": true},
             "ipam": {"type": "host-local", "dataDir": "/run/routed-hypervisor-cni",
                      "ranges": [[{"subnet": "192.0.2.0/24", "rangeStart": "192.0.2.64", "rangeEnd": "192.0.2.127"}]],
                      "routes": [{"dst": "0.0.0.0/0", "gw": "192.0.2.1"}]}}]}

- name: Remove all networks of ours
  routed.hypervisor.cni_networks:
    state: deleted
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
      name: /etc/cni/net.d/90-web.conflist
      before: {}
      after: {}
      why: it does not exist
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._daemon.files import FileError
from ..module_utils._engine.lock import Held, host_lock
from ..module_utils._runtimes.cni import CniError, apply, difference, plan


def main() -> None:
    file = {"path": {"type": "path", "required": True}, "content": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "default": [], "options": file},
            "directory": {"type": "path", "default": "/etc/cni/net.d"},
            "plugins": {"type": "list", "elements": "path", "default": ["/usr/lib/cni", "/opt/cni/bin"]},
            "plugin": {"type": "str"},
            "state": {"type": "str", "choices": ["overridden", "pruned", "deleted"], "default": "overridden"},
        },
        supports_check_mode=True,
    )
    try:
        with contextlib.nullcontext() if module.check_mode else host_lock():
            made = plan(module.params, module.check_mode)
            if not module.check_mode:
                apply(made)
    except (CniError, FileError, Held) as error:
        module.fail_json(msg=str(error))
    changes = [change.shown() for change in made.changes]
    module.exit_json(changed=bool(changes), changes=changes, diff=difference(made))


if __name__ == "__main__":
    main()
