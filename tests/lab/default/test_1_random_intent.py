"""Changes of the intent at random, with drift of others: predicted line by line, applied, and nothing is lost.

INTENT_ROUNDS=30 for 300 changes: ten in each round. INTENT_SEED for others.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter

import pytest
import yaml
from drifts import DRAWS, Drift
from intents import draw_changes
from test_1_random_drift import changes

pytestmark = pytest.mark.long
CHANGES = 10
ROUNDS = int(os.environ.get("INTENT_ROUNDS", "2"))
SEED = os.environ.get("INTENT_SEED", "1")
# Of a lab's stages, those of a router. Guests and cables change the kernel of hypervisors by themselves.
STAGES = ("--tags", "network,firewall,routing,services")
# Wherever it is, a run leaves it alone.
FOREIGN = ("foreign link", "foreign rule", "foreign vrf")


@pytest.fixture(scope="module")
def original(lab):
    """The intent, which is as before after these tests."""
    text = lab.intent.read_text()
    yield text
    lab.intent.write_text(text)
    run = lab.play("--skip-tags", "verify")
    assert run.code == 0, run.output


@pytest.fixture(scope="module")
def counted():
    """How many changes of each kind were made; printed at the end."""
    counted: Counter[str] = Counter()
    yield counted
    print(*(f"{count:4d} {kind}" for kind, count in sorted(counted.items())), f"{counted.total()} changes", sep="\n")


def shown(run) -> list[str]:
    """The lines of all diffs, without times of files that are their headers."""
    lines = [line.rstrip() for line in run.output.splitlines() if re.match(r"[+-](?![+-])", line)]
    return sorted(lines)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_ten_changes(lab, original, counted, number):
    r = random.Random(f"{SEED}.{number}")
    intent = yaml.safe_load(lab.intent.read_text())
    names = draw_changes(r, intent, CHANGES)
    drifts: list[Drift] = [DRAWS[kind](r, 3 * number + place) for place, kind in enumerate(FOREIGN)]
    made = "\n".join([f"seed {SEED}.{number}", *names, *map(str, drifts), yaml.safe_dump(intent)])
    lab.intent.write_text(yaml.safe_dump(intent, sort_keys=False))
    for drift in drifts:
        lab.run(drift.node, "sh", "-c", drift.command)
    try:
        predicted = lab.play("--check", "--diff", *STAGES)
        assert predicted.code == 0, f"{made}\n{predicted.output}"
        applied = lab.play("--diff", *STAGES)
        assert applied.code == 0, f"{made}\n{applied.output}"
        assert changes(applied) == changes(predicted), made
        assert shown(applied) == shown(predicted), made
        again = lab.play(*STAGES)
        assert again.code == 0 and not again.changed, f"{made}\n{changes(again)}"
        lost = [drift for drift in drifts if lab.tried(drift.node, "sh", "-c", drift.survives)[0]]
        assert not lost, f"{made}\nlost:\n" + "\n".join(map(str, lost))
    except AssertionError:
        lab.intent.write_text(original)
        lab.play("--skip-tags", "verify")  # a failure of this round is not one of the next
        raise
    finally:
        for drift in drifts:
            lab.tried(drift.node, "sh", "-c", drift.undo)
    counted.update(names)
