"""A benchmark of the smallest size on this machine's kernel (root), from its command to what it keeps."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_a_benchmark_measures_and_keeps_what_it_measured(tmp_path):
    options = ["--alone", "--runs", "1", "--sizes", "1,2", "--results", tmp_path]
    done = subprocess.run(
        [PROJECT / "bench" / "run", *options, "lab_nodes"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kept = json.loads((tmp_path / "lab_nodes.json").read_text())
    assert {row["case"] for row in kept["rows"]} == {"1 node, 1 cable", "2 nodes, 2 cables"}
    whole = [row for row in kept["rows"] if not row["step"].endswith(", each more")]
    assert {row["step"] for row in whole} == {"nodes", "links, up", "up in all", "down", "again in all"}
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in whole)
    assert len(kept["rows"]) == len(whole) + 3  # of so few, what each more took is noise
    assert kept["kernel"]["release"] and kept["versions"]["ansible-core"]
    assert all(row["case"] in done.stdout for row in kept["rows"])
