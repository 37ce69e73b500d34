#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nftables
short_description: One table of nftables, replaced as a whole
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Replaces a table of family C(inet) by the table in a text, in one transaction, if they differ. Manual changes of the
    table are detected. Other tables are never touched.
  - The text is first loaded in a network namespace of its own, and then checked by C(nft --check) where it is to be
    loaded. If either fails, nothing is changed.
  - No file is written. As with VRFs and routes, only the running state of the kernel is configured.
  - Replacing the table resets its counters to 0.
requirements:
  - C(nft) (Debian package C(nftables)) and C(unshare) (C(util-linux)) on the managed host
attributes:
  check_mode:
    support: full
    description: Reports exactly what a run would do; nft runs in check mode, too.
  diff_mode:
    support: full
    description: Shows the table as nft lists it, before and after.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  table:
    description: Name of the table, of family C(inet).
    type: str
    default: routed_hypervisor
  text:
    description:
      - The input of C(nft --file). It must replace the table itself (C(add table), C(delete table), C(table)), and
        contain no other table. Its first line must contain C(Managed by Routed Hypervisor).
      - Use C(iifname) instead of C(iif), because interfaces may not exist yet.
    type: str
  state:
    description: V(absent) deletes the table.
    type: str
    choices: [present, absent]
    default: present
  required:
    description:
      - Whether a kernel without nftables of family C(inet) is an error. With V(false) it is a warning, and the table is
        omitted.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Drop packets from a guest's port
  routed.hypervisor.nftables:
    table: example
    text: |
      # Managed by Routed Hypervisor
      add table inet example
      delete table inet example
      table inet example {
        chain input {
          type filter hook input priority filter; policy accept;
          meta sdifname "vm1" drop
        }
      }

- name: Remove it
  routed.hypervisor.nftables:
    table: example
    state: absent
"""

RETURN = r"""
changes:
  description:
    - The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
    - The texts of the table before and after are in the difference, not here.
  type: list
  elements: dict
  returned: success
  sample:
    - kind: tables
      op: replace
      name: inet routed_hypervisor
      before: {}
      after: {}
      why: differs
left_out:
  description: Why the table was omitted, or null.
  type: str
  returned: success
  sample: "this kernel has no nftables of family inet (Error: Could not process rule: Operation not supported)"
"""

import contextlib
import os
import shutil

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._daemon.nftables import MARK, TABLE, NftablesError, Table, lacking
from ..module_utils._daemon.service import PATH
from ..module_utils._engine.change import Change
from ..module_utils._engine.lock import Held, host_lock

ENVIRONMENT = {"LC_ALL": "C", "PATH": PATH}


def manage(module: AnsibleModule) -> dict:
    name, text = module.params["table"], module.params["text"]

    def run(argv):
        return module.run_command(argv, environ_update=ENVIRONMENT)

    if text is not None and MARK not in text.partition("\n")[0]:
        raise NftablesError(f"the first line of the text does not contain `{MARK}`")
    table = Table(name, run)
    if shutil.which("nft", path=PATH) is None:
        if module.params["state"] == "absent":
            return {"changed": False, "changes": [], "left_out": None}
        raise NftablesError("nft is not installed: install the package nftables")
    before, after = table.here(), None
    if module.params["state"] == "absent":
        if before is not None and not module.check_mode:
            table.delete()
    else:
        # A file instead of a pipe: nft may fail before it reads.
        path = os.path.join(module.tmpdir, "nftables.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            after = table.meaning(path)
        except NftablesError:
            # Only now, because probing the kernel creates a network namespace.
            reason = lacking(run)
            if reason is None:
                raise
            if module.params["required"]:
                raise NftablesError(
                    f"{reason}, so the table inet {name} cannot be loaded; nothing was changed"
                ) from None
            module.warn(
                f"The table inet {name} of nftables is omitted: {reason}. This host is not protected from guests."
            )
            return {"changed": False, "changes": [], "left_out": reason}
        if before != after:
            table.check(path)
            if not module.check_mode:
                table.load(path, after)
    op = "delete" if after is None else "create" if before is None else "replace"
    why = {"delete": "is to be deleted", "create": "it does not exist", "replace": "differs"}[op]
    changes = [Change("tables", op, f"inet {name}", why).shown()] if before != after else []
    diff = {
        "before": before or "",
        "after": after or "",
        "before_header": f"inet {name}",
        "after_header": f"inet {name}",
    }
    return {"changed": bool(changes), "changes": changes, "left_out": None, "diff": diff}


def main():
    module = AnsibleModule(
        argument_spec={
            "table": {"type": "str", "default": TABLE},
            "text": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "required": {"type": "bool", "default": True},
        },
        required_if=[("state", "present", ["text"])],
        supports_check_mode=True,
    )
    if not module.params["table"].replace("_", "").isalnum():
        module.fail_json(
            msg=f"table: {module.params['table']!r} is not a table name: only letters, digits and _ are allowed"
        )
    try:
        with contextlib.nullcontext() if module.check_mode else host_lock():
            result = manage(module)
    except (Held, NftablesError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
