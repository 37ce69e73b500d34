"""A lab for the tests of a file, and every test leaves the host and the routers as it found them."""

from __future__ import annotations

import os

import pytest
from support.routing_lab import ROUTERS, RoutingLab
from support.waiting import until


@pytest.fixture(scope="module")
def shared_lab(lab_image, tmp_path_factory):
    if os.geteuid():
        pytest.skip("needs root, for network namespaces")
    lab = RoutingLab(lab_image, tmp_path_factory.mktemp("routing"))
    try:
        lab.build()
        lab.start_manager()
        lab.connected()
        lab.in_step()
        yield lab
    finally:
        lab.remove()


@pytest.fixture
def lab(shared_lab):
    lab = shared_lab
    yield lab
    for node in ROUTERS:
        for family in ("ipv4", "ipv6"):
            lab.gobgp(node, f"global rib -a {family} del all")
    for space in lab.containers:
        space.remove()
    lab.containers.clear()
    lab.store()
    until(lambda: not lab.routes())
    until(lambda: not lab.rib("left") and not lab.rib("left", "ipv6"))
