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
  - Runs tasks as root in a node made by M(routed.hypervisor.lab_nodes), or on the machine whose kernel the lab uses.
  - The kernel may be the machine's own, or one that runs as a process and has VRFs if the machine's kernel lacks them.
    The lab's supervisor owns it and listens on the socket C(/run/routed-hypervisor-lab/LAB/socket), which only root
    can use.
  - Python modules run in interpreters that are already running. The modules of this collection share one process per
    node; every other module runs in a fork of its own. A new process is started in the node for everything else -
    commands, file transfers, and modules with become, C(environment) or C(async).
  - Task keywords, facts, files and exit codes work as with any other connection. Set O(lab_connection=cold) for a
    module that only works in a new process.
options:
  lab:
    description:
      - The lab.
    required: true
    vars:
      - name: ansible_node_lab
  owner:
    description:
      - The directory of the lab's inventory. A lab with this name that was made from another directory is rejected.
      - If unset, ownership is not checked.
    vars:
      - name: ansible_node_owner
      - name: lab_owner
  node:
    description:
      - The node; empty for the machine that the nodes are on.
      - C(ansible_host) takes precedence over C(inventory_hostname), because only it names the host that a task is
        delegated to.
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_node_name
  lab_connection:
    description:
      - Whether modules run in interpreters that are already running (V(warm)), or in a new one each time, as on any
        other host (V(cold)).
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
      - Whether modules are sent to the interpreter directly, without temporary files. Required for
        O(lab_connection=warm).
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
# In the inventory; the inventory plugin routed.hypervisor.fabric sets all of this for a lab.
all:
  children:
    lab_nodes:
      hosts:
        hv1:
        vm1:
      vars:
        ansible_connection: routed.hypervisor.node
        ansible_node_lab: example
        ansible_node_owner: /srv/inventories/example
        ansible_python_interpreter: /usr/bin/python3
"""

import os
import shlex

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ..plugin_utils import lab_client
from ..plugin_utils.payload import read_payload

display = Display()

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
SHELL = "/bin/sh -c "


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
            return self._run(head, payload=payload.data)
        return self._run(self._head("exec", command=shell_command(to_text(cmd))), to_bytes(in_data or b""))

    def _head(self, kind, **more):
        node = self.get_option("node") or ""
        owner = self.get_option("owner")
        meant = {"owner": os.path.realpath(owner)} if owner else {}
        return {"kind": kind, "lab": self.get_option("lab"), "node": node, **meant, **self._surroundings(node), **more}

    def _surroundings(self, node):
        """The directory and environment of a job: the node's, or the machine's."""
        if node:
            return {"directory": "/root"}
        names = ("PATH", "HOME", *PROXIES)
        environment = {name: os.environ[name] for name in names if name in os.environ}
        return {"directory": os.getcwd(), "environment": {"LANG": "C.UTF-8", "USER": "root", **environment}}

    def _run(self, head, data=b"", **more):
        try:
            return lab_client.run(self.get_option("lab"), head, data, warn=display.warning, **more)
        except lab_client.LabDown as error:
            raise AnsibleConnectionFailure(str(error)) from None
        except lab_client.JobFailed as error:
            if "is not up" in str(error):
                raise AnsibleConnectionFailure(str(error)) from None
            raise AnsibleError(str(error)) from error

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._play_context.remote_addr)
        head = self._head("exec", command=f"exec cat >{shlex.quote(out_path)}")
        try:
            with open(to_bytes(in_path), "rb") as file:
                # A small file goes with the request.
                data = file.read(lab_client.INPUT_CHUNK)
                if len(data) == lab_client.INPUT_CHUNK:
                    file.seek(0)
                    code, _output, errors = self._run(head, source=file)
                else:
                    code, _output, errors = self._run(head, data)
        except FileNotFoundError as error:
            raise AnsibleFileNotFound(f"file or module does not exist: {in_path}") from error
        if code:
            raise AnsibleError(f"failed to transfer file to {out_path}: {to_text(errors).strip()}")

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._play_context.remote_addr)
        head = self._head("exec", command=f"exec cat <{shlex.quote(in_path)}")
        with open(to_bytes(out_path), "wb") as file:
            code, _output, errors = self._run(head, sink=file)
        if code:
            os.unlink(to_bytes(out_path))
            raise AnsibleError(f"failed to fetch file {in_path}: {to_text(errors).strip()}")


def shell_command(command):
    """The command without Ansible's shell wrapper and without the `sleep 0` that Ansible adds for SSH.

    This saves two of the four processes of a task's command.
    """
    if command.startswith(SHELL):
        try:
            words = shlex.split(command)
        except ValueError:
            return command
        if len(words) == 3 and SHELL + shlex.quote(words[2]) == command:
            text = words[2].removesuffix(" && sleep 0")
            return ["/bin/sh", "-c", words[2] if text.endswith("\\") else text]
    return command
