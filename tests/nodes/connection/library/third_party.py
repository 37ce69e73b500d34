#!/usr/bin/python
from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.where import HOSTNAME, describe


def main():
    module = AnsibleModule({"word": {"type": "str", "required": True}}, supports_check_mode=True)
    module.warn("a warning")
    archive = __file__.partition(".zip/")[0] + ".zip"
    module.exit_json(
        changed=False,
        word=module.params["word"],
        seen=describe(),
        imported_on=HOSTNAME,
        file=os.path.basename(__file__),
        archive=os.path.isfile(archive),
    )


if __name__ == "__main__":
    main()
