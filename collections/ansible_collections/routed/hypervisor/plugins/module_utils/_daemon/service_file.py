# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that makes a command a service: a systemd unit or an init script. Private to this collection.

The file itself lists what else belongs to the service and what cleans up after it, so that the service can be removed
without knowing how it was configured.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex

HEADER = "# Managed by Routed Hypervisor (module daemon): changes made here are overwritten."
BELONGS = "# Belongs to it: "
CLEANUP = "# When it is removed: "
# Identifies the service of a process by its environment: pids are reused, and a program may have several instances.
VARIABLE = "ROUTED_HYPERVISOR_SERVICE"
STOP_S = 20
IP = "/usr/sbin/ip"


@dataclasses.dataclass(frozen=True)
class Command:
    """A service of ours: what runs, and how."""

    service: str
    argv: tuple[str, ...]  # the program as an absolute path; it stays in the foreground
    description: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    runtime_directory: str | None = None  # a name under /run
    vrf: str | None = None  # to which the program's sockets are bound
    prepare: tuple[str, ...] = ()  # command that runs before every start
    restart_signal: str = "TERM"
    reload: tuple[str, ...] = ()  # {pid} is the main process
    files: tuple[str, ...] = ()  # absolute paths of its configuration
    cleanup: tuple[str, ...] = ()


def path(service: str, systemd: bool) -> str:
    return f"/etc/systemd/system/{service}.service" if systemd else f"/etc/init.d/{service}"


def log_path(service: str) -> str:
    """The log file of a service without a journal."""
    return f"/var/log/{service}.log"


def pid_path(service: str) -> str:
    return f"/run/{service}.pid"


def text(command: Command, systemd: bool) -> str:
    return unit(command) if systemd else init_script(command)


def _notes(command: Command) -> list[str]:
    notes = [HEADER]
    if command.files:
        notes.append(BELONGS + json.dumps(command.files))
    if command.cleanup:
        notes.append(CLEANUP + json.dumps(command.cleanup))
    return notes


def notes(content: str) -> tuple[list[str], list[str]]:
    """The paths of a service's files, and the command that cleans up after it, parsed from its unit or init script."""
    found = []
    for key in (BELONGS, CLEANUP):
        line = next((line for line in content.splitlines() if line.startswith(key)), key + "[]")
        found.append(json.loads(line.removeprefix(key)))
    return found[0], found[1]


def _quoted(word: str) -> str:
    """A word quoted for systemd: neither split nor expanded."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return f'"{word}"' if not re.fullmatch(r"[\w@%+=:,./{}-]+", word) else word


def _line(argv: tuple[str, ...]) -> str:
    return " ".join(_quoted(word.replace("$", "$$")) for word in argv)


def _in_vrf(command: Command) -> tuple[str, ...]:
    """The command prefix that binds every socket of a program to its VRF, including listening ones."""
    return (IP, "vrf", "exec", command.vrf) if command.vrf else ()


def unit(command: Command) -> str:
    lines = [
        *_notes(command),
        "[Unit]",
        f"Description={(command.description or command.service).replace('%', '%%')}",
        "Wants=network.target",
        "After=network.target",
        "# However often it ends, it is started again.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        *([f"ExecStartPre={_line(command.prepare)}"] if command.prepare else []),
        f"ExecStart={_line((*_in_vrf(command), *command.argv))}",
    ]
    if command.reload:
        lines.append(f"ExecReload={_line(command.reload).replace('{pid}', '$MAINPID')}")
    lines += [f"Environment={_quoted(f'{name}={value}')}" for name, value in command.environment]
    lines += ["Restart=always", "RestartSec=1", f"TimeoutStopSec={STOP_S}"]
    if command.restart_signal != "TERM":
        lines.append(f"RestartKillSignal=SIG{command.restart_signal}")
    if command.runtime_directory:
        lines += [
            f"RuntimeDirectory={command.runtime_directory}",
            "RuntimeDirectoryMode=0750",
            "# Other services may have their files there, too.",
            "RuntimeDirectoryPreserve=yes",
        ]
    lines += [
        "NoNewPrivileges=yes",
        "ProtectSystem=full",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "ProtectClock=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


SCRIPT = """
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
name={name}
pid_file={pid_file}
log={log}

