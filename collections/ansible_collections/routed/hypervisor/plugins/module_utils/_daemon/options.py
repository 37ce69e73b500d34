# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module daemon, converted to a Daemon. Private to this collection."""

from __future__ import annotations

import os
import re
import shutil

from .._engine.former import Former
from . import service_file
from .daemon import Daemon, DaemonError
from .files import FileError, group_id, user_id
from .plan import Renewed, Wanted, WantedFile
from .service import PATH, Service, has_systemd


def file_options(secret: bool) -> dict:
    return {
        "path": {"type": "path", "required": True},
        "content": {"type": "str", "no_log": secret},
        "mode": {"type": "str"},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "secret_part": {"type": "str", "no_log": False},
    }


RENEWED = {
    "type": "dict",
    "options": {name: {"type": "list", "elements": "str", "default": []} for name in ("replaced", "moved")},
}
ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "dict", "default": [], "options": file_options(False)},
    # Only the contents are secret: with no_log on the list, "root" and "bird" would be masked everywhere.
    "secret_files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": file_options(True),
        "no_log": False,
    },
    "check": {"type": "list", "elements": "str"},
    "command": {"type": "list", "elements": "str"},
    "description": {"type": "str"},
    "environment": {"type": "dict", "default": {}},
    "runtime_directory": {"type": "str"},
    "vrf": {"type": "str"},
    "restart_signal": {"type": "str", "choices": ["TERM", "KILL"], "default": "TERM"},
    "prepare": {"type": "list", "elements": "str"},
    "cleanup": {"type": "list", "elements": "str"},
    "stops": {"type": "list", "elements": "str", "default": []},
    "service": {"type": "str"},
    "executable": {"type": "str"},
    "pid_file": {"type": "path"},
    "reload": {"type": "list", "elements": "str"},
    "reload_expect": {"type": "str"},
    "restart_on": {"type": "list", "elements": "path", "default": []},
    "depends_on_interfaces": {"type": "list", "elements": "str", "default": []},
    "uses_interfaces": {"type": "list", "elements": "str", "default": []},
    "rebind": {"type": "list", "elements": "str", "default": []},
    "session_interfaces": {"type": "list", "elements": "str", "default": []},
    "session_addresses": {"type": "list", "elements": "str", "default": []},
    "refresh": {"type": "list", "elements": "str", "default": []},
    "renewed": RENEWED,
    "ready": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
    "enabled": {"type": "bool"},
    "former": {"type": "path"},
    "timeout": {"type": "int", "default": 30},
}


def wanted_files(params: dict) -> list[WantedFile]:
    """The files of both lists. Raises DaemonError with all mistakes in them."""
    mistakes, files, names = [], [], set()
    for option, mode in (("files", "0644"), ("secret_files", "0640")):
        for number, given in enumerate(params[option]):
            place, path = f"{option}[{number}]", given["path"]
            digits = given["mode"] or mode
            if not os.path.isabs(path):
                mistakes.append(f"{place}.path: {path} is not an absolute path")
            if os.path.basename(path) in names:
                mistakes.append(f"{place}.path: there are two files named {os.path.basename(path)}")
            names.add(os.path.basename(path))
            if given["content"] is None and params["state"] != "absent":
                mistakes.append(f"{place}: content is missing")
            if not re.fullmatch("0?[0-7]{3}", digits):
                mistakes.append(f"{place}.mode: {digits} is not a mode such as '0644' (quote it)")
                continue
            ids = [0, 0]
            for which, (name, number_of) in enumerate(((given["owner"], user_id), (given["group"], group_id))):
                try:
                    ids[which] = number_of(name) if params["state"] != "absent" else 0
                except FileError as error:
                    mistakes.append(f"{place}: {error}")
            content = (given["content"] or "").encode()
            secret, part = option == "secret_files", given["secret_part"]
            try:
                if part is not None and re.compile(part).groups != 1:
                    mistakes.append(f"{place}.secret_part: must have exactly one group, which matches the secret")
            except re.error as error:
                mistakes.append(f"{place}.secret_part: {error}")
            files.append(WantedFile(path, content, int(digits, 8), *ids, secret=secret, secret_part=part))
    mistakes += [
        f"restart_on: {path} is not among the files"
        for path in set(params["restart_on"]) - {file.path for file in files}
    ]
    if mistakes:
        raise DaemonError("\n".join(f"{params['name']}: {mistake}" for mistake in mistakes))
    return files


def command(params: dict, service: str, files: list[WantedFile]) -> service_file.Command | None:
    """The command to run as our service, if any. Raises DaemonError with all mistakes in it."""
    argv = params["command"] or []
    options = ("description", "environment", "runtime_directory", "vrf", "prepare", "cleanup")
    given = [name for name in options if params[name]]
    mistakes = []
    if not argv:
        mistakes += [f"{name} has no meaning without command" for name in given if params["state"] != "absent"]
    if argv and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", service):
        mistakes.append(f"{service!r} is not a service name: only letters, digits, `_`, `.` and `-` are allowed")
    if "\n" in (params["description"] or ""):
        mistakes.append("description has more than one line")
    if params["runtime_directory"] and not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", params["runtime_directory"]):
        mistakes.append(f"runtime_directory: {params['runtime_directory']!r} is not a directory name under /run")
    mistakes += [
        f"environment: {name!r} is not a variable name"
        for name in params["environment"]
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    ]
    if mistakes:
        raise DaemonError("\n".join(f"{params['name']}: {mistake}" for mistake in mistakes))
    if not argv:
        return None
    return service_file.Command(
        service=service,
        argv=(shutil.which(argv[0], path=PATH) or argv[0], *argv[1:]),
        description=params["description"] or "",
        environment=tuple(sorted((name, str(value)) for name, value in params["environment"].items())),
        runtime_directory=params["runtime_directory"],
        vrf=params["vrf"],
        prepare=tuple(params["prepare"] or ()),
        restart_signal=params["restart_signal"],
        reload=tuple(params["reload"] or ()),
        files=tuple(file.path for file in files),
        cleanup=tuple(params["cleanup"] or ()),
    )


def daemon(params: dict) -> Daemon:
    service = params["service"] or params["name"]
    files, restart_on = wanted_files(params), frozenset(params["restart_on"])
    ours = command(params, service, files)
    path = service_file.path(service, has_systemd())
    if ours:
        mode = 0o644 if has_systemd() else 0o755
        files.append(WantedFile(path, service_file.text(ours, has_systemd()).encode(), mode))
        restart_on |= {path}
    wanted = Wanted(
        service=service,
        state=params["state"],
        files=files,
        can_reload=bool(params["reload"]),
        restart_on=restart_on,
        interfaces=(*params["depends_on_interfaces"], *([params["vrf"]] if params["vrf"] else [])),
        uses=tuple(params["uses_interfaces"]),
        session_interfaces=tuple(params["session_interfaces"]),
        session_addresses=tuple(params["session_addresses"]),
        enabled=params["enabled"],
        service_file=path if ours else None,
    )
    program = ours.argv[0] if ours else params["executable"]
    return Daemon(
        name=params["name"],
        wanted=wanted,
        service=Service(service, program, params["pid_file"], params["timeout"], ours=ours is not None),
        check=params["check"],
        reload=params["reload"],
        reload_expect=params["reload_expect"],
        rebind=params["rebind"],
        refresh=params["refresh"],
        ready=params["ready"],
        stops=params["stops"],
        former=Former(params["former"]) if params["former"] else None,
        renewed=renewed(params),
    )


def renewed(params: dict) -> Renewed:
    return Renewed(**{name: frozenset(names) for name, names in (params["renewed"] or {}).items()})
