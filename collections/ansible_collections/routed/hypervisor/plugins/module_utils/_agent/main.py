# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `routed-hypervisor`. Private to this collection.

Runs without Ansible. Imports are late where a command may not need them: a host boots with it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import typing as t

from .._engine.printable import counted
from . import stored as states

DONE, INCOMPLETE, REFUSED = 0, 1, 2
EXIT_CODES = """exit codes of apply: 0 done (absent guests' ports are no error), 1 incomplete, 2 nothing was changed;
of status: 0 as stored, 1 something differs or is absent, or the last change was rolled back, 2 there is no usable
state; of metrics, arm and confirm: 0 done, 2 refused; of rollback: 0 all is as before, 1 not all, 2 nothing is armed"""


def main(argv: list[str] | None = None) -> int:
    given = _arguments(argv)
    if os.geteuid() != 0:
        return _refuse("this command needs root")
    if given.stateless:
        return int(given.stateless(given))
    try:
        stored, notes = states.read(given.directory, states.this_machine())
    except states.Unusable as error:
        if given.command is _status:
            _print_arming()
        return _refuse(str(error))
    for note in notes:
        _complain(note)
    command: t.Callable[[argparse.Namespace, states.Stored, list[str]], int] = given.command
    return command(given, stored, notes)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="routed-hypervisor",
        description="Keeps the network of a hypervisor.",
        epilog=EXIT_CODES,
        formatter_class=raw,
    )
    parser.add_argument("--directory", default=states.DIRECTORY, help="of the stored state (default: %(default)s)")
    parser.set_defaults(stateless=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    apply = commands.add_parser("apply", help="bring the kernel to the stored state")
    apply.add_argument("--boot", action="store_true", help="wait for uplinks, and restart daemons that run already")
    apply.add_argument("--wait", type=float, default=30, help="seconds to wait for uplinks with --boot (default: 30)")
    apply.set_defaults(command=_apply)
    run = commands.add_parser("run", help="follow guests, containers and GoBGP as they change, until it is ended")
    run.set_defaults(stateless=_run)
    status = commands.add_parser("status", help="show what differs from the stored state")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(command=_status)
    metrics = commands.add_parser("metrics", help="print metrics for Prometheus")
    metrics.add_argument("--file", help="write them to this file, which is replaced at once")
    metrics.set_defaults(stateless=_metrics)
    arm = commands.add_parser("arm", help="store what is now, and bring it back unless a change is confirmed in time")
    arm.add_argument("--seconds", type=float, default=120, help="time to confirm (default: %(default)s)")
    arm.add_argument("--extend", action="store_true", help="begin the time of an armed change anew")
    arm.set_defaults(stateless=_arm)
    confirm = commands.add_parser("confirm", help="keep the change that is armed")
    confirm.set_defaults(stateless=_confirm)
    rollback = commands.add_parser("rollback", help="bring back what was before the change that is armed")
    rollback.add_argument("--expired", action="store_true", help="only if the time to confirm is over (for the timer)")
    rollback.set_defaults(stateless=_rollback)
    return parser.parse_args(argv)


def _apply(given: argparse.Namespace, stored: states.Stored, _notes: list[str]) -> int:
    from .._engine.lock import Held, host_lock  # noqa: PLC0415

    if given.boot:
        from . import uplinks  # noqa: PLC0415

        uplinks.wait(uplinks.uplinks(stored.network), given.wait)
    try:
        with host_lock(also_after_rollback=True), _no_collections():
            # The firewall first: no packet passes without it.
            loaded, problems = _firewall(stored, True)
            report = _with_kernel(stored, "converge")
    except Held as error:
        return _refuse(str(error))
    problems += report.problems
    restarted, late = [], []
    if given.boot and any(change.op in ("create", "replace") for change in report.changes):
        from . import daemons  # noqa: PLC0415

        restarted = daemons.restart_early()
    else:
        late = _late(True, problems, wait=not given.boot)
    for problem in problems:
        _complain(problem)
    if report.ports:
        _complain(f"absent, and left out: {', '.join(report.ports)}")
    for change in late:
        _complain(f"{change.op} {change.name}: {change.why}")
    _print(counted(len(report.changes) + len(loaded) + len(late), "change(s)"))
    for name in restarted:
        _complain(f"{name} ran before its interfaces existed, and is restarted")
    return INCOMPLETE if problems else DONE


def _run(given: argparse.Namespace) -> int:
    """Waits for a state, and keeps to the last good one."""
    from .follow.service import serve  # noqa: PLC0415

    return serve(given.directory)


def _arm(given: argparse.Namespace) -> int:
    from .arming import change  # noqa: PLC0415

    def work() -> None:
        if given.extend:
            change.extend(given.seconds)
        else:
            with open(sys.argv[0], "rb") as file:
                program = file.read()
            change.arm(change.me(), given.seconds, program)
        _print(f"confirm within {given.seconds:g} s over a new connection: routed-hypervisor confirm")

    return _arming(work)


def _confirm(_given: argparse.Namespace) -> int:
    from .arming import change  # noqa: PLC0415

    return _arming(change.confirm)


def _rollback(given: argparse.Namespace) -> int:
    from .arming import change  # noqa: PLC0415

    outcome = DONE

    def work() -> None:
        nonlocal outcome
        done, problems = change.roll_back(given.expired)
        for problem in problems:
            _complain(problem)
        if not done:
            _complain("not all of the kernel's state is back: another attempt follows")
        outcome = DONE if done and (given.expired or not problems) else INCOMPLETE

    return _arming(work) or outcome


def _arming(work: t.Callable[[], None]) -> int:
    from .arming.record import ArmingError  # noqa: PLC0415

    try:
        with _no_collections():
            work()
    except ArmingError as error:
        return _refuse(str(error))
    return DONE


def _print_arming() -> None:
    from .arming import change  # noqa: PLC0415
    from .arming.record import ArmingError  # noqa: PLC0415

    try:
        for line in change.lines():
            _print(line)
    except ArmingError as error:
        _complain(str(error))


def _arming_state(problems: list[str]) -> dict[str, t.Any]:
    from .arming import change, record  # noqa: PLC0415

    noted = record.rolled_back()
    try:
        armed, lines = record.read(), change.lines()
    except record.ArmingError as error:
        armed, lines = None, [record.said(noted)] if noted else []
        problems.append(str(error))
    return {
        "armed": {**{key: armed[key] for key in ("by", "at")}, "left_s": round(record.left_s(), 1)} if armed else None,
        "rolled_back": noted,
        "lines": lines,
    }


def _found(stored: states.Stored, notes: list[str]) -> tuple[dict[str, t.Any], list[str]]:
    """What `status` prints as JSON, and what it prints for people about guests, containers and changes."""
    from . import daemons  # noqa: PLC0415

    with _no_collections():
        differences, problems = _firewall(stored, False)
        report = _with_kernel(stored, "compare")
        guests, containers, routing = followed = _followed(stored)
    late = _late(False, problems)
    units = daemons.states()
    arming = _arming_state(problems)
    found = {
        "host": stored.host,
        "guests": guests.guests,
        "strangers": guests.strangers,
        "containers": containers.containers,
        "routing": routing.reports,
        "differences": [
            *differences,
            *report.differences,
            *(line for part in followed for line in part.differences),
            *(f"{change.name} needs a {change.op}: {change.why}" for change in late),
        ],
        "absent": report.ports,
        "problems": [*notes, *problems, *report.problems, *(line for part in followed for line in part.problems)],
        "daemons": units,
        "armed": arming["armed"],
        "rolled_back": arming["rolled_back"],
    }
    lines = [*found["differences"], *(f"{name} is absent" for name in report.ports), *problems, *report.problems]
    lines += [*(line for part in followed for line in part.problems), *daemons.dead(units)]
    lines = [*arming["lines"], *(lines or [f"{stored.host} is as stored"])]
    return found, [*lines, *(line for part in followed for line in part.lines())]


def _status(given: argparse.Namespace, stored: states.Stored, notes: list[str]) -> int:
    from . import daemons  # noqa: PLC0415

    found, lines = _found(stored, notes)
    if given.json:
        import json  # noqa: PLC0415

        _print(json.dumps(found, indent=2))
    else:
        _print("\n".join(lines))
    wrong = any(found[key] for key in ("differences", "absent", "problems", "rolled_back"))
    return INCOMPLETE if wrong or daemons.dead(found["daemons"]) else DONE


def _metrics(given: argparse.Namespace) -> int:
    """Also without a usable state: what is monitored must not depend on it."""
    from . import metrics  # noqa: PLC0415

    try:
        stored, notes = states.read(given.directory, states.this_machine())
    except states.Unusable as error:
        _complain(str(error))
        text = metrics.text(None, _arming_state([]), {})
    else:
        text = metrics.text(_found(stored, notes)[0], None, stored.network)
    if given.file is None:
        sys.stdout.write(text)
        return DONE
    from .._engine import atomic  # noqa: PLC0415

    try:
        atomic.replace(given.file, text.encode(), 0o644)
    except OSError as error:
        return _refuse(f"{given.file} cannot be written: {error.strerror}")
    return DONE


def _late(apply: bool, problems: list[str], wait: bool = True) -> list[t.Any]:
    """What daemons have to do, or had to; what failed is added to the problems."""
    from . import daemons  # noqa: PLC0415

    changes, failed = daemons.late(apply, wait)
    problems += failed
    return changes


def _followed(stored: states.Stored) -> tuple[t.Any, t.Any, t.Any]:
    """Guests, containers, and GoBGP's routes."""
    from .._netlink.kernel import Kernel  # noqa: PLC0415
    from . import containers  # noqa: PLC0415
    from .follow import status as guests  # noqa: PLC0415
    from .routing import status as routing  # noqa: PLC0415

    with contextlib.closing(Kernel()) as kernel:
        followed = (
            guests.status(kernel, stored.guests, configured=states.interfaces(stored), proxy_ndp=stored.proxy_ndp),
            containers.status(kernel, stored.network),
        )
    return *followed, routing.status(stored.routing_manager)


def _firewall(stored: states.Stored, apply: bool) -> tuple[list[str], list[str]]:
    """What differs or differed, and what failed."""
    if not stored.tables:
        return [], []
    from .._daemon.nftables import NftablesError  # noqa: PLC0415
    from . import firewall  # noqa: PLC0415

    differences, problems = [], []
    for table in stored.tables:
        try:
            difference = firewall.bring(table, apply)
        except (NftablesError, OSError) as error:
            problems.append(" ".join(str(error).split()))
        else:
            differences += [difference] if difference else []
    return differences, problems


def _with_kernel(stored: states.Stored, name: str) -> t.Any:
    from .._netlink.kernel import Kernel, NoPyroute2  # noqa: PLC0415
    from . import converge  # noqa: PLC0415

    kernel = Kernel()
    try:
        return getattr(converge, name)(kernel, stored.network)
    except NoPyroute2:
        return converge.Report(errors=["pyroute2 is not installed: install the package python3-pyroute2"])
    except OSError as error:
        return converge.Report(errors=[f"the kernel refused: {error}"])
    finally:
        kernel.close()


def _no_collections() -> contextlib.AbstractContextManager[None]:
    from .._fast.garbage import no_collections  # noqa: PLC0415

    return no_collections()


# Not print(), which sanity tests take for a module's output.
def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(sentence: str) -> None:
    sys.stderr.write(f"routed-hypervisor: {sentence}\n")


def _refuse(sentence: str) -> int:
    _complain(sentence)
    return REFUSED
