"""A lab for the tests of a file, and every test leaves the host and the routers as it found them."""

from __future__ import annotations

import os
import subprocess

import pytest
from routing_lab import ROUTERS, RoutingLab, wait


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
    for name in lab.containers:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    lab.containers.clear()
    lab.write_config()
    wait(lambda: not lab.routes())
    wait(lambda: not lab.rib("left") and not lab.rib("left", "ipv6"))
