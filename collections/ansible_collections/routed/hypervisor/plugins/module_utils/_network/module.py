# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main function of the kernel modules. Private to this collection."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible.module_utils.basic import missing_required_lib

from .._engine.apply import Failed
from .._engine.change import Change, Item
from .._engine.former import Former
from .._engine.kind import Have
from .._engine.lock import Held, host_lock
from .._engine.options import Mistakes
from .._engine.plan import STATES, Refused
from .._engine.printable import counted, printable, shortened
from .._engine.snapshot import Snapshot
from .._engine.text import to_text
from .._fast.ansible_module import FastModule
from .._fast.garbage import no_collections
from .._netlink.kernel import Kernel, NoPyroute2
from . import absent, network, restoring

KindsOf = t.Callable[[t.Any], dict[str, t.Any]]  # the lists of each kind in the option `config`
LISTED = 40  # mistakes in one message; more would bury the first
LONGEST = 1000  # characters of one


def argument_spec(config: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"config": config, "state": {"type": "str", "choices": list(STATES), "default": "merged"}}


def main_of_kind(name: str) -> None:
    """The module of one kind: `config` is a list of its objects."""
    spec = {"type": "list", "elements": "dict", "options": network.KINDS[name].spec}
    with no_collections():
        _main(argument_spec(spec), lambda config: {name: config or []}, name)


def main_of_all() -> None:
    """The module of all kinds: `config` has a list for each of them."""
    options = {name: {"type": "list", "elements": "dict", "options": kind.spec} for name, kind in network.KINDS.items()}
    spec = argument_spec({"type": "dict", "options": options})
    spec["expected"] = {"type": "list", "elements": "str", "default": []}
    spec["former"] = {"type": "path"}
    spec["may_cut_path"] = {"type": "bool", "default": False}
    with no_collections():
        _main(spec, lambda config: config or {}, None)


class Module(FastModule):
    """Reports all wrong options with their places; Ansible reports one, without its place."""

    def __init__(self, spec: dict[str, t.Any], kinds_of: KindsOf) -> None:
        self.kinds_of = kinds_of
        super().__init__(spec, checked=["config"])

    def fail_json(self, msg: str, **kwargs: t.Any) -> None:
        if not getattr(self, "validation_result", None) or not self.validation_result.error_messages:
            super().fail_json(msg=msg, **kwargs)
        config, state = self.params.get("config"), self.params.get("state") or "merged"
        mistakes: list[str] = []
        if state in STATES and isinstance(config, (list, dict, type(None))):
            try:
                _wanted, mistakes = network.parse(self.kinds_of(config), state)
            except (AttributeError, TypeError):
                mistakes = []
        super().fail_json(msg=_refusal(mistakes) if mistakes else msg, mistakes=mistakes, **kwargs)


def _main(spec: dict[str, t.Any], kinds_of: KindsOf, single: str | None) -> None:
    module = Module(spec, kinds_of)
    state = module.params["state"]
    config = kinds_of(module.params["config"])
    if single is None and state in ("deleted", "gathered") and not any(config.values()):
        config = {name: [] for name in network.KINDS}
    if state == "deleted":
        lasting = [name for name, entries in config.items() if not entries and not network.KINDS[name].deletable]
        if single in lasting:
            module.fail_json(msg=f"{single} cannot be deleted; give the values they should have")
        config = {name: entries for name, entries in config.items() if name not in lasting}
    wanted, mistakes = network.parse(config, state)
    if mistakes.whole_kind or (mistakes and os.geteuid() != 0):
        _refuse(module, mistakes)
    if state != "gathered" and os.geteuid() != 0:
        module.fail_json(msg="Changing the network needs root: use become: true.")
    kernel = Kernel()
    try:
        # Reading needs no lock, and perhaps is not done by root.
        with host_lock() if state != "gathered" and not module.check_mode else contextlib.nullcontext():
            result = _run(module, kernel, wanted, mistakes, state, single)
        module.exit_json(**result)
    except Held as held:
        module.fail_json(msg=str(held))
    except Refused as refused:
        _refuse(module, refused.mistakes)
    except (NoPyroute2, OSError) as error:
        if mistakes:
            _refuse(module, mistakes)
        if isinstance(error, OSError):
            module.fail_json(msg=f"The kernel refused: {error}", errno=error.errno)
        missing = missing_required_lib("pyroute2", reason="(Debian: python3-pyroute2)")
        module.fail_json(msg=missing, exception=str(error))
    finally:
        kernel.close()


