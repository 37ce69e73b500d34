"""Changes by hand at random: predicted line by line, repaired by one run, and nothing of others is lost."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from conftest import NOT_VERIFIED
from drifts import Drift, draw_round

ROUND = 10
SEED = int(os.environ.get("DRIFT_SEED", "1"))


def changes(run):
    """Every change with its reason, in order, by host and module: what a run prints."""
    return {(task["host"], task["action"], task["task"]): task["changes"] for task in run.tasks if task["changes"]}


def one_round(lab, drifts: list[Drift], seed: str) -> None:
    made = "\n".join([f"seed {seed}", *map(str, drifts)])
    firewall = lab.tried("hv1", "nft", "list", "tables")[0] == 0
    drifts = [drift for drift in drifts if firewall or "nft" not in drift.command]
    for drift in drifts:
        code, output, errors = lab.tried(drift.node, "sh", "-c", drift.command)
        # What other changes of the round have taken away already is not an error.
        assert code == 0 or drift.survives is None, f"{drift}: {output}{errors}"
    try:
        predicted = lab.play("--check", "--diff", *NOT_VERIFIED)
        assert predicted.code == 0, f"{made}\n{predicted.output}"
        repaired = lab.play("--diff", *NOT_VERIFIED)
        assert repaired.code == 0, f"{made}\n{repaired.output}"
        assert changes(repaired) == changes(predicted), made
        lost = [drift for drift in drifts if drift.survives and lab.tried(drift.node, "sh", "-c", drift.survives)[0]]
        assert not lost, f"{made}\nlost:\n" + "\n".join(map(str, lost))
        again = lab.play()
        assert again.code == 0, f"{made}\n{again.output}"
        assert not again.changed, f"{made}\n{changes(again)}"
    except AssertionError:
        lab.play(*NOT_VERIFIED)  # a failure of this round is not one of the next
        raise
    finally:
        for drift in drifts:
            if drift.undo:
                lab.tried(drift.node, "sh", "-c", drift.undo)


@pytest.fixture(scope="module")
def counted():
    """How many changes of each kind were made; printed at the end."""
    counted: Counter[str] = Counter()
    yield counted
    print(*(f"{count:4d} {kind}" for kind, count in sorted(counted.items())), sep="\n")


@pytest.mark.parametrize("number", [*range(2), *(pytest.param(n, marks=pytest.mark.long) for n in range(2, 30))])
def test_ten_changes(lab, counted, number):
    drifts = draw_round(random.Random(f"{SEED}.{number}"), ROUND, ROUND * number)
    counted.update(drift.kind for drift in drifts)
    one_round(lab, drifts, f"{SEED}.{number}")
