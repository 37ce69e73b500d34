"""How many workers stay idle, and which files are imported outside a node."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._netlink import messages

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def warm(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT / "bin/lib"))
    before = set(sys.modules)
    import warm  # noqa: PLC0415 - its directory is on the path for this test

    yield warm
    for name in set(sys.modules) - before:
        if str(PROJECT / "bin/lib") in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def interpreter(warm):
    made = object.__new__(warm.Interpreter)
    made.workers, made.selector = {}, Mock()
    made.start_worker = lambda node: warm.Worker(node, Mock(), set())
    return made


def test_the_workers_that_were_idle_longest_end(warm, interpreter):
    for number in range(warm.IDLE_WORKERS + 3):
        last = interpreter.worker(f"n{number}", number, number)
    assert len(interpreter.workers) == warm.IDLE_WORKERS and ("n2", 2) not in interpreter.workers
    assert interpreter.worker("n3", 3, 3).process == 3  # it is still there, and the newest now
    interpreter.worker("another", 9999, 9999)
    assert ("n3", 3) in interpreter.workers and ("n4", 4) not in interpreter.workers
    assert last in interpreter.workers.values()


def test_busy_workers_do_not_count_and_are_not_ended(warm, interpreter):
    for number in range(warm.IDLE_WORKERS + 10):
        interpreter.worker(f"n{number}", number, number).job = 1
    assert len(interpreter.workers) == warm.IDLE_WORKERS + 10
    assert interpreter.worker("n1", 1, 1) is None


@pytest.mark.parametrize(
    ("name", "in_advance"),
    [
        ("ansible.module_utils.basic", True),
        ("ansible.module_utils.common.text.converters", True),
        ("ansible_collections.routed.hypervisor.plugins.module_utils._kinds.vrf", True),
        ("ansible.module_utils.of_a_user", False),
        ("ansible_collections.other.one.plugins.module_utils.where", False),
        ("ansible_collections.routed.hypervisor.plugins.modules.network", False),
        ("ansible.modules.ping", False),
    ],
)
def test_only_known_files_are_imported_outside_the_node(warm, name, in_advance):
    assert warm.is_imported_in_advance(name) is in_advance


def test_a_library_that_the_image_lacks_is_noticed(warm, monkeypatch):
    """In the node it may be installed by now: the module then runs in an interpreter of its own."""
    assert not warm.Payloads().lack_libraries()
    monkeypatch.setattr(messages, "PYROUTE2_ERROR", "ModuleNotFoundError: pyroute2")
    assert warm.Payloads().lack_libraries()
