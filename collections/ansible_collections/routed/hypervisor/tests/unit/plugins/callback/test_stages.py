"""The inventory in the commands that the summary shows: they work as they are typed."""

from __future__ import annotations

import pytest
from ansible import constants, context

from ansible_collections.routed.hypervisor.plugins.callback.stages import inventory_argument


@pytest.fixture
def argument(monkeypatch, tmp_path):
    """A function: what is shown after `ansible-playbook -i SOURCE …` in a project with a default inventory."""
    monkeypatch.chdir(tmp_path)
    for name in ("default", "other"):
        (tmp_path / "inventories" / name).mkdir(parents=True)
        (tmp_path / "inventories" / name / "fabric.yml").touch()

    def argument(*sources, origin=None):
        given = tuple(str(tmp_path / source) for source in sources)
        default = [str(tmp_path / "inventories/default")]
        (tmp_path / "ansible.cfg").touch()
        found = (default, str(origin or tmp_path / "ansible.cfg"))
        monkeypatch.setattr(constants.config, "get_config_value_and_origin", lambda _name: found)
        monkeypatch.setattr(context, "CLIARGS", {"inventory": given})
        return inventory_argument()

    return argument


def test_the_default_inventory_is_not_named(argument):
    assert argument("inventories/default") == ""
    assert argument() == ""


def test_another_one_is_named_by_its_directory_below_this_one(argument):
    assert argument("inventories/other") == "inventories/other"
    assert argument("inventories/other/fabric.yml") == "inventories/other"
    assert argument("site-overrides.yml", "inventories/other") == "inventories/other"


def test_an_inventory_elsewhere_is_named_by_its_whole_path(argument, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert argument("inventories/other") == str(tmp_path / "inventories/other")


def test_a_default_that_only_the_environment_gives_is_named_since_make_has_another(argument):
    assert argument("inventories/default", origin="env: ANSIBLE_INVENTORY") == "inventories/default"
