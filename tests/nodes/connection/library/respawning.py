#!/usr/bin/python
from __future__ import annotations

import sys

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module


def main():
    module = AnsibleModule({})
    if not has_respawned():
        respawn_module(probe_interpreters_for_module(["/nonexistent", "/usr/bin/python3"], "json"))
    module.exit_json(changed=False, respawned=has_respawned(), interpreter=sys.executable)


if __name__ == "__main__":
    main()
