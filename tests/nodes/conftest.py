"""Labs for tests, each with a name of its own, gone after the test whatever happened in it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from support.lab_nodes import Lab, Node, lab_command


@contextlib.contextmanager
def made(run_module, lab_image):
    if os.geteuid() != 0:
        pytest.skip("lab nodes need root")
    lab = Lab(run_module, lab_image)
    try:
        yield lab
    finally:
        lab.remove()
    assert lab.processes() == {}
    assert not lab.directory.exists()
    assert lab.name not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture
def lab(run_module, lab_image):
    with made(run_module, lab_image) as lab:
        yield lab


@pytest.fixture
def node(run_module, lab_image):
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a node")
    with Node(run_module, lab_image) as made:
        yield made


@pytest.fixture(scope="module")
def shared_lab(run_module_once, lab_image):
    """One for all tests of a file; each leaves it as it found it."""
    with made(run_module_once, lab_image) as lab:
        yield lab


@pytest.fixture(scope="module")
def supervised(shared_lab):
    """Nodes n1 and n2 of a lab with a supervisor, on this machine's own kernel."""
    from support.supervised import Supervised  # noqa: PLC0415 - Ansible's loader, which the other tests do without

    try:
        lab_command("up", shared_lab.name, "--owner", shared_lab.owner)
        shared_lab.nodes("n1", "n2")
        yield Supervised(shared_lab)
    finally:
        lab_command("down", shared_lab.name)
