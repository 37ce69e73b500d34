"""Documented options as Ansible's validator of arguments wants them."""

from __future__ import annotations

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

KEPT = ("type", "elements", "choices", "required", "aliases")
# Stands for a template where the argument is none itself, since what it will be is not known.
UNKNOWN = {"list": [], "dict": {}, "int": 1, "float": 1.0, "bool": True}


def spec(options: dict) -> dict:
    """Of the options in a documentation, or in a role's meta/argument_specs.yml."""
    made = {}
    for name, option in options.items():
        made[name] = {key: option[key] for key in KEPT if key in option}
        below = option.get("suboptions") or option.get("options")
        if below:
            made[name]["options"] = spec(below)
    return made


def mistakes(options: dict, given: dict) -> list[str]:
    """What Ansible would have against these arguments."""
    known = {
        name: UNKNOWN.get(options.get(name, {}).get("type"), value) if "{{" in str(value)[:2] else value
        for name, value in given.items()
    }
    return ArgumentSpecValidator(spec(options)).validate(known).error_messages
