"""The default lab with systemd on all hypervisors."""

from __future__ import annotations

import pytest

NODES = "lab: {nodes: {hv1: {init: systemd}, hv2: {init: systemd}, hv3: {init: systemd}}}\n"


@pytest.fixture(scope="session")
def lab(bring_up):
    lab = bring_up("l3_hypervisor", name="rollout", edit=lambda text: text.replace("lab: {}\n", NODES))
    return lab
