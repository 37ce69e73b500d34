# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: files
short_description: The files of a daemon with their contents
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Takes a list of files as for M(routed.hypervisor.render), and returns it as for M(routed.hypervisor.daemon), so that
    a role lists its files only once.
  - Templates are rendered as by P(routed.hypervisor.template#lookup).
options:
  _terms:
    description:
      - The files, each as in O(routed.hypervisor.render#module:files).
      - C(when) is ignored; the role evaluates it. So is C(loop), unless O(each) is set; the role sets C(loop_var) in a
        loop of its own.
    required: true
    type: list
    elements: dict
  secret:
    description: Return the secret files instead of the others.
    type: bool
    default: false
  each:
    description: Evaluate C(loop), and return the file of every item, for a role with one task for all items.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Run radvd with the files that its role lists
  routed.hypervisor.daemon:
    name: radvd
    files: "{{ query('routed.hypervisor.files', radvd_files) }}"
    secret_files: "{{ query('routed.hypervisor.files', radvd_files, secret=true) }}"
"""

RETURN = r"""
_raw:
  description: The files, each with C(path), C(content), and C(owner), C(group), C(mode) and C(secret_part) where given.
  type: list
  elements: dict
"""

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.templates import Templates, Variables

GIVEN_ON = ("owner", "group", "mode", "secret_part")


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        templates = Templates.of_lookup(self, variables)
        known, wanted = Variables(variables, self._templar), self.get_option("secret")
        entries = [entry for term in terms for entry in (term if isinstance(term, list) else [term])]
        each = self.get_option("each")
        return [
            {
                "path": templates.line(entry["path"], known, more),
                "content": templates.text(entry["template"], known, more),
                **{key: entry[key] for key in GIVEN_ON if key in entry},
            }
            for entry in entries
            for more in (_items(entry, templates, known) if each and "loop" in entry else [{}])
            if bool(templates.value(str(entry.get("secret", False)), known, more)) == wanted
        ]


def _items(entry: dict, templates: Templates, known: Variables) -> list[dict]:
    return [{entry["loop_var"]: item} for item in templates.value(entry["loop"], known, {})]
