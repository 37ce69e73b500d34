"""Hosts whose agent follows guests, with VRFs and without."""

from __future__ import annotations

import pytest
from support.following import FollowingHost
from support.moving import PLAIN, Fabric


@pytest.fixture
def interpreter(hosts_interpreter):
    return hosts_interpreter


@pytest.fixture(params=["public", None], ids=["vrf", "main"])
def vrf(request):
    if request.param:
        request.getfixturevalue("namespace")  # skips the test on a kernel without VRFs
    return request.param


@pytest.fixture
def host(request, vrf, interpreter, tmp_path):
    space = request.getfixturevalue("namespace" if vrf else "bare_namespace")
    made = FollowingHost(space, interpreter, tmp_path, vrf)
    yield made
    made.end()


@pytest.fixture
def fabric(request, lab_image, run_module, interpreter, tmp_path, vrf):
    made = Fabric(lab_image, run_module, interpreter, tmp_path, vrf, getattr(request, "param", PLAIN))
    try:
        made.build()
        yield made
    finally:
        made.remove()
