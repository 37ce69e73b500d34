"""A file of results that cannot be used is refused in one sentence; what is written can be read again."""

from __future__ import annotations

import json

import pytest

from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.document import (
    FORMAT,
    DocumentError,
    read,
    replace,
    text,
)

RESULT = {"title": "vm1 answers", "kind": "ping", "state": "passed", "seen": "reply", "seconds": 0.1}
WHOLE = {"format": FORMAT, "fabric": "x", "time": "2026-01-02T03:04:05+00:00", "nodes": {"hv1": [RESULT], "hv2": {}}}


def refusal(path, content: str) -> str:
    path.write_text(content)
    with pytest.raises(DocumentError) as error:
        read(path, "x")
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message.replace(f"{path} ", "")


def test_what_is_written_is_read_again_and_has_a_line_for_each_result(tmp_path):
    replace(tmp_path / "below" / "verify.json", text(WHOLE))
    assert read(tmp_path / "below" / "verify.json", "x") == WHOLE
    assert f"      {json.dumps(RESULT)}" in (tmp_path / "below" / "verify.json").read_text().splitlines()
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["verify.json"]


@pytest.mark.parametrize("cut", [0, 1, 20, 100])
def test_a_half_written_file_is_refused(tmp_path, cut):
    assert refusal(tmp_path / "verify.json", text(WHOLE)[: -1 - cut] if cut else "").startswith(
        "is not complete JSON ("
    )


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DocumentError, match="does not exist; verify the network first"):
        read(tmp_path / "verify.json", "x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fabric": "other"}, "has the results of 'other', not of x; give a file of x"),
        ({"format": FORMAT + 1}, f"has the format {FORMAT + 1}; this version reads up to {FORMAT}, so update it"),
        ({"format": None}, "has no format number; verify the network again, which replaces it"),
        ({"nodes": []}, "lacks its time or its nodes; verify the network again, which replaces it"),
        ({"nodes": {"hv1": [RESULT, 3]}}, "has no result at nodes.hv1[1]; verify the network again, which replaces it"),
        (
            {"nodes": {"hv1": [{**RESULT, "state": "fine"}]}},
            "has no result at nodes.hv1[0]; verify the network again, which replaces it",
        ),
        ({"nodes": {"hv1": "x"}}, "has no result at nodes.hv1[0]; verify the network again, which replaces it"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(tmp_path, changes, message):
    assert refusal(tmp_path / "verify.json", json.dumps({**WHOLE, **changes})) == message


@pytest.mark.parametrize("content", ["[]", "3", '"text"', "null", "[" * 100_000])
def test_other_json_is_refused(tmp_path, content):
    assert refusal(tmp_path / "verify.json", content).endswith("verify the network again, which replaces it")
