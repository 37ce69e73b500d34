"""Runs modules as a worker of a lab does (docs/lab.md): everything is imported, and a call leaves no state behind.

A request is a line of JSON: module, namespace (of /run/netns, or null), options. The reply is the module's, as a line.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from pathlib import Path

from ansible.module_utils import basic

from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.namespaces import CLONE_NEWNET, setns

MODULES = "ansible_collections.routed.hypervisor.plugins.modules"


def run(module: str, namespace: str | None, options: dict) -> None:
    if namespace:
        with Path("/run/netns", namespace).open("rb") as file:
            setns(file.fileno(), CLONE_NEWNET)
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    importlib.import_module(f"{MODULES}.{module}").main()


def answer(request: dict) -> str:
    """The output of the module, run in a process of its own: a fork costs a few milliseconds."""
    ours, theirs = os.pipe()
    if not os.fork():
        os.dup2(theirs, 1)
        try:
            run(**request)
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as output:
        text = output.read()
    os.wait()
    return " ".join(text.split("\n"))


def main() -> None:
    for name in sys.argv[1:]:
        importlib.import_module(f"{MODULES}.{name}")
    gc.collect()
    gc.freeze()
    gc.disable()
    print(flush=True)  # ready
    for line in sys.stdin:
        print(answer(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
