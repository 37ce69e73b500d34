#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_image
short_description: Build the image that lab nodes run on
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Builds a directory tree of Debian packages with C(mmdebstrap), once. Nothing is installed or started on the machine.
  - The tree's name is a fingerprint of its content (suite, packages, recipe). Other packages result in another tree.
    An existing tree is left alone, without access to the network.
  - An interrupted build leaves nothing that could be mistaken for an image; the next run removes its remains.
requirements:
  - root
  - mmdebstrap, C(unshare) and C(setpriv) (util-linux), if the image does not exist yet
attributes:
  check_mode:
    support: full
    description: Reports whether an image would be built or removed, and does neither.
  diff_mode:
    support: full
    description: Shows the image before and after.
  idempotent:
    support: full
    description: A second run with the same options changes nothing. Packages in an image are never updated.
options:
  path:
    description: The cache directory. Images are in its subdirectory C(images).
    type: path
    required: true
  packages:
    description: The Debian packages in the image besides the required ones. Order and repetition do not matter.
    type: list
    elements: str
    required: true
  suite:
    description: The Debian release.
    type: str
    default: bookworm
  command:
    description:
      - The mmdebstrap command, as a list of words.
      - By default the machine's own, else the one unpacked in the cache (C(tools/usr/bin/mmdebstrap) under O(path)).
    type: list
    elements: str
  keyring:
    description:
      - The keyring to verify the archive with.
      - By default Debian's keyring of this machine, else the one unpacked in the cache, else the keys that apt trusts.
    type: path
  state:
    description:
      - V(present) builds the image if it does not exist.
      - V(absent) removes the image with these packages. Nodes that run on it must be removed first.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Build the image that lab nodes run on
  routed.hypervisor.lab_image:
    path: /var/cache/routed-hypervisor
    packages: [bird2, catatonit, iproute2, procps, python3, python3-pyroute2]
  register: image

- name: Create a node on it
  routed.hypervisor.lab_nodes:
    lab: example
    image: "{{ image.path }}"
    config:
      - name: hv1
"""

RETURN = r"""
changes:
  description: The changes made, or predicted in check mode. M(routed.hypervisor.network) explains the keys.
  type: list
  elements: dict
  returned: success
  sample:
    - kind: images
      op: create
      name: /var/cache/routed-hypervisor/images/0c5f4bd7a3f1
      before: {}
      after: {}
      why: it does not exist
path:
  description: The directory of the image. In check mode it may not exist yet.
  type: str
  returned: success
  sample: /var/cache/routed-hypervisor/images/0c5f4bd7a3f1
fingerprint:
  description: The digest of suite, packages and recipe.
  type: str
  returned: success
  sample: 0c5f4bd7a3f1
size_mb:
  description: The image's size in MB; 0 if it does not exist.
  type: int
  returned: success
  sample: 281
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._lab.image import (
    OPTIONS,
    Image,
    ImageError,
    answer,
    build,
    find_builder,
    find_keyring,
    leftovers,
    locked,
    remove,
)


def bring_to_state(module: AnsibleModule, image: Image) -> None:
    """Builds or removes the image if necessary."""
    wanted = module.params["state"] == "present"
    if image.exists() == wanted:
        return
    if os.geteuid() != 0:
        raise ImageError("only root can build or remove an image: run this as root")
    cache = Path(module.params["path"])
    builder = find_builder(cache, module.params["command"]) if wanted else []
    if not module.check_mode:
        with locked(image.images):
            for path in leftovers(image):
                remove(path)
            if not wanted:
                remove(image.path)
                remove(image.record)
            elif not image.exists():
                # The packages' scripts run in the image and expect the PATH of a system.
                environment = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"}
                keyring = find_keyring(cache, module.params["keyring"])
                build(image, builder, keyring, lambda words: module.run_command(words, environ_update=environment))


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    parameters = module.params
    image = Image(Path(parameters["path"]) / "images", parameters["suite"], tuple(parameters["packages"]))
    existed = image.exists()
    try:
        bring_to_state(module, image)
    except ImageError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer(image, parameters["state"], existed))


if __name__ == "__main__":
    main()
