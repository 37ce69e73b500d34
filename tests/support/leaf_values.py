"""What a leaf's templates are given: data written by hand, or resolved from an inventory, as it is or for switches."""

from __future__ import annotations

import copy
import functools
import re
import tempfile
from pathlib import Path

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import read
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

from .modules import PROJECT
from .templates import variables

INVENTORIES = PROJECT / "inventories"
LABS = [path.parent.name for path in sorted(INVENTORIES.glob("*/fabric.yml")) if "platform: frr" in path.read_text()]
BY_HAND = ["leaf_contiv", "leaf_full"]


def intent_of(lab: str, platform: str) -> str:
    """A lab's intent; for nxos with the change that makes switches of its leaves: one word each, and no lab."""
    text = (INVENTORIES / lab / "fabric.yml").read_text()
    if platform == "nxos":
        text = re.sub(r"^lab:.*\n(?: .*\n)*", "", text.replace("platform: frr", "platform: nxos"), flags=re.MULTILINE)
    return text


@functools.cache
def resolved(lab: str, platform: str) -> dict[str, dict]:
    """The variables of a lab's leaves, by name."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "fabric.yml")
        path.write_text(intent_of(lab, platform))
        made = inventory(read(str(path)), owner="/somewhere").host_vars
    return {name: values for name, values in made.items() if "leaf" in values}


RESOLVED = [f"{lab}/{leaf}" for lab in LABS for leaf in resolved(lab, "frr")]


def values_of(name: str, platform: str = "nxos") -> dict:
    """The variables of a leaf: NAME is that of a file in data, or LAB/LEAF."""
    if name in BY_HAND:
        return variables(name)
    lab, _slash, leaf = name.partition("/")
    values = copy.deepcopy(resolved(lab, platform)[leaf])
    keys = {session["password_key"] for session in values["bgp"]["sessions"]}
    return {**values, "bgp_passwords": {key: "a-password" for key in keys if key}}
