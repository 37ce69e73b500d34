"""The tasks that the documentation of a module shows, for tests that carry them out as they stand there."""

from __future__ import annotations

import importlib

import jinja2
import yaml

PREFIX = "routed.hypervisor."


def tasks(module: str, instead: dict | None = None, **variables) -> list[tuple[str, str, dict]]:
    """(sentence, module, arguments) of each task with a module of this collection.

    VARIABLES are filled in; a value that is a key of INSTEAD is replaced, such as a name that may be taken.
    """
    text = importlib.import_module(f"ansible_collections.routed.hypervisor.plugins.modules.{module}").EXAMPLES

    def filled(value):
        if isinstance(value, (str, int)) and value in (instead or {}):
            return instead[value]
        if isinstance(value, str):
            return jinja2.Template(value, undefined=jinja2.StrictUndefined).render(variables)
        if isinstance(value, dict):
            return {key: filled(below) for key, below in value.items()}
        return [filled(below) for below in value] if isinstance(value, list) else value

    return [
        (task["name"], key.removeprefix(PREFIX), filled(arguments or {}))
        for task in yaml.safe_load(text)
        for key, arguments in task.items()
        if key.startswith(PREFIX)
    ]
