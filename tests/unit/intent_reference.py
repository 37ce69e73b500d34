"""Writes the tables of docs/intent.md from the schema: python tests/unit/intent_reference.py"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.append(str(PROJECT / "collections"))

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.schema import schema  # noqa: E402

DOCUMENT = PROJECT / "docs" / "intent.md"
START, END = "<!-- the schema's tables begin -->", "<!-- the schema's tables end -->"
# What stands for a name that a person chooses, in the place of each section.
NAMES = {"vrfs": "VRF", "fabrics": "FABRIC", "networks": "VRF", "loopbacks": "VRF", "segments": "SEGMENT"}
NAMES |= {"nodes": "NODE", "impair": "FABRIC", "sysctl": "SYSCTL"}
NAMES |= {"reflectors": "NAME", "addresses": "VRF", "borders": "NAME", "hypervisors": "NAME", "guests": "GUEST"}
NAMES |= {
    "static": "VRF",
    "VRF": "PREFIX",
    "leaves": "NAME",
    "neighbors": "NAME",
    "container_networks": "NETWORK",
    "containers": "CONTAINER",
}
FORMS = {"object": "map", "array": "list", "string": "text", "integer": "number", "boolean": "true, false"}


def form(part: dict) -> str:
    if "const" in part:
        return f"`{'true' if part['const'] is True else part['const']}`"
    if "enum" in part:
        return ", ".join(part["enum"])
    if isinstance(part["type"], list):
        return " or ".join(form({**part, "type": kind}) for kind in part["type"])
    text = FORMS[part["type"]] if part["type"] == "integer" else part.get("format", FORMS[part["type"]])
    text = (
        text.replace("-prefix", " prefix")
        .replace("-range", " range")
        .replace("ipv", "IPv")
        .replace("guest-IPv6", "slaac, none, IPv6")
    )
    if part["type"] == "array":
        items = part["items"]
        text = f"list of {'maps' if items['type'] == 'object' else form(items)}"
    if "minimum" in part and part["type"] != "string":
        text += f" {part['minimum']} to {part['maximum']}"
    return text


def rows(part: dict, path: str = ""):
    """(path, form, default, description) for each key, depth first."""
    for key, below in part.get("properties", {}).items():
        place = f"{path}.{key}" if path else key
        default = json.dumps(below["default"]) if "default" in below else ""
        needed = "required" if key in part.get("required", ()) else default and f"`{default}`"
        yield place, form(below), needed, below["description"]
        yield from rows(below, place)
        if below.get("type") == "array":
            yield from rows(below["items"], f"{place}[]")
    extra = part.get("additionalProperties")
    if isinstance(extra, dict):
        place = f"{path}.{NAMES[path.rsplit('.', 1)[-1]]}"
        if extra["type"] != "object":
            yield place, form(extra), "", extra["description"]
        yield from rows(extra, place)


def tables() -> str:
    lines: list[str] = []
    section = ""
    for place, wanted, needed, about in rows(schema()):
        top = place.split(".")[0]
        has_own_table = "properties" in schema()["properties"][top] or isinstance(
            schema()["properties"][top].get("additionalProperties"), dict
        )
        title = top if has_own_table else "The file"
        if title != section:
            lines += ["", f"### {title}", "", "| key | form | default | meaning |", "| --- | --- | --- | --- |"]
            section = title
        lines.append(f"| `{place}` | {wanted} | {needed} | {about} |")
    return "\n".join(lines).strip() + "\n"


def document(text: str) -> str:
    """TEXT with its tables replaced by those of the schema."""
    before, rest = text.split(START)
    return f"{before}{START}\n\n{tables()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text()))
