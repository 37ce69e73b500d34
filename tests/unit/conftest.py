"""What several of these tests begin with."""

from __future__ import annotations

import copy

import pytest
from support.nxos_device import Device
from support.nxos_switch import OTHERS, data, push


@pytest.fixture(scope="module")
def configured() -> Device:
    """A switch of someone else that a leaf's configuration was pushed to."""
    device = Device(OTHERS)
    push(device, data())
    return device


@pytest.fixture
def device(configured) -> Device:
    return copy.deepcopy(configured)
