# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AnsibleModule for options with thousands of entries. Private to this collection.

Of a call of `routes` with 1,000 routes (processor time, Python 3.11, ansible-core 2.19.14), AnsibleModule takes
  65 ms to check the entries of `config`, which _engine/options.py checks anyway, with a place for each mistake;
  80 ms to search the result for values of options with no_log, of which there are none;
  35 ms to write it as JSON by an encoder in Python, for types that it does not contain;
  15 ms to copy the options before it changes them.
Writing the routes takes 30 ms. So all of that is left out where it has no effect.

This relies on methods of AnsibleModule that are not documented: `_load_params` and `_record_module_result`. If one of
them is no longer called, the result is the same, and takes as long as with AnsibleModule.
"""

from __future__ import annotations

import json
import sys
import typing as t

from ansible.module_utils.basic import AnsibleModule

# What Ansible adds to a result, in types of its own.
ADDED = {"deprecations", "exception", "warnings"}


class _List(list):
    def __deepcopy__(self, memo: dict) -> list:
        return self


class _Dict(dict):
    def __deepcopy__(self, memo: dict) -> dict:
        return self


class FastModule(AnsibleModule):
    """`checked` are the options whose entries the caller checks."""

    def __init__(self, spec: dict[str, t.Any], checked: t.Collection[str]) -> None:
        self._checked = checked
        self._plain: dict[str, t.Any] = {}
        super().__init__(argument_spec=spec, supports_check_mode=True)

    def _load_params(self) -> None:
        super()._load_params()
        for name in self._checked:
            given = self.params.get(name)
            if isinstance(given, (list, dict)):  # checked without being changed
                self.params[name] = _List(given) if isinstance(given, list) else _Dict(given)
        # Between reading the options and checking them; documentation and `ansible-test` see the whole specification.
        self.argument_spec = {
            name: {key: value for key, value in option.items() if key != "options"} if name in self._checked else option
            for name, option in self.argument_spec.items()
        }

    def exit_json(self, **kwargs: t.Any) -> t.NoReturn:
        if not self.no_log_values and hasattr(AnsibleModule, "_record_module_result"):
            kwargs.setdefault("invocation", {"module_args": self.params})
            self._plain = {key: value for key, value in kwargs.items() if isinstance(value, (dict, list))}
            kwargs = {key: value for key, value in kwargs.items() if key not in self._plain}
            kwargs["invocation"] = {}
        super().exit_json(**kwargs)

    def _record_module_result(self, o: dict[str, t.Any]) -> None:
        result = {**o, **self._plain}
        if ADDED.isdisjoint(result):
            sys.stdout.write(f"\n{json.dumps(result)}\n")
        else:
            super()._record_module_result(result)
