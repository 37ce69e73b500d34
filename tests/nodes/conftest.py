"""Labs for tests, each with a name of its own, gone after the test whatever happened in it."""

from __future__ import annotations

import os

import pytest
from support.lab_nodes import Node, lab_command, made


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