# The pid of our process: the one that has our name in its environment, as pids are used again.
running() {{
  [ -r "$pid_file" ] && read -r pid <"$pid_file" && [ -r "/proc/$pid/environ" ] &&
    tr '\\0' '\\n' <"/proc/$pid/environ" | grep -qxF "{variable}=$name"
}}

start() {{
  running && return 0
  rm -f "$pid_file"
{prepare}  start-stop-daemon --start --quiet --background --make-pidfile --pidfile "$pid_file" --output "$log" \\
    --startas {program} -- {arguments}
}}

# stop [SIGNAL]
stop() {{
  running || return 0
  start-stop-daemon --stop --quiet --oknodo --pidfile "$pid_file" --retry="${{1:-TERM}}/{stop_s}/KILL/5" &&
    rm -f "$pid_file"
}}

case "$1" in
  start) (start) ;;
  stop) stop ;;
  restart | force-reload) stop {restart_signal} && (start) ;;
{reload}  status)
    if running; then echo "$name runs, pid $pid"; else echo "$name does not run"; exit 3; fi
    ;;
  *)
    echo "Usage: $0 {{{actions}}}" >&2
    exit 2
    ;;
esac
"""


# `ip vrf exec` uses one control group per VRF name, below that of its caller. If network namespaces shared that control
# group, one would bind the sockets of the other.
OWN_GROUP = """  groups=/run/cgroup2
  mountpoint -q "$groups" || {{ mkdir -p "$groups" && mount -t cgroup2 none "$groups"; }} || return 1
  group=$groups/{name}.$(stat -Lc %i /proc/self/ns/net)
  mkdir -p "$group" && echo 0 >"$group/cgroup.procs" || return 1
"""


def init_script(command: Command) -> str:
    name = command.service
    description = command.description or name
    head = [
        "#!/bin/sh",
        *_notes(command),
        "### BEGIN INIT INFO",
        f"# Provides:          {name}",
        "# Required-Start:    $remote_fs $network",
        "# Required-Stop:     $remote_fs $network",
        "# Default-Start:     2 3 4 5",
        "# Default-Stop:      0 1 6",
        f"# Short-Description: {description}",
        "### END INIT INFO",
    ]
    prepare = [f"export {VARIABLE}={shlex.quote(name)}"]
    prepare += [f"export {key}={shlex.quote(value)}" for key, value in command.environment]
    if command.runtime_directory:
        prepare.append(f"mkdir -p -m 0750 {shlex.quote('/run/' + command.runtime_directory)}")
    if command.prepare:
        prepare.append(f"{shlex.join(command.prepare)} || return 1")
    group = OWN_GROUP.format(name=name) if command.vrf else ""
    argv = (*_in_vrf(command), *command.argv)
    reload = ""
    if command.reload:
        line = shlex.join(command.reload).replace("'{pid}'", '"$pid"').replace("{pid}", "'\"$pid\"'")
        reload = f"  reload) running && {line} ;;\n"
    return "\n".join(head) + SCRIPT.format(
        name=shlex.quote(name),
        pid_file=shlex.quote(pid_path(name)),
        log=shlex.quote(log_path(name)),
        variable=VARIABLE,
        prepare="".join(f"  {line}\n" for line in prepare) + group,
        program=shlex.quote(argv[0]),
        arguments=shlex.join(argv[1:]),
        restart_signal=command.restart_signal,
        stop_s=STOP_S,
        reload=reload,
        actions="start|stop|restart|reload|status" if reload else "start|stop|restart|status",
    )
