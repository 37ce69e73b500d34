"""Without warm interpreters a lab is made and verified just as well: nothing depends on what they keep."""

from __future__ import annotations

import pytest

# Interpreters that are up already, and their workers, as bin/lib/guest.py starts them. (The pattern is not itself.)
WARM = ("pgrep", "-fc", "--", "[-]B -E -$")


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("ipvlan_l2")


def warm_interpreters(lab) -> int:
    return int(lab.run("", *WARM, check=False))


def test_cold_modules_make_the_same_lab(lab, monkeypatch):
    """One of all labs is enough: the modules are the same everywhere."""
    passed, total = lab.verified()
    assert passed == total > 50
    assert warm_interpreters(lab) > 0
    assert lab.play(playbook="playbooks/down.yml").code == 0
    monkeypatch.setenv("ROUTED_HYPERVISOR_LAB_CONNECTION", "cold")
    first = lab.play()
    assert first.code == 0, first.output
    assert warm_interpreters(lab) == 0
    assert lab.verified() == (passed, total)
    second = lab.play("--skip-tags", "verify")
    assert second.code == 0 and second.changed == set(), second.output
