# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the same templates for many nodes, with the same result as Ansible's template lookup.

The lookup copies all variables of a node and compiles the template for each text. Here Jinja compiles a template once,
and it receives only the variables that it names. Templates that need more are left to the lookup. In a process that
renders a single text, compiling would be most of the work, so compiled templates are cached.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable

import jinja2
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.template import Templar, trust_as_template
from ansible.utils.display import Display
from jinja2 import meta

from . import kept

ALL = {"hostvars", "vars"}  # never templated as a whole


class Variables:
    """A node's variables. Templates in them are templated by Ansible on first use."""

    def __init__(self, raw: dict, templar: Templar):
        self.raw = raw
        self._templar = templar.copy_with_new_env(available_variables=raw)
        self._known: dict[str, object] = {}

    def named(self, names: Iterable[str]) -> dict[str, object]:
        if not ALL.isdisjoint(names):
            raise jinja2.TemplateError("it needs the variables of all nodes")
        for name in names:
            if name not in self._known and name in self.raw:
                self._known[name] = self._plain(self.raw[name])
        return {name: self._known[name] for name in names if name in self._known}

    def looked_up(self, template: str, more: dict) -> str:
        """A template's text by Ansible's lookup."""
        templar = self._templar.copy_with_new_env(
            available_variables={**self.raw, "_template": template, "_more": more}
        )
        lookup = "{{ lookup('ansible.builtin.template', _template, template_vars=_more) }}"
        return str(_printed(templar.template(trust_as_template(lookup))))

    def _plain(self, value):
        if isinstance(value, dict):
            return {key: self._plain(below) for key, below in value.items()}
        if isinstance(value, list):
            return [self._plain(below) for below in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, str) and not self._templar.is_possibly_template(value):
            return value
        return self._templar.template(value)


class Compiled:
    """A directory of compiled templates. Its name is a hash of everything they depend on except their text."""

    def __init__(self) -> None:
        with open(__file__, "rb") as file:
            name = hashlib.sha256(f"{jinja2.__version__} {sys.implementation.cache_tag}".encode() + file.read())
        self._directory = kept.cache("templates") / name.hexdigest()[:16]
        try:
            usable = kept.is_private(self._directory) or kept.make(self._directory)
        except OSError:
            usable = False
        self.byte_code = jinja2.FileSystemBytecodeCache(str(self._directory), "%s.code") if usable else None

    def names(self, environment: jinja2.Environment, source: str) -> tuple[list[str], list[str | None]]:
        """The variables and templates that a template refers to."""
        path = self._directory / f"{hashlib.sha256(source.encode()).hexdigest()}.names"
        if self.byte_code:
            try:
                return tuple(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError):
                pass
        parsed = environment.parse(source)
        found = sorted(meta.find_undeclared_variables(parsed)), list(meta.find_referenced_templates(parsed))
        if self.byte_code:
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(found), encoding="utf-8")
            draft.replace(path)
        return found


class Templates:
    """FIND returns the path of a template; its includes are in the same directory, or in one of SEARCH."""

    def __init__(self, find: Callable[[str], str], search: list[str]):
        self._find = find
        self._search = [os.path.join(path, part) for path in search for part in ("templates", "")]
        self._kept = Compiled()
        self._environment = functools.cache(self._made_environment)
        self._template = functools.cache(self._compiled)
        self._expression = functools.cache(self._compiled_expression)
        self._line = functools.cache(self._compiled_line)

    @classmethod
    def of_lookup(cls, lookup: LookupBase, variables: dict) -> Templates:
        """The templates that a lookup finds where Ansible's template lookup would."""

        def find(name: str) -> str:
            found = lookup.find_file_in_search_path(variables, "templates", name)
            if not found:
                raise AnsibleLookupError(f"the template file {name} could not be found for the lookup")
            return found

        return cls(find, variables.get("ansible_search_path", []))

    def text(self, name: str, variables: Variables, more: dict) -> str:
        """The rendered template for a node; MORE are extra variables of this text."""
        try:
            template, names, newlines = self._template(name)
            text = template.render(variables.named(names) | more)
            if not text:
                raise jinja2.TemplateError("only Ansible decides whether empty output ends in a newline")
        except Exception as error:
            # An unknown filter, an undefined variable: the lookup has more of them, or reports the error.
            Display().vvv(f"{name} is left to the template lookup: {error}")
            return variables.looked_up(name, more)
        return text + "\n" * (newlines - _newlines(text))

    def value(self, expression: str, variables: Variables, more: dict):
        """The value of a Jinja expression."""
        compiled, names = self._expression(expression)
        return compiled(variables.named(names) | more)

    def line(self, text: str, variables: Variables, more: dict) -> str:
        """The rendered form of a short string that is itself a template, such as a path."""
        compiled, names = self._line(text)
        return compiled(variables.named(names) | more)

    def _made_environment(self, directory: str) -> jinja2.Environment:
        return jinja2.Environment(
            loader=jinja2.FileSystemLoader([directory, *self._search]),
            undefined=jinja2.StrictUndefined,
            finalize=_printed,
            trim_blocks=True,
            auto_reload=False,
            bytecode_cache=self._kept.byte_code,
        )

    def _compiled(self, name: str) -> tuple[jinja2.Template, set[str], int]:
        """The template, its variables, and the number of trailing newlines, which Jinja drops."""
        directory, file = os.path.split(self._find(name))
        environment = self._environment(directory)
        names, waiting, seen = set(), [file], set()
        while waiting:
            source = environment.loader.get_source(environment, waiting[0])[0]
            if source.startswith("#jinja2:"):
                raise jinja2.TemplateError("it has settings that only Ansible supports")
            named, others = self._kept.names(environment, source)
            names |= set(named)
            seen.add(waiting.pop(0))
            # A computed name is unknown here: the template is not found, and left to Ansible.
            waiting += [other or "" for other in others if other not in seen]
        source = environment.loader.get_source(environment, file)[0]
        return environment.get_template(file), names, _newlines(source)

    def _compiled_expression(self, text: str) -> tuple[Callable, set[str]]:
        environment = self._environment("")
        names = meta.find_undeclared_variables(environment.parse("{{" + text + "}}"))
        return environment.compile_expression(text, undefined_to_none=False), names

    def _compiled_line(self, text: str) -> tuple[Callable, set[str]]:
        environment = self._environment("")
        return environment.from_string(text).render, meta.find_undeclared_variables(environment.parse(text))


def _printed(value):
    """The value of an expression as Ansible prints it."""
    return "" if value is None else value


def _newlines(text: str) -> int:
    return len(text) - len(text.rstrip("\n"))
