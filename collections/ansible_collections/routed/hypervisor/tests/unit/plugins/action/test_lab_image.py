"""An image that is there takes no module, on this machine."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.routed.hypervisor.plugins.action import lab_image
from ansible_collections.routed.hypervisor.plugins.module_utils._lab.image import Image


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """What the task returns: by the action plugin alone, or "module"."""
    options = {"path": str(tmp_path), "packages": ["bird2"], "suite": "bookworm", "state": "present"}

    def answer(transport="local", exists=True, **more):
        given = {**options, **more}
        image = Image(tmp_path / "images", given["suite"], tuple(given["packages"]))
        if exists:
            image.path.mkdir(parents=True)
            image.record.write_text('{"size_mb": 5}')
        plugin = lab_image.ActionModule.__new__(lab_image.ActionModule)
        plugin._connection = SimpleNamespace(transport=transport)
        monkeypatch.setattr(lab_image.ActionBase, "run", lambda *_arguments: {})
        plugin.validate_argument_spec = lambda **_options: (None, given)
        plugin._execute_module = lambda **_options: {"by": "module"}
        return plugin.run()

    return answer


def test_an_image_that_is_there_is_found_without_the_module(answer):
    result = answer()
    assert (result["changed"], result["size_mb"]) == (False, 5)
    assert result["diff"]["before"] == result["diff"]["after"] == f"{result['path']}\n"


def test_one_that_is_to_be_absent_and_is_takes_none_either(answer):
    assert answer(exists=False, state="absent")["changed"] is False


@pytest.mark.parametrize(
    "given", [{"exists": False}, {"state": "absent"}, {"transport": "ssh"}, {"transport": "routed.hypervisor.node"}]
)
def test_all_else_is_the_modules(answer, given):
    assert answer(**given) == {"by": "module"}
