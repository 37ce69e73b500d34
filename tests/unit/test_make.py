"""The name and the owner of a lab, as make takes them from an inventory."""

from __future__ import annotations

import subprocess

import pytest
from support.modules import PROJECT


def commands(target: str, *variables: str) -> str:
    """What make would run."""
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", target, *variables],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def inventory(tmp_path):
    """A function that writes an intent and returns what gives it to make."""

    def write(text: str, directory: str = "racks") -> str:
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "fabric.yml").write_text(text)
        return f"INVENTORY={tmp_path / directory}"

    return write


@pytest.mark.parametrize("line", ["name: harbour", 'name: "harbour"', "name: harbour  # of ships"])
def test_the_name_of_a_lab_is_in_its_intent(inventory, line):
    given = inventory(f"plugin: routed.hypervisor.fabric\n{line}\nvrfs:\n  name: {{}}\n")
    assert "bin/lab down harbour --owner" in commands("down", given)
    assert 'harbour "hv1"' in commands("shell", given, "NODE=hv1")


def test_a_lab_without_a_name_has_that_of_its_directory(inventory):
    given = inventory("plugin: routed.hypervisor.fabric\nsegments:\n  web:\n    name: not-this\n")
    assert "bin/lab down racks --owner" in commands("down", given)
    assert "bin/lab down racks --owner" in commands("down", f"{given}/")


def test_make_down_gives_the_inventory_as_owner(inventory):
    given = inventory("name: harbour\n")
    assert commands("down", given).rstrip().endswith(f"bin/lab down harbour --owner {given.partition('=')[2]}")


def test_a_lab_whose_inventory_is_gone_is_taken_down_by_the_directorys_name(tmp_path):
    assert commands("down", f"INVENTORY={tmp_path}/gone").rstrip().endswith("bin/lab down gone")


def test_the_default_lab_is_the_one_of_the_readme():
    assert "bin/lab down l3_hypervisor --owner inventories/l3_hypervisor" in commands("down")
