"""What the documentation of modules and plugins shows can be typed, and says all that a reader needs."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from unittest.mock import Mock

import pytest
import yaml
from ansible.playbook.task import Task
from argument_specs import mistakes, spec
from support.modules import PROJECT

from ansible_collections.routed.hypervisor.plugins.action import lab_image, lab_kernel, nxos_changes, render, report
from ansible_collections.routed.hypervisor.plugins.module_utils._engine.change import Change
from ansible_collections.routed.hypervisor.plugins.module_utils._network import network
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check

PLUGINS = PROJECT / "collections/ansible_collections/routed/hypervisor/plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))
OTHERS = {
    "callback": ["differences", "stages"],
    "connection": ["node"],
    "inventory": ["fabric", "source"],
    "lookup": ["files", "template"],
}
BUILTIN = ["ansible.builtin.assert", "ansible.builtin.debug"]


def documentation(kind: str, names: list[str]) -> dict:
    """What ansible-doc tells, which has read fragments and checked the form."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible.cli.doc", "--json", "-t", kind, *names],
        check=True,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections")},
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def modules() -> dict:
    return documentation("module", [f"routed.hypervisor.{name}" for name in MODULES] + BUILTIN)


def keys(part: dict, path: str = ""):
    """Every documented key below options, suboptions or contains, with its path."""
    for name, entry in part.items():
        yield f"{path}{name}", entry
        yield from keys(entry.get("suboptions") or entry.get("contains") or {}, f"{path}{name}.")


def test_all_kinds_of_plugins_are_looked_at():
    private = {"doc_fragments", "module_utils", "plugin_utils", "modules", "action"}
    found = {path.name: sorted(file.stem for file in path.glob("*.py")) for path in PLUGINS.iterdir()}
    assert {kind: names for kind, names in found.items() if kind not in private} == OTHERS
    assert set(found["action"]) <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_every_task_of_the_examples_is_one_that_its_module_takes(modules, name):
    examples = yaml.safe_load(modules[f"routed.hypervisor.{name}"]["examples"])
    assert any(f"routed.hypervisor.{name}" in task for task in examples)
    for task in examples:
        assert task["name"][0].isupper()
        [module] = [key for key in task if key not in Task.fattributes]
        assert module in modules, f"{module} is no module that this test knows"
        assert mistakes(modules[module]["doc"]["options"], task[module] or {}) == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_supports_and_returns(modules, name):
    about = modules[f"routed.hypervisor.{name}"]
    assert {"check_mode", "diff_mode", "idempotent"} <= set(about["doc"]["attributes"])
    for path, value in keys(about["return"]):
        assert value.get("description") and value.get("type"), path
    for key, value in about["return"].items():
        assert value.get("returned") and ("sample" in value), key


def test_every_module_that_changes_something_returns_its_changes_in_one_shape(modules):
    returning = {name for name in MODULES if "changes" in modules[f"routed.hypervisor.{name}"]["return"]}
    # These change nothing, or, as lab_kernel, say so in words of their own.
    others = {"bgp_info", "differences", "drill", "lab_drill", "lab_kernel", "lab_spoof", "preflight"}
    assert set(MODULES) - returning == others | {"report", "verify"}
    for name in returning:
        documented = modules[f"routed.hypervisor.{name}"]["return"]["changes"]
        assert (documented["type"], documented["elements"]) == ("list", "dict"), name
        for sample in documented["sample"]:
            assert set(sample) == set(Change("", "", "", "").shown()), name


def test_the_play_of_the_readme_is_one_that_its_module_takes(modules):
    [block] = re.findall(r"```yaml\n(.*?)```", (PLUGINS.parent / "README.md").read_text(), re.DOTALL)
    [task] = yaml.safe_load(block)[0]["tasks"]
    given = task["routed.hypervisor.network"]
    assert mistakes(modules["routed.hypervisor.network"]["doc"]["options"], given) == []
    assert network.parse(given["config"], given["state"])[1] == []


def test_versions_agree():
    galaxy = yaml.safe_load((PLUGINS.parent / "galaxy.yml").read_text())
    changelog = yaml.safe_load((PLUGINS.parent / "changelogs" / "changelog.yaml").read_text())
    assert galaxy["version"] == max(changelog["releases"], key=lambda text: tuple(map(int, text.split("."))))
    for path in PLUGINS.glob("*/*.py"):
        for version in re.findall(r"^ *version_added: (.*)$", path.read_text(), re.MULTILINE):
            assert version in changelog["releases"], path


