"""Tests of bin/lab-kernel, which make no sense where it has nothing to do."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def outside():
    if "User Mode Linux" in Path("/proc/cpuinfo").read_text(encoding="ascii"):
        pytest.skip("already inside the lab kernel")
