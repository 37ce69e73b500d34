"""Writes the arguments into the roles' README.md from their specifications: python tests/unit/role_reference.py"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent for path in (PROJECT / "roles").glob("*/meta"))
START, END = "<!-- the arguments begin -->", "<!-- the arguments end -->"
# Ansible's markup for options, values, modules and other code.
MARKUP = re.compile(r"\b[OVMC]\((?:[\w.]+#module:)?([^)]*)\)")


@functools.cache
def arguments(role: Path) -> dict:
    return yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]


def sentences(text: str | list[str]) -> str:
    joined = " ".join(text) if isinstance(text, list) else text
    return MARKUP.sub(r"`\1`", joined).replace("|", "\\|")


def rows(options: dict, path: str = ""):
    for name, option in options.items():
        kind = option.get("type", "str")
        form = f"list of {option['elements']}" if kind == "list" else kind
        if "choices" in option:
            form = ", ".join(option["choices"])
        default = f"`{json.dumps(option['default'])}`" if "default" in option else ""
        place = f"{path}{name}"
        needed = "required" if option.get("required") else default
        yield f"| `{place}` | {form} | {needed} | {sentences(option['description'])} |"
        yield from rows(option.get("options", {}), place + ("[]." if kind == "list" else "."))


def document(role: Path) -> str:
    """The role's README.md, with the arguments that it has now."""
    before, rest = (role / "README.md").read_text().split(START)
    table = ["| argument | form | default | meaning |", "| --- | --- | --- | --- |", *rows(arguments(role))]
    return "\n".join([before + START, "", *table, "", END]) + rest.split(END)[1]


if __name__ == "__main__":
    for each in ROLES:
        (each / "README.md").write_text(document(each))
