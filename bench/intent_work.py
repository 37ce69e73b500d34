"""The inventory plugin's work on an intent, without Ansible; intent.py measures it from outside.

intent_work.py [--profile] INVENTORY

Prints seconds by part, as JSON; --profile: functions sorted by time.
"""

from __future__ import annotations

import cProfile
import gc
import json
import pstats
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def resolve(inventory: str) -> dict[str, float]:
    sys.path.insert(0, str(PROJECT / "collections"))
    times, last = {}, time.perf_counter()

    def done(part: str) -> None:
        nonlocal last
        times[part], last = time.perf_counter() - last, time.perf_counter()

    from ansible_collections.routed.hypervisor.plugins.plugin_utils import inventory as composed  # noqa: PLC0415
    from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent import read  # noqa: PLC0415

    done("import")
    gc.disable()  # as the plugin does
    intent = read.read(f"{inventory}/fabric.yml")
    done("read and check")
    composed.inventory(intent, owner=inventory)
    done("resolve")
    return times


def main() -> None:
    *options, inventory = sys.argv[1:]
    if options == ["--profile"]:
        profile = cProfile.Profile()
        print(json.dumps(profile.runcall(resolve, inventory)))
        for order in ("cumulative", "tottime"):
            pstats.Stats(profile).strip_dirs().sort_stats(order).print_stats(45)
    else:
        print(json.dumps(resolve(inventory)))


if __name__ == "__main__":
    main()
