"""Roles say all of their arguments, and these are what the inventory plugin resolves and the templates read."""

from __future__ import annotations

import json
import re

import jinja2
import pytest
import yaml
from argument_specs import mistakes
from role_reference import ROLES, arguments, document
from support.modules import PROJECT

GOLDEN = PROJECT / "tests" / "golden"
NAMES = [role.name for role in ROLES]
ROLE = dict(zip(NAMES, ROLES, strict=True))
RESOLVED = {f"{path.parent.name}/{path.stem}": json.loads(path.read_text()) for path in GOLDEN.glob("*/*.json")} | {
    path.stem: data for path in GOLDEN.glob("data/*.yml") if isinstance(data := yaml.safe_load(path.read_text()), dict)
}
# Roles whose argument has another name than they.
OF_ROLE = {
    "bird": ["bgp"],
    "gobgp": ["bgp"],
    "frr": ["bgp", "ospf", "leaf"],
    "nxos": ["bgp", "ospf", "leaf"],
    "verify": ["verify"],
}


def described(options: dict, path: str = ""):
    for name, option in options.items():
        yield f"{path}{name}", option
        yield from described(option.get("options", {}), f"{path}{name}.")


def play(name: str) -> dict:
    [block] = re.findall(r"```yaml\n(.*?)```", (ROLE[name] / "README.md").read_text(), re.DOTALL)
    [only] = yaml.safe_load(block)
    return only


def test_every_role_is_documented():
    assert sorted(path.name for path in (PROJECT / "roles").iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_has_all_arguments(name):
    assert (ROLE[name] / "README.md").read_text() == document(ROLE[name]), "run python tests/unit/role_reference.py"
    for path, option in described(arguments(ROLE[name])):
        assert option.get("type") and option.get("description"), path


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_a_play_whose_roles_take_their_arguments(name):
    example = play(name)
    assert example["name"] and example["hosts"]
    assert name in [entry["role"] for entry in example["roles"]]
    for entry in example["roles"]:
        options = arguments(ROLE[entry["role"]])
        given = entry.get("vars", {})
        # What is not given may be a variable of the host.
        wanted = {key: {**option, "required": False} for key, option in options.items()}
        assert mistakes(wanted, given) == []


@pytest.mark.parametrize("node", RESOLVED)
def test_what_a_node_is_given_is_what_its_roles_take(node):
    variables = RESOLVED[node]
    for name in NAMES:
        options = arguments(ROLE[name])
        given = {key: variables[key] for key in OF_ROLE.get(name, [name]) if variables.get(key) is not None}
        if name == "lab":
            given = {key: {**lab, "owner": "left out of golden files"} for key, lab in given.items()}
        assert mistakes({key: options[key] for key in given}, given) == [], name


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("bird", "bird/bird.conf.j2"),
        ("dnsmasq", "dnsmasq/dnsmasq.conf.j2"),
        ("dnsmasq", "dnsmasq/dnsmasq.hosts.j2"),
        ("frr", "frr/frr.conf.j2"),
        ("gobgp", "gobgp/gobgpd.toml.j2"),
        ("guest", "dhcpcd/dhcpcd.conf.j2"),
        ("nftables", "nftables/nftables.conf.j2"),
        ("radvd", "radvd/radvd.conf.j2"),
    ],
)
def test_the_templates_find_all_they_need_in_the_example(name, template):
    [given] = [entry["vars"] for entry in play(name)["roles"]]
    if name == "gobgp":
        [given["gobgp_instance"]] = given["bgp"]["instances"]
    found = jinja2.FileSystemLoader(ROLE[name] / "templates")
    text = jinja2.Environment(loader=found, undefined=jinja2.StrictUndefined).get_template(template).render(given)
    assert "Managed by Routed Hypervisor" in text
