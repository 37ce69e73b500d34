# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the files of a daemon and makes the daemon run with them. Private to this collection."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import typing as t

from .._engine.change import Change
from .._engine.text import to_text
from .._netlink import codec
from .._netlink.sockets import KernelError, Network
from . import files as disk
from . import former as former_services
from . import others
from . import plan as pure
from .daemon import Daemon, DaemonError, record
from .service import Process, Result, Service, ServiceError, resume, run


def bound_interfaces(process: Process) -> set[int]:
    """Indexes of the interfaces that a process has packet sockets on."""
    inodes = set()
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{process.pid}/fd"):
            with contextlib.suppress(OSError):
                match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{process.pid}/fd/{descriptor}"))
                if match:
                    inodes.add(match.group(1))
        with open(f"/proc/{process.pid}/net/packet", encoding="ascii") as file:
            rows = [line.split() for line in file.read().splitlines()[1:]]
            return {int(row[4]) for row in rows if row[8] in inodes}
    return set()


def interface_index(name: str) -> int | None:
    try:
        with open(f"/sys/class/net/{name}/ifindex", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return None


def came_up(interfaces: t.Collection[str], addresses: t.Collection[str]) -> dict[str, int]:
    """When each interface that is up came up, and each address that one of them has was added: clock ticks after boot.

    For an interface, it is when its IPv6 part was created or last came up: as close to the time of its creation, or of
    a change of its VRF, as the kernel reports.
    """
    if not interfaces and not addresses:
        return {}
    wanted = {codec.packed(address): address for address in addresses}
    indexes: set[int] = set()
    network, found = Network(), {}
    with contextlib.closing(network.socket):
        for name in interfaces:
            with contextlib.suppress(KernelError):
                link = network.link(name)
                indexes.add(link.index)
                if link.up:
                    found[name] = codec.setting(link.families, codec.CAME_UP)
        for address in network.dump(codec.ADDRESS) if wanted else ():
            # On another interface, it is one that a run will move.
            if address.address in wanted and address.index in indexes:
                found[wanted[address.address]] = address.added
    return {name: hundredths * os.sysconf("SC_CLK_TCK") // 100 for name, hundredths in found.items()}


def observe(daemon: Daemon, renewed: pure.Renewed = pure.AS_THEY_ARE) -> pure.Seen:
    wanted = daemon.wanted
    process = daemon.service.main()
    interfaces = {*wanted.interfaces, *wanted.uses, *wanted.session_interfaces} - renewed.replaced
    seen = pure.Seen(
        files={file.path: disk.read(file.path) for file in wanted.files},
        process=process,
        stamp=disk.read_stamp(daemon.name),
        indexes={name: interface_index(name) for name in (*wanted.interfaces, *wanted.uses)},
        bound=bound_interfaces(process) if process and wanted.interfaces else set(),
        came_up=came_up(interfaces, wanted.session_addresses) if process else {},
        ended=daemon.service.ended() if process is None and wanted.state == "started" else "",
        enabled=daemon.service.enabled() if wanted.enabled is not None else None,
        backups={file.path for file in wanted.files if os.path.lexists(file.path + pure.BACKUP)},
        others=others.find(daemon.stops, daemon.service.name, daemon.service.timeout),
        own=_own(daemon) if wanted.state == "absent" else None,
    )
    return renewed.foresee(seen)


def _own(daemon: Daemon) -> pure.Other | None:
    """The service as one to remove, if its unit or init script is ours."""
    service = daemon.service
    own = others.observe(service.name, service.systemd, service.timeout)
    return own if own.files or service.ours else None


def missing_interfaces(wanted: pure.Wanted) -> list[str]:
    return [name for name in wanted.interfaces if wanted.state == "started" and interface_index(name) is None]


def refuse_impossible(daemon: Daemon, check_mode: bool) -> None:
    """Reports everything that can be detected before the first change, in one message."""
    wanted = daemon.wanted
    if wanted.state == "absent":
        return
    mistakes = []
    missing = daemon.service.installed()
    if missing and not (wanted.state == "stopped" and daemon.service.main() is None):
        mistakes.append(missing)
    for file in wanted.files:
        if not pure.is_ours(file.content):
            mistakes.append(f"the first line of the content for {file.path} does not contain `{pure.MARK}`")
        if not os.path.isdir(os.path.dirname(file.path)) and wanted.service_file is None:
            mistakes.append(f"there is no directory {os.path.dirname(file.path)} for {os.path.basename(file.path)}")
    if not check_mode:  # there they are only warnings: an earlier stage of the real run may create them
        mistakes += [f"there is no interface {name}" for name in missing_interfaces(wanted)]
    if mistakes:
        raise DaemonError("\n".join(f"{daemon.name}: {mistake}" for mistake in mistakes))


def check_candidates(daemon: Daemon, scratch: str) -> None:
    """Has the daemon's own parser check all new files, in a private directory."""
    if not daemon.check:
        return
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        paths = disk.candidates(daemon.wanted.files, directory)
        argv = [_fill(word, paths) for word in daemon.check]
        result = run(argv, daemon.service.timeout)
        if result.code == 0:
            return
        text = daemon.mask(result.short())
        for file in daemon.wanted.files:
            text = text.replace(paths[os.path.basename(file.path)], file.path)
        raise DaemonError(
            f"{daemon.name}: `{' '.join(daemon.check)}` refuses the new configuration (exit code {result.code}); "
            f"nothing was changed, the old one remains in effect:\n{text}"
        )


def _fill(word: str, values: dict[str, str]) -> str:
    """Replaces known {names} and leaves other braces alone."""
    return re.sub(r"\{([^{}]+)\}", lambda match: values.get(match.group(1), match.group(0)), word)


def _reload(daemon: Daemon, seen: pure.Seen) -> None:
    process = t.cast(Process, seen.process)
    argv = [_fill(word, {"pid": str(process.pid)}) for word in t.cast("list[str]", daemon.reload)]
    result: Result = run(argv, daemon.service.timeout)
    expected = daemon.reload_expect is None or re.search(daemon.reload_expect, result.output)
    if result.code != 0 or not expected:
        raise DaemonError(
            f"{daemon.name}: the files are in place, but `{' '.join(argv)}` did not load them "
            f"(exit code {result.code}):\n{daemon.mask(result.short())}"
        )
    for interface in pure.replaced(daemon.wanted, seen) if daemon.rebind else []:
        argv = [_fill(word, {"pid": str(process.pid), "interface": interface}) for word in daemon.rebind]
        result = run(argv, daemon.service.timeout)
        if result.code != 0:
            raise DaemonError(f"{daemon.name}: `{' '.join(argv)}` failed (exit code {result.code}): {result.short()}")


def _clean_up(other: pure.Other, timeout: float) -> None:
    result = run(list(other.cleanup), timeout)
    if result.code != 0:
        words = " ".join(other.cleanup)
        raise DaemonError(f"{other.name}: `{words}` failed (exit code {result.code}): {result.short()}")


def _refresh(daemon: Daemon) -> None:
    result = run(daemon.refresh, daemon.service.timeout)
    if result.code != 0:
        raise DaemonError(f"{daemon.name}: `{' '.join(daemon.refresh)}` failed: {result.short()}")


def _service_of(daemon: Daemon, name: str, removed: dict[str, others.Other]) -> Service:
    if name in removed:
        return Service(name, timeout=daemon.service.timeout, ours=bool(removed[name].files))
    return daemon.service if name == daemon.service.name else Service(name, timeout=daemon.service.timeout)


def _apply_service(daemon: Daemon, change: Change, seen: pure.Seen) -> None:
    removed = {other.name: other for other in (*seen.others, *([seen.own] if seen.own else []))}
    service = _service_of(daemon, change.name, removed)
    if change.op in ("start", "restart", "enable") and service.ours:
        service.read_units()
    if change.op in ("enable", "disable"):
        service.enable(change.op == "enable")
    elif change.op == "clean up":
        _clean_up(removed[change.name], service.timeout)
    elif change.op == "stop":
        service.stop()
    elif change.op == "reload":
        _reload(daemon, seen)
    elif change.op == "refresh":
        _refresh(daemon)
    elif change.op == "resume":
        resume(t.cast(Process, seen.process))
    elif change.op == "restart" and service.ours:
        service.start(daemon.ready, "restart")
    else:
        # `restart` of init scripts may sleep (dnsmasq), or be denied by a policy in a chroot (radvd).
        if change.op == "restart":
            service.stop()
        service.start(daemon.ready if change.name == daemon.service.name else None)


def apply(daemon: Daemon, seen: pure.Seen, changes: list[Change]) -> None:
    """Applies the plan. If it is interrupted, the next run finds the remaining work by the stamp."""
    files = {file.path: file for file in daemon.wanted.files}
    done: list[str] = []
    try:
        for change in changes:
            if change.kind == "files":
                # Files of other services are only removed, for which the path suffices.
                file = files.get(change.name, pure.WantedFile(change.name, b""))
                disk.apply(change, file, seen.files.get(change.name))
            else:
                _apply_service(daemon, change, seen)
            done.append(f"{change.op} {change.name}")
        if any(change.op in ("delete", "restore") for change in changes):
            _forget(daemon, seen)
    except (ServiceError, DaemonError, disk.FileError) as error:
        text = daemon.mask(str(error))
        raise DaemonError(f"{text}\ncompleted before that: {', '.join(done) or 'nothing'}") from error
    if daemon.wanted.state != "started":
        disk.write_stamp(daemon.name, None)
        return
    after = observe(daemon)
    if after.process is not None:
        stamp = pure.stamp(daemon.wanted, after)
        if stamp != seen.stamp:
            disk.write_stamp(daemon.name, stamp)


def _forget(daemon: Daemon, seen: pure.Seen) -> None:
    """After service files were removed: makes systemd forget the units, and deletes their stamps."""
    for other in seen.others:
        if other.files:
            disk.write_stamp(other.name, None)
            disk.write_record(other.name, None)
    removed = [other.name for other in (*seen.others, *([seen.own] if seen.own else [])) if other.files]
    if removed:
        daemon.service.read_units()
    for name in removed:
        Service(name, timeout=daemon.service.timeout, ours=True).forget_failure()


def diff(daemon: Daemon, seen: pure.Seen, changes: list[Change]) -> list[dict[str, str]]:
    files = {file.path: file for file in daemon.wanted.files}
    result = []
    for change in changes:
        if change.kind == "services":
            header = f"service {change.name}"
            result.append(
                {
                    "before_header": header,
                    "after_header": header,
                    "before": "",
                    "after": f"{change.op}: {change.why}\n",
                }
            )
            continue
        # Files of conflicting services are not shown: some may be secret.
        new = files.get(change.name, pure.WantedFile(change.name, b"", secret=change.name not in files))
        old = seen.files.get(change.name)
        before = old.content.decode(errors="replace") if old else ""
        after = new.content.decode(errors="replace") if change.op in ("create", "change") else before
        if change.op in ("delete", "restore"):
            after = ""
        if change.after:
            before, after = to_text(change.before), to_text(change.after)
        elif new.secret and new.secret_part is None:
            before, after = new.shown(before), pure.HIDDEN + f"{change.op}: {change.why}\n"
        else:
            before, after = new.shown(before), new.shown(after)
        result.append({"before_header": change.name, "after_header": change.name, "before": before, "after": after})
    return result


def planned(daemon: Daemon, seen: pure.Seen) -> list[Change]:
    if daemon.former is None or daemon.wanted.state != "absent":
        return pure.plan(daemon.wanted, seen)
    restored = former_services.restorations(daemon.former, daemon.service, daemon.stops)
    if former_services.is_untouched(daemon.wanted, seen):
        restored = [change for change in restored if change.op != "start" or seen.process is None]
        return pure.removal_of_ours(seen) + restored
    return pure.plan(daemon.wanted, seen) + restored


def converge(daemon: Daemon, check_mode: bool, scratch: str, warn: t.Callable[[str], None]) -> dict[str, t.Any]:
    """Observe, plan, check, apply; the result of the module. Raises DaemonError."""
    try:
        refuse_impossible(daemon, check_mode)
        seen = observe(daemon, daemon.renewed) if check_mode else observe(daemon)
        changes = planned(daemon, seen)
        if any(change.op in ("create", "change") for change in changes):
            check_candidates(daemon, scratch)
        if not check_mode:
            if daemon.former and daemon.wanted.state != "absent":
                former_services.note(daemon.former, daemon.wanted, daemon.service, seen)
            apply(daemon, seen, changes)
            disk.write_record(daemon.name, record(daemon))
            if daemon.former and daemon.wanted.state == "absent":
                former_services.settle(daemon.former, daemon.service, daemon.stops)
    except (ServiceError, disk.FileError) as error:
        raise DaemonError(f"{daemon.name}: {daemon.mask(str(error))}") from error
    for name in missing_interfaces(daemon.wanted) if check_mode else ():
        warn(f"{daemon.name}: there is no interface {name} yet")
    return {
        "changed": bool(changes),
        "changes": [change.shown() for change in changes],
        "diff": diff(daemon, seen, changes),
    }
