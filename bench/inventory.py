"""What `ansible-inventory` takes for a large intent, and to refuse one with mistakes.

Hypervisors with 20 guests each. graph: the inventory plugin's work, and hardly any output; list: as JSON, which has the
variables of all hosts. mistake: one wrong prefix. mistakes: a wrong prefix that all guests are outside of. unknown: as
many unknown keys as there are guests, times 30. Times are of whole processes, including 1 s for the start of Ansible.
"""

from __future__ import annotations

import copy
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from measure import PROJECT, Results, arguments, process

sys.path.extend([str(PROJECT / "tests"), str(PROJECT / "collections")])
from support.intent_samples import many

GUESTS = 20
REFUSAL_S = 2
UNKNOWN = 30  # keys for each guest


def intents(hypervisors: int) -> Iterator[tuple[str, str, dict]]:
    """(step, option, intent)"""
    intent = many(hypervisors, GUESTS)
    yield "graph", "--graph", intent
    yield "list", "--list", intent
    for step, prefix in (("mistake", "100.64.0.0/33"), ("mistakes", "100.164.0.0/16")):
        wrong = copy.deepcopy(intent)
        wrong["segments"]["guests"]["ipv4"] = prefix
        yield step, "--list", wrong
    yield "unknown", "--list", {**intent, **{f"key{n}": n for n in range(UNKNOWN * hypervisors * GUESTS)}}


def measure(hypervisors: int, given, results: Results) -> None:
    settings = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    for step, option, intent in intents(hypervisors):
        with tempfile.TemporaryDirectory() as directory:
            text = yaml.dump(intent, Dumper=dumper, sort_keys=False)
            Path(directory, "fabric.yml").write_text(text)
            command = f"{sys.executable} -m ansible.cli.inventory -i {directory} {option} >/dev/null 2>&1"
            is_refused = step not in ("graph", "list")
            script = ["sh", "-c", f"{'! ' if is_refused else ''}{command}"]
            seen = [process(script, cwd=PROJECT, env=settings) for _ in range(given.runs)]
        case = f"{hypervisors} hypervisors, {len(text) / 1e6:.1f} MB"
        results.seen[f"{hypervisors} {step}"] = seen
        seconds, memory = (statistics.median(run[part] for run in seen) for part in (0, 1))
        aim = (f"aim of {REFUSAL_S} s", REFUSAL_S, 1) if is_refused else ()
        results.add(case, step, seconds, *aim)
        results.add(case, f"{step}, memory", memory, unit="MB")


def main() -> None:
    given = arguments(__doc__, sizes=[500], runs=3)
    results = Results(__file__, given)
    for hypervisors in given.sizes:
        measure(hypervisors, given, results)
    results.finish()


if __name__ == "__main__":
    main()
