# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One interface to systemd services and init scripts. Private to this collection.

Whether a service runs is determined by its process, never by its init script: bird's has no `status`, dhcpcd's looks
for the wrong pid file (Debian 12).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import typing as t

from . import service_file

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLL = 0.05
# Services whose main process is not a program of the same name on the PATH.
PROGRAMS = {"frr": "/usr/lib/frr/watchfrr"}
ANSWERS = 60  # seconds on top of a service's time limit: while systemd reloads all units, it answers no request
SETTLE = 0.5  # seconds that a service of ours without a `ready` command must run to count as started


class ServiceError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    start: int  # clock ticks after boot: with the pid it identifies a process uniquely
    started: float  # seconds since the epoch
    stopped: bool = False  # it, or a process that it started, was stopped by a signal


@dataclasses.dataclass
class Result:
    code: int
    output: str

    def short(self) -> str:
        """The last lines of the output, without colours, for a message."""
        text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self.output)
        return "\n".join([line.strip() for line in text.splitlines() if line.strip()][-12:])


def run(argv: list[str], timeout: float) -> Result:
    """Runs a command; output and errors are combined. Raises ServiceError if it is missing or does not end in time.

    The output goes to a file: a daemon that inherited a pipe and kept it open would block us.
    """
    environment = {"PATH": PATH, "LC_ALL": "C", "HOME": "/root"}
    program = shutil.which(argv[0], path=PATH)
    if program is None:
        raise ServiceError(f"{argv[0]} is not installed")
    with tempfile.TemporaryFile() as output:
        try:
            code = subprocess.run(
                [program, *argv[1:]],
                check=False,
                cwd="/",
                env=environment,
                timeout=timeout,
                umask=0o022,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise ServiceError(f"`{' '.join(argv)}` did not end within {timeout:g} s") from error
        output.seek(0)
        return Result(code, output.read().decode(errors="replace"))


def process(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        if fields[0] in "ZX":
            return None
        with open("/proc/uptime", encoding="ascii") as file:
            boot = time.time() - float(file.read().split()[0])
    except (OSError, IndexError):
        return None
    start = int(fields[19])
    stopped = fields[0] == "T" or any(_state(one) == "T" for one in _descendants(pid))
    return Process(pid, start, boot + start / os.sysconf("SC_CLK_TCK"), stopped)


def _state(pid: int) -> str:
    """T for a process that a signal has stopped."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _descendants(pid: int) -> list[int]:
    """The processes that a process has started, directly or not."""
    found: list[int] = []
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        for child in map(int, file.read().split()):
            found += [child, *_descendants(child)]
    return found


def resume(stopped: Process) -> None:
    """Continues a process that a signal has stopped, and those that it started."""
    for pid in (stopped.pid, *_descendants(stopped.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _runs(pid: int, executable: str) -> bool:
    """Whether the process is an instance of the program, even if an upgrade has replaced the program."""
    return (_link(f"/proc/{pid}/exe") or "").removesuffix(" (deleted)") == executable


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def find(executable: str) -> Process | None:
    """The oldest instance of a program that is not a child of another instance.

    Processes of other pid namespaces (containers, lab nodes) are visible in /proc but are not considered.
    """
    here = _link("/proc/self/ns/pid")
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = {pid for pid in pids if _runs(pid, executable) and _link(f"/proc/{pid}/ns/pid") == here}
    heads = [process(pid) for pid in found if _parent(pid) not in found]
    return min((head for head in heads if head), key=lambda head: head.start, default=None)


def has_systemd() -> bool:
    return os.path.isdir("/run/systemd/system")


def is_named(pid: int, name: str) -> bool:
    """Whether an init script of ours started the process as the service of this name."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{service_file.VARIABLE}={name}".encode() in file.read().split(b"\0")
    except OSError:
        return False


class Service:
    """One service. `executable` is the program of its main process; `pid_file` distinguishes instances (optional).

    A service is `ours` if we write its unit or init script.
    """

    def __init__(
        self,
        name: str,
        executable: str | None = None,
        pid_file: str | None = None,
        timeout: float = 30,
        ours: bool = False,
    ):
        self.name = name
        self.ours = ours
        self.systemd = has_systemd()
        self.pid_file = service_file.pid_path(name) if ours and not self.systemd else pid_file
        self.timeout = timeout
        self.program = executable or PROGRAMS.get(name, name)
        found = shutil.which(self.program, path=PATH)
        self.executable = os.path.realpath(found) if found else None

    def installed(self) -> str | None:
        """What is missing; None if nothing is."""
        if self.executable is None:
            return f"{self.program} is not installed: install its package"
        if self.systemd:
            loaded = self._shown("LoadState")["LoadState"]
            if loaded == "masked":
                return f"unit {self.name}.service is masked: run `systemctl unmask {self.name}`"
            return None if self.ours or loaded != "not-found" else f"there is no unit {self.name}.service"
        if self.ours:
            return None
        return None if os.access(f"/etc/init.d/{self.name}", os.X_OK) else f"there is no /etc/init.d/{self.name}"

    def main(self) -> Process | None:
        if self.executable is None and not self.ours:
            return None
        if self.systemd:
            values = self._shown("MainPID", "ActiveState")
            pid = int(values["MainPID"] or 0)
            if pid or self.ours or values["ActiveState"] not in ("active", "reloading"):
                return process(pid) if pid else None
        if self.pid_file is None:
            return find(t.cast(str, self.executable))
        return self._by_pid_file(self.pid_file)

    def ended(self) -> str:
        """Why a service that does not run does not, as far as systemd knows."""
        if not self.systemd:
            return "it is not running"
        values = self._shown("ActiveState", "SubState", "Result", "ExecMainStatus")
        if values["ActiveState"] == "active":
            return f"it has ended, although systemd shows it as active ({values['SubState']})"
        if values["ActiveState"] != "failed":
            return "it is not running"
        status = int(values["ExecMainStatus"] or 0)
        if values["Result"] in ("signal", "core-dump"):
            return f"it was killed by {signal.Signals(status).name if status else 'a signal'}"
        if values["Result"] == "exit-code":
            return f"it has failed (exit code {status})"
        return f"it has failed ({values['Result']})"

    def is_on(self) -> bool:
        """Whether it runs, or systemd is about to start it again."""
        if self.main() is not None:
            return True
        shown = self._systemctl("is-active", self.name).output.strip() if self.systemd else ""
        return shown in ("activating", "reloading")

    def _by_pid_file(self, path: str) -> Process | None:
        try:
            with open(path, encoding="ascii") as file:
                pid = int(file.read().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        is_it = is_named(pid, self.name) if self.ours else _runs(pid, t.cast(str, self.executable))
        return process(pid) if is_it else None

    def _shown(self, *properties: str) -> dict[str, str]:
        output = self._systemctl("show", f"--property={','.join(properties)}", self.name).output
        found = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
        return {name: found.get(name, "") for name in properties}

    def _systemctl(self, *words: str) -> Result:
        return run(["systemctl", *words], self.timeout + ANSWERS)

    def _command(self, action: str) -> list[str]:
        return ["systemctl", action, self.name] if self.systemd else ["service", self.name, action]

    def _wait(self, condition: t.Callable[[], bool]) -> bool:
        deadline = time.monotonic() + self.timeout
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL)
        return True

    def start(self, ready: list[str] | None = None, action: str = "start") -> Process:
        """Starts the service and waits until its main process runs and the command `ready` succeeds.

        `action` is start, or restart for a service of ours, which then ends with its own `restart_signal`.
        """
        if self.systemd:
            action = "restart"  # `start` does nothing for a service that has ended but counts as active
        result = run(self._command(action), self.timeout + 30)
        if result.code != 0:
            raise ServiceError(f"service {self.name} does not start: {self.reason(result)}")
        if not self._wait(lambda: self.main() is not None):
            raise ServiceError(f"service {self.name} was started but does not run: {self.reason(result)}")
        if ready:
            last = result

            def is_ready() -> bool:
                nonlocal last
                last = run(ready, self.timeout)
                return last.code == 0

            if not self._wait(is_ready):
                raise ServiceError(f"service {self.name} runs but `{' '.join(ready)}` fails: {last.short()}")
        first = self.main()
        if self.ours and not ready:
            time.sleep(SETTLE)
        running = self.main()
        if first is None or running is None or (first.pid, first.start) != (running.pid, running.start):
            raise ServiceError(f"service {self.name} was started but has ended: {self.reason(result)}")
        return running

    def stop(self) -> None:
        result = run(self._command("stop"), self.timeout + 60)
        if result.code != 0 or not self._wait(lambda: self.main() is None):
            raise ServiceError(f"service {self.name} does not stop: {self.reason(result)}")
        self.forget_failure()

    def forget_failure(self) -> None:
        """However it ended: a failed unit makes the host degraded, and systemd lists it even without its file."""
        if self.systemd:
            self._systemctl("reset-failed", self.name)  # complains about a unit that is not loaded

    def read_units(self) -> None:
        """Makes systemd reload its units from disk."""
        if self.systemd:
            result = self._systemctl("daemon-reload")
            if result.code != 0:
                raise ServiceError(f"systemd cannot reload its units: {result.short()}")

    def reason(self, result: Result) -> str:
        if self.systemd and shutil.which("journalctl", path=PATH):
            journal = run(["journalctl", "--unit", self.name, "--lines=8", "--output=cat", "--no-pager"], self.timeout)
            if journal.code == 0 and journal.short():
                return f"{result.short()}\n{journal.short()}"
        if self.ours and not self.systemd:
            with contextlib.suppress(OSError), open(service_file.log_path(self.name), "rb") as log:
                log.seek(max(0, os.path.getsize(log.name) - 4000))
                return f"{result.short()}\n{Result(0, log.read().decode(errors='replace')).short()}".strip()
        return result.short() or f"`{' '.join(self._command('start'))}` printed nothing (exit code {result.code})"

    def enabled(self) -> bool:
        if self.systemd:
            return self._systemctl("is-enabled", self.name).code == 0
        return any(
            re.fullmatch(rf"S\d\d{re.escape(self.name)}", link)
            for level in "2345"
            if os.path.isdir(f"/etc/rc{level}.d")
            for link in os.listdir(f"/etc/rc{level}.d")
        )

    def enable(self, wanted: bool) -> None:
        action = "enable" if wanted else "disable"
        commands = [["systemctl", action, self.name]]
        if not self.systemd:
            commands = [["update-rc.d", self.name, "defaults"], ["update-rc.d", self.name, action]]
            if self.ours and not wanted:
                commands = [["update-rc.d", "-f", self.name, "remove"]]
        for command in commands:
            if command[-1] == "enable" and not self.systemd and self.enabled():
                continue  # `defaults` enables a service that had no links
            result = run(command, self.timeout + ANSWERS)
            if result.code != 0:
                raise ServiceError(f"service {self.name} cannot be {action}d: {result.short()}")
