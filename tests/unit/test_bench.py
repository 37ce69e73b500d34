"""Benchmarks without their runs: what their command refuses, how runs are taken and shown (tests/nodes runs one)."""

from __future__ import annotations

import subprocess

import pytest
from measure import PROJECT, Row, each_more, interleaved, table

BENCH = PROJECT / "bench"


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([BENCH / "run", *arguments], capture_output=True, text=True, check=False)


def test_help_names_every_benchmark():
    done = run("--help")
    assert done.returncode == 0
    named = [line.split()[0] for line in done.stdout.splitlines() if line.endswith("kernel)")]
    assert sorted(named) == sorted(path.stem for path in BENCH.glob("*.py") if "results.finish(" in path.read_text())


@pytest.mark.parametrize("arguments", [["kernel_object"], ["--size", "3"]])
def test_what_there_is_not_is_refused(arguments):
    done = run(*arguments)
    assert done.returncode == 1 and arguments[0] in done.stderr


def test_a_table_says_which_aims_are_missed():
    rows = [Row("a", "make", 2.5, "peer", 2.0, 1.3), Row("a", "delete", 2.8, "peer", 2.0, 1.3), Row("a", "alone", 1.0)]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(rows).splitlines()]
    assert lines[2] == ["a", "make", "2.50 s", "peer", "2.00 s", "1.25", "<= 1.3 met"]
    assert lines[3][5:] == ["1.40", "<= 1.3 MISSED"]
    assert lines[4][2:] == ["1.00 s", "", "", "", ""]


def test_contenders_take_turns_and_medians_are_of_all_runs():
    order = []

    def contender(name, times):
        def run():
            order.append(name)
            return {"step": times.pop()}

        return run

    medians, seen = interleaved(3, {"a": contender("a", [9.0, 1.0, 2.0]), "b": contender("b", [3.0, 4.0, 50.0])})
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert medians == {"a": {"step": 2.0}, "b": {"step": 4.0}}
    assert [run["b"]["step"] for run in seen] == [50.0, 4.0, 3.0]


def test_what_each_more_took_leaves_out_what_all_runs_have_in_common():
    assert each_more({"make": 2.5, "delete": 1.0}, {"make": 0.5, "delete": 1.0}, 500) == {"make": 4.0, "delete": 0.0}
