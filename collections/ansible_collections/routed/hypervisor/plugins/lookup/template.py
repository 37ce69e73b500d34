# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: template
short_description: The text of a rendered template
version_added: 0.3.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Returns the same text as P(ansible.builtin.template#lookup), which compiles the template and copies all variables of
    the node in each process that Ansible forks for a task on a node. Here Jinja itself renders a template compiled by
    an earlier process, and receives only the variables that the template names.
  - Templates that need more than Jinja, such as Ansible's filters, are left to P(ansible.builtin.template#lookup).
options:
  _terms:
    description: Names of templates, found as by P(ansible.builtin.template#lookup).
    required: true
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show a text
  ansible.builtin.debug:
    msg: "{{ lookup('routed.hypervisor.template', 'bird.conf.j2') }}"
"""

RETURN = r"""
_raw:
  description: The texts.
  type: list
  elements: str
"""

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.templates import Templates, Variables


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        templates = Templates.of_lookup(self, variables)
        known = Variables(variables, self._templar)
        return [templates.text(term, known, {}) for term in terms]