def test_the_guide_lists_the_stages_of_the_tests():
    stages = set(re.findall(r'(?:stage|shell|scenario)\("(\w+)"', (PROJECT / "tests" / "run").read_text()))
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    listed = set(re.findall(r"^\| (\w+) \|", text.partition("| stage |")[2].partition("\n\n")[0], re.MULTILINE))
    scenarios = {path.name for path in (PROJECT / "molecule").iterdir()}
    assert "and the other scenarios of molecule" in text and scenarios <= stages
    assert listed == stages - scenarios


def test_every_module_and_plugin_is_in_the_readme():
    text = (PLUGINS.parent / "README.md").read_text()
    for names in (MODULES, *OTHERS.values()):
        assert [name for name in names if f"`{name}`" not in text] == []


def test_groups_for_module_defaults_are_those_that_modules_say(modules):
    groups = yaml.safe_load((PLUGINS.parent / "meta" / "runtime.yml").read_text())["action_groups"]
    said = {name: [] for name in groups}
    for name in MODULES:
        attribute = modules[f"routed.hypervisor.{name}"]["doc"]["attributes"].get("action_group", {})
        for group in attribute.get("membership", []):
            said[group.removeprefix("routed.hypervisor.")].append(name)
    assert said == groups


@pytest.mark.parametrize(
    ("plugin", "name"),
    [
        (report, "report"),
        (render, "render"),
        (nxos_changes, "nxos_changes"),
        (lab_kernel, "lab_kernel"),
        (lab_image, "lab_image"),
    ],
)
def test_an_action_takes_what_its_module_documents(modules, plugin, name):
    # ansible-test compares the two for modules, and finds no arguments in those that are actions.
    action = plugin.ActionModule(Mock(async_val=0), Mock(), Mock(), Mock(), Mock(), Mock())
    taken = Mock(side_effect=StopIteration)
    action.validate_argument_spec = taken
    with pytest.raises(StopIteration):
        action.run(task_vars={})
    documented = spec(modules[f"routed.hypervisor.{name}"]["doc"]["options"])
    assert {key for key, _ in leaves(taken.call_args.kwargs["argument_spec"])} == {key for key, _ in leaves(documented)}
    for key, option in leaves(documented):
        found = dict(leaves(taken.call_args.kwargs["argument_spec"]))[key]
        for what, default in (("type", "str"), ("required", False), ("elements", None), ("choices", None)):
            assert option.get(what, default) == found.get(what, default), f"{key}: {what}"


def leaves(options: dict, path: str = ""):
    for name, option in options.items():
        yield f"{path}{name}", option
        yield from leaves(option.get("options", {}), f"{path}{name}.")


@pytest.mark.parametrize("kind", OTHERS)
def test_every_other_plugin_has_an_example(kind):
    found = documentation(kind, [f"routed.hypervisor.{name}" for name in OTHERS[kind]])
    assert all(about["examples"] for about in found.values())
    for about in found.values():
        for path, option in keys(about["doc"].get("options", {})):
            assert option.get("description"), path


def test_the_intent_of_the_example_has_no_mistake():
    [about] = documentation("inventory", ["routed.hypervisor.fabric"]).values()
    found = Mistakes()
    check(yaml.safe_load(about["examples"]), found)
    assert not found


def test_settings_of_the_examples_are_settings_of_ansible(tmp_path):
    known = subprocess.run(
        [sys.executable, "-m", "ansible.cli.config", "init", "--disabled"], check=True, capture_output=True, text=True
    ).stdout
    for kind, name in (("inventory", "source"), ("callback", "stages")):
        [about] = documentation(kind, [f"routed.hypervisor.{name}"]).values()
        # Examples must be YAML, so that files of another kind are comments.
        _place, *lines = about["examples"].strip().splitlines()
        settings = configparser.ConfigParser()
        settings.read_string("\n".join(line.removeprefix("# ") for line in lines))
        assert settings.sections()
        for section in settings.sections():
            assert f"[{section}]" in known
            for key in settings[section]:
                assert f";{key}=" in known, key


def test_the_variables_of_the_connection_example_are_those_of_the_plugin():
    [about] = documentation("connection", ["routed.hypervisor.node"]).values()
    given = yaml.safe_load(about["examples"])["all"]["children"]["lab_nodes"]["vars"]
    own = {variable["name"] for option in about["doc"]["options"].values() for variable in option.get("vars", [])}
    of_ansible = {"connection", "python_interpreter"}
    assert {name for name in given if name.removeprefix("ansible_") not in of_ansible} <= own
    assert given["ansible_connection"] == "routed.hypervisor.node"
