"""Changes of the intent at random, with drift of others: predicted line by line, applied, and nothing is lost.

Twenty in each round: INTENT_ROUNDS=15 for 300, which is the default of --long. INTENT_SEED for others.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter

import pytest
import yaml
from drifts import DRAWS, HYPERVISORS, Drift
from intents import draw_changes
from support.waiting import until
from test_1_random_drift import changes

CHANGES = 20
ROUNDS = int(os.environ.get("INTENT_ROUNDS", "15"))
SEED = os.environ.get("INTENT_SEED", "1")
# Of a lab's stages, those of a router. Guests and cables change the kernel of hypervisors by themselves.
STAGES = ("--tags", "network,firewall,routing,services")
# Wherever it is, a run leaves it alone.
FOREIGN = ("foreign link", "foreign rule", "foreign vrf")
# On something of ours, and lost with it if a change removes that.
ON_OURS = ("foreign address", "foreign link in our vrf", "foreign neighbor", "foreign proxy", "foreign route")


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
    """How many changes of each kind were made, with those of others; printed at the end."""
    counted: Counter[str] = Counter()
    yield counted
    of_others = sum(count for kind, count in counted.items() if kind.startswith("foreign"))
    print(*(f"{count:4d} {kind}" for kind, count in sorted(counted.items())), sep="\n")
    print(f"{counted.total() - of_others} changes of the intent, {of_others} of others")


def shown(run) -> list[str]:
    """The lines of all diffs, without times of files that are their headers."""
    lines = [line.rstrip() for line in run.output.splitlines() if re.match(r"[+-](?![+-])", line)]
    return sorted(lines)


def mispredicted(foreseen: dict, made: dict) -> list[str]:
    """What was predicted and not done, and what was done and not predicted."""
    return [
        f"{sign} {key[0]}: {one}"
        for key in foreseen | made
        for sign, these, others in (("-", foreseen, made), ("+", made, foreseen))
        for one in these.get(key, [])
        if one not in others.get(key, [])
    ]


def is_lost(lab, drift: Drift) -> bool:
    return lab.tried(drift.node, "sh", "-c", drift.survives)[0] != 0


def converge(lab) -> None:
    """Routes that BIRD learns between a prediction and a run would make the difference."""
    not_up = 'birdc show protocols | awk \'$2 == "BGP" && $6 != "Established"\''
    routes = "ip route show table all proto bird; ip -6 route show table all proto bird"
    known: list[list[str]] = []

    def settled() -> bool:
        known.append([lab.run(node, "sh", "-c", routes) for node in HYPERVISORS])
        is_up = not any(lab.run(node, "sh", "-c", not_up) for node in HYPERVISORS)
        return is_up and known[-1] in known[-2:-1]

    until(settled, 60, "sessions are up, and no new routes are learned", 1)


@pytest.mark.parametrize("number", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, ROUNDS))])
def test_twenty_changes(lab, original, counted, number):
    r = random.Random(f"{SEED}.{number}")
    intent = yaml.safe_load(lab.intent.read_text())
    names = draw_changes(r, intent, CHANGES)
    kinds = [*FOREIGN, *r.sample(ON_OURS, 2)]
    drifts: list[Drift] = [DRAWS[kind](r, len(kinds) * number + place) for place, kind in enumerate(kinds)]
    made = "\n".join([f"seed {SEED}.{number}", *names, *map(str, drifts), yaml.safe_dump(intent)])
    lab.intent.write_text(yaml.safe_dump(intent, sort_keys=False))
    converge(lab)
    for drift in drifts:
        if lab.tried(drift.node, "sh", "-c", drift.command)[0] == 0 or drift.kind in FOREIGN:
            lab.run(drift.node, "sh", "-c", drift.survives)
            counted[drift.kind] += 1
    try:
        predicted = lab.play("--check", "--diff", *STAGES)
        assert predicted.code == 0, f"{made}\n{predicted.output}"
        applied = lab.play("--diff", *STAGES)
        assert applied.code == 0, f"{made}\n{applied.output}"
        wrong = mispredicted(changes(predicted), changes(applied))
        assert changes(applied) == changes(predicted), "\n".join([made, *wrong])
        assert shown(applied) == shown(predicted), made
        again = lab.play(*STAGES)
        assert again.code == 0 and not again.changed, f"{made}\n{changes(again)}"
        lost = [drift for drift in drifts if drift.kind in FOREIGN and is_lost(lab, drift)]
        assert not lost, f"{made}\nlost:\n" + "\n".join(map(str, lost))
    except AssertionError:
        lab.intent.write_text(original)
        lab.play("--skip-tags", "verify")  # a failure of this round is not one of the next
        raise
    finally:
        for drift in drifts:
            lab.tried(drift.node, "sh", "-c", drift.undo)
    counted.update(names)
