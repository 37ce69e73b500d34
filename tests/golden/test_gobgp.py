"""The text of GoBGP's instances, byte for byte, and what gobgpd says to it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jinja2
import pytest
from support.templates import GOLDEN, parser_says, render, variables

NODES = ["gobgp_ebgp", "gobgp_mesh", "gobgp_reflector"]
FILE = "gobgp/gobgpd.toml"
PARSER = ["gobgpd", "--dry-run", "--config-file=/mnt/NAME", "--api-hosts=127.0.0.1:0", "--pprof-disable"]


def instances(values: dict) -> dict[str, str]:
    """File name to text of every instance, as the role's loop renders them."""
    return {
        f"{instance['name']}.toml": render(FILE, {**values, "gobgp_instance": instance})
        for instance in values["bgp"]["instances"]
    }


def gobgpd_says(image: Path, files: dict[str, str], name: str) -> tuple[int, str]:
    return parser_says(image, files, *(word.replace("NAME", name) for word in PARSER))


@pytest.mark.parametrize("node", NODES)
def test_the_text_is_the_same_as_ever(node):
    place = GOLDEN / "templates" / node
    texts = instances(variables(node))
    if os.environ.get("UPDATE_GOLDEN"):
        place.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (place / name).write_text(text)
    assert texts == {path.name: path.read_text() for path in place.glob("*.toml")}
    for text in texts.values():
        assert text.splitlines()[0].startswith("# Managed by Routed Hypervisor")


@pytest.mark.parametrize("node", NODES)
def test_gobgpd_accepts_the_text_and_refuses_a_planted_mistake(lab_image, node):
    files = instances(variables(node))
    for name, text in files.items():
        code, output = gobgpd_says(lab_image, files, name)
        assert code == 0, output
        wrong = {**files, name: text.replace("peer-as", "peer-asn", 1)}
        code, output = gobgpd_says(lab_image, wrong, name)
        assert code not in (0, 127) and "peer-asn" in output, output


def test_a_variable_that_is_missing_is_an_error():
    values = variables("gobgp_ebgp")
    del values["bgp"]["sessions"][0]["neighbor"]
    with pytest.raises(jinja2.UndefinedError):
        instances(values)


GOBGP = [
    path
    for path in sorted(GOLDEN.glob("*/*.json"))
    if json.loads(path.read_text()).get("bgp", {}).get("daemon") == "gobgp"
]


@pytest.mark.parametrize("host", GOBGP, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_the_inventory_plugin_resolves_is_what_the_template_reads(lab_image, host):
    files = instances(json.loads(host.read_text()))
    assert files
    for name in files:
        code, output = gobgpd_says(lab_image, files, name)
        assert code == 0, output