def _run(
    module: Module, kernel: Kernel, wanted: network.Wanted, mistakes: Mistakes, state: str, single: str | None
) -> dict[str, t.Any]:
    expected = module.params.get("expected", []) if module.check_mode else []
    former = Former(module.params["former"]) if module.params.get("former") else None
    # Only where all objects are given are the others not wanted.
    restored = former if state == "overridden" or (state == "deleted" and not any(wanted.values())) else None
    snapshot = Snapshot(kernel)
    keeps_path = not module.params.get("may_cut_path", False)
    outcome = network.plan_all(snapshot, wanted, state, expected, mistakes, restored, keeps_path=keeps_path)
    if state == "gathered":
        gathered = {
            name: [{**network.KINDS[name].show(item), "owned": item.owned} for item in have.values()]
            for name, have in outcome.have.items()
        }
        return {"changed": False, "gathered": gathered[single] if single else gathered}
    for text in outcome.passed_over:
        module.warn(text)
    changes = outcome.all_changes()
    shown = [*changes, *outcome.implied, *outcome.bystanders.lost]
    result = {"changed": bool(changes), "changes": [change.shown() for change in shown]}
    if single in (None, "interfaces"):
        result["absent"] = absent.shown(outcome.planned)
    if single is None:
        result["renewed"] = _renewed(changes)
    known = former.of("interfaces") if former else None
    for warning in absent.warnings(wanted, outcome.planned, known):
        module.warn(warning)
    for name, objects in (("before", _before(outcome)), ("after", _after(outcome))):
        result[name] = objects.get(single, []) if single else objects
    if module._diff:
        result["diff"] = {
            "before": to_text(_objects(shown, "have")),
            "after": to_text(_objects(shown, "want")),
        }
    if changes and not module.check_mode:
        if former:
            restoring.note(former, outcome, snapshot)
        try:
            network.carry_out(kernel, outcome)
        except Failed as failed:
            module.fail_json(
                msg=str(failed),
                changed=bool(failed.done),
                done=[change.shown() for change in failed.done],
                not_done=[change.shown() for change in failed.not_done],
            )
        left = network.differences(Snapshot(kernel), wanted, state, restored)
        if left:
            module.fail_json(msg="The kernel accepted the changes, but: " + "; ".join(left), **result)
    if restored and not module.check_mode:
        restoring.settle(restored, wanted, outcome)
    return result


def _renewed(changes: list[Change[t.Any]]) -> dict[str, list[str]]:
    """Interfaces that a daemon must look at again."""
    links = [change for change in changes if change.kind in ("vrfs", "interfaces")]
    return {
        "replaced": [change.name for change in links if change.op == "replace"],
        "moved": [change.name for change in links if change.op == "change" and "vrf" in change.after],
    }


def _refuse(module: Module, mistakes: list[str]) -> None:
    module.fail_json(msg=_refusal(mistakes), mistakes=mistakes)


def _refusal(mistakes: list[str]) -> str:
    more = [f"and {len(mistakes) - LISTED} more"] if len(mistakes) > LISTED else []
    lines = [printable(shortened(mistake, LONGEST)) for mistake in mistakes[:LISTED]]
    return "\n".join([f"Nothing was changed: {counted(len(mistakes), 'mistake(s)')}.", *lines, *more])


def _show(name: str, items: t.Iterable[Item[t.Any]]) -> list[dict[str, t.Any]]:
    return [network.KINDS[name].show(item) for item in items]


def _concerned(outcome: network.Outcome, name: str) -> Have[t.Any]:
    """Objects that are wanted or ours, not the thousand links of others."""
    return {
        key: item for key, item in outcome.have[name].items() if item.has_mark() or key in outcome.wanted_keys[name]
    }


def _before(outcome: network.Outcome) -> dict[str, list[dict[str, t.Any]]]:
    return {name: _show(name, _concerned(outcome, name).values()) for name in outcome.have}


def _after(outcome: network.Outcome) -> dict[str, list[dict[str, t.Any]]]:
    result = {}
    for name, changes in outcome.changes.items():
        remaining = outcome.remaining[name]
        items = {key: remaining[key] for key in _concerned(outcome, name) if key in remaining}
        for change in changes:
            if change.want is None:
                items.pop(change.item.key, None)
            else:
                items[change.item.key] = change.want
        for change in outcome.implied:
            if change.kind == name and change.item.key in items:
                if change.want is None:
                    del items[change.item.key]
                else:
                    items[change.item.key] = change.want
        result[name] = _show(name, items.values())
    return result


def _objects(changes: list[Change[t.Any]], side: str) -> dict[str, list[dict[str, t.Any]]]:
    shown: dict[str, list[dict[str, t.Any]]] = {}
    for change in changes:
        item = getattr(change, side)
        if item is not None:
            shown.setdefault(change.kind, []).append(network.KINDS[change.kind].show(item))
    return shown
