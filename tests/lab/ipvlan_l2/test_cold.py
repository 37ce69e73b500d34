"""A lab is created and verified just as well without warm interpreters: nothing depends on their state."""

from __future__ import annotations

import pytest

# Running interpreters and their workers, as bin/lib/guest.py starts them. (The pattern does not match itself.)
WARM = ("pgrep", "-fc", "--", "[-]B -E -$")


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("ipvlan_l2")


def warm_interpreters(lab) -> int:
    return int(lab.run("", *WARM, check=False))


def test_cold_modules_create_the_same_lab(lab, monkeypatch):
    """Testing one lab is enough, because the modules are the same in all of them."""
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
