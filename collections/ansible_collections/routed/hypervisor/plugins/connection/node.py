# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node
short_description: Run tasks in the nodes of a lab
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Runs tasks in a node made by M(routed.hypervisor.lab_nodes), or on the machine in whose kernel the lab is, as root.
  - The kernel may be the machine's own, or one that runs as a process and has VRFs where the machine's has none. The
    lab's supervisor owns it and listens on a socket, C(/run/routed-hypervisor-lab/LAB/socket), which only root can use.
  - Python modules run in interpreters that are up already. Those of this collection share one process for each node,
    all others run in a fork of their own. Everything else - commands, files, modules with become or an environment
    of their own - is started anew in the node.
options:
  lab:
    description:
      - The lab.
    required: true
    vars:
      - name: ansible_node_lab
  node:
    description:
      - The node; empty for the machine that the nodes are on.
    vars:
      - name: inventory_hostname
      - name: ansible_node_name
  lab_connection:
    description:
      - Whether modules run in interpreters that are up (V(warm)), or are started anew each time, as on any host
        (V(cold)).
    choices: [warm, cold]
    default: warm
    env:
      - name: ROUTED_HYPERVISOR_LAB_CONNECTION
    vars:
      - name: lab_connection
  remote_user:
    description:
      - The user that tasks run as. Only V(root) is possible; use become for others.
    default: root
    vars:
      - name: ansible_user
  pipelining:
    description:
      - Whether modules are given to the interpreter directly, without temporary files. Needed for V(warm).
    type: boolean
    default: true
    env:
      - name: ANSIBLE_PIPELINING
    ini:
      - section: defaults
        key: pipelining
    vars:
      - name: ansible_pipelining
"""

EXAMPLES = r"""
# In the inventory; the inventory plugin routed.hypervisor.fabric sets all of it for a lab.
all:
  children:
    lab_nodes:
      hosts:
        hv1:
        vm1:
      vars:
        ansible_connection: routed.hypervisor.node
        ansible_node_lab: example
        ansible_python_interpreter: /usr/bin/python3
"""

import os
import shlex

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client
from ansible_collections.routed.hypervisor.plugins.plugin_utils.payload import read_payload

display = Display()

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


class Connection(ConnectionBase):
    transport = "routed.hypervisor.node"
    has_pipelining = True
    default_user = "root"

    def _connect(self):
        user = self.get_option("remote_user") or "root"
        if user != "root":
            raise AnsibleError(f"ansible_user is {user}: tasks in a lab run as root; use become_user for others")
        self._connected = True
        return self

    def close(self):
        self._connected = False

    def reset(self):
        self.close()

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        display.vvv(f"EXEC {to_text(cmd)}", host=self._play_context.remote_addr)
        payload = None
        if in_data and self.get_option("lab_connection") == "warm":
            payload = read_payload(to_text(cmd), to_bytes(in_data))
        if payload:
            head = self._head("module", persistent=True, **payload.request)
            return self._run(head, b"", payload.data)
        head = self._head("exec", command=to_text(cmd), **self._surroundings())
        return self._run(head, to_bytes(in_data or b""))

    def _head(self, kind, **more):
        return {"kind": kind, "lab": self.get_option("lab"), "node": self.get_option("node") or "", **more}

    def _surroundings(self):
        """The directory and environment of a command: a node's own, or for the machine what belongs to it."""
        if self.get_option("node"):
            return {"directory": "/root"}
        names = ("PATH", "HOME", *PROXIES)
        environment = {name: os.environ[name] for name in names if name in os.environ}
        return {"directory": os.getcwd(), "environment": {"LANG": "C.UTF-8", "USER": "root", **environment}}

    def _run(self, head, data, payload=bytes):
        try:
            return lab_client.run(self.get_option("lab"), head, data, payload)
        except lab_client.LabDown as error:
            raise AnsibleConnectionFailure(str(error)) from error
        except lab_client.JobFailed as error:
            if "is not up" in str(error):
                raise AnsibleConnectionFailure(str(error)) from error
            raise AnsibleError(str(error)) from error

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._play_context.remote_addr)
        try:
            with open(to_bytes(in_path), "rb") as file:
                data = file.read()
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"file or module does not exist: {in_path}") from error
        head = self._head("exec", command=f"cat >{shlex.quote(out_path)}", **self._surroundings())
        code, _output, errors = self._run(head, data)
        if code:
            raise AnsibleError(f"failed to transfer file to {out_path}: {to_text(errors).strip()}")

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._play_context.remote_addr)
        head = self._head("exec", command=f"cat <{shlex.quote(in_path)}", **self._surroundings())
        code, output, errors = self._run(head, b"")
        if code:
            raise AnsibleError(f"failed to fetch file {in_path}: {to_text(errors).strip()}")
        with open(to_bytes(out_path), "wb") as file:
            file.write(output)
