"""The default lab with GoBGP on one of its reflectors: one word, where nothing is asked of it that it cannot do."""

from __future__ import annotations

import re

import pytest
from conftest import until


def with_gobgp(text):
    text = re.sub(r"  #[^\n]*\n  bfd: [^\n]*\n", "", text)
    text = re.sub(r" +password: true[^\n]*\n", "", text)
    return text.replace("  rr2:\n", "  rr2:\n    daemon: gobgp\n")


@pytest.fixture(scope="module")
def lab(bring_up):
    made = bring_up("reflector_test", edit=with_gobgp)
    yield made
    made.play(playbook="playbooks/down.yml")


def test_everything_is_verified(lab):
    passed, total = lab.verified()
    assert passed == total > 200


def test_back_to_bird_is_one_word_too(lab):
    lab.intent.write_text(lab.intent.read_text().replace("daemon: gobgp", "daemon: bird"))
    run = lab.play("--tags", "routing", "--limit", "rr2")
    assert run.code == 0, run.output
    until(lambda: len(lab.established("rr2")) > 0, 30, "a session of BIRD on rr2")
    assert lab.run("rr2", "pgrep", "-c", "gobgpd", check=False).strip() == "0"
