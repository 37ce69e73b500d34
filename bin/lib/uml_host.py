"""Outside the lab kernel: boots user-mode Linux for one command and carries everything between it and the caller.

    uml_host.py TOOLS MEMORY_MB COMMAND [ARGUMENT…]

Serial lines: ttyS0 kernel messages, ttyS1 control (JSON lines both ways), ttyS2 to ttyS4 the command's stdin, stdout
and stderr, tty0 the command's terminal if the caller has one. All are pipes of this process, so the caller's own
descriptors never become non-blocking or raw by the kernel's doing.

Nothing outlives this process, not even after SIGKILL: the kernel runs in a process namespace whose first process dies
with it, and its memory, socket and session are in a tmpfs of a private mount namespace.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import tty

from uml_boot import boot, own_processor

FAILURE = 125
BOOT_SECONDS = 90
POWER_OFF_SECONDS = 5
CHUNK = 32768
# They name sockets and descriptors of the machine, which a command in another kernel cannot use.
MEANINGLESS = {
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "BASH_ENV",
}
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def say(sentence: str) -> None:
    print(f"lab-kernel: {sentence}", file=sys.stderr, flush=True)


def write_all(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def same_file(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


def window_size() -> tuple[int, int]:
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
    return rows, columns


def command_environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in MEANINGLESS}
    for name in ("MAKEFLAGS", "MFLAGS"):
        if name in environment:
            environment[name] = re.sub(r" ?--jobserver-(auth|fds)=\S+| ?-j\d*\b", "", environment[name])
    environment["ROUTED_HYPERVISOR_KERNEL_KIND"] = "uml"
    return environment


class Machine:
    """One run of user-mode Linux."""

    def __init__(self, tools: str, memory: int, command: list[str]) -> None:
        self.tools, self.memory, self.command = tools, memory, command
        self.terminal = os.isatty(0) and os.isatty(1)
        self.messages: collections.deque[str] = collections.deque(maxlen=400)
        self.ready = threading.Event()
        self.exit_code: int | None = None
        self.signals = 0
        self.process: subprocess.Popen | None = None
        self.threads: list[threading.Thread] = []
        self.kernel_ends: list[int] = []
        self.control_in = self.control_out = self.input = -1

    def to_kernel(self) -> tuple[int, int]:
        reader, writer = os.pipe()
        self.kernel_ends.append(reader)
        return writer, reader

    def from_kernel(self) -> tuple[int, int]:
        reader, writer = os.pipe()
        self.kernel_ends.append(writer)
        return reader, writer

    def session(self) -> bytes:
        session = {
            "command": self.command,
            "directory": os.getcwd(),
            "environment": command_environment(),
            "terminal": self.terminal,
            "join": os.isatty(2) if self.terminal else same_file(1, 2),
            "size": window_size() if self.terminal else (0, 0),
        }
        return json.dumps(session).encode()

    def start(self) -> None:
        messages, kernel_messages = self.from_kernel()
        self.control_in, kernel_control_out = self.from_kernel()
        self.control_out, kernel_control_in = self.to_kernel()
        self.input, kernel_input = self.to_kernel()
        output, kernel_output = self.from_kernel()
        errors, kernel_errors = self.from_kernel()
        lines = [
            "con=null",
            "ssl=null",
            "console=ttyS0",
            f"ssl0=null,fd:{kernel_messages}",
            f"ssl1=fd:{kernel_control_in},fd:{kernel_control_out}",
            f"ssl4=null,fd:{kernel_errors}",
        ]
        if self.terminal:
            lines.append(f"con0=fd:{kernel_input},fd:{kernel_output}")
        else:
            lines += [f"ssl2=fd:{kernel_input},null", f"ssl3=null,fd:{kernel_output}"]
        self.process = boot(self.tools, self.memory, lines, kernel_messages, self.kernel_ends)
        for end in self.kernel_ends:
            os.close(end)
        assert self.process.stdin
        try:
            self.process.stdin.write(self.session())
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.follow(self.keep_messages, messages)
        self.follow(self.obey, self.control_in)
        self.follow(self.carry_output, output, 1, "stdout")
        self.follow(self.carry_output, errors, 2, "stderr")

    def follow(self, action, *arguments) -> None:
        thread = threading.Thread(target=action, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)

    def keep_messages(self, source: int) -> None:
        with os.fdopen(source, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self.messages.append(line.strip())

    def obey(self, source: int) -> None:
        with os.fdopen(source, "rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "ready" in message:
                    self.ready.set()
                    threading.Thread(target=self.carry_input, daemon=True).start()
                if "exit" in message:
                    self.exit_code = message["exit"]
                    # The kernel's own end should take a fraction of a second; if not, it is ended.
                    timer = threading.Timer(POWER_OFF_SECONDS, self.kill)
                    timer.daemon = True
                    timer.start()

    def carry_output(self, source: int, target: int, name: str) -> None:
        broken = False
        while data := os.read(source, CHUNK):
            if broken:
                continue
            try:
                write_all(target, data)
            except OSError:
                broken = True
                self.tell(closed=name)

    def carry_input(self) -> None:
        try:
            while True:
                try:
                    data = os.read(0, CHUNK)
                except OSError:
                    data = b""
                write_all(self.input, data if self.terminal else struct.pack("!H", len(data)) + data)
                if not data:
                    return
        except BrokenPipeError:
            return

    def tell(self, **message: object) -> None:
        with contextlib.suppress(OSError):
            write_all(self.control_out, json.dumps(message).encode() + b"\n")

    def pass_signal(self, number: int, _frame: object) -> None:
        self.signals += 1
        if not self.ready.is_set() or self.signals > 2:
            self.exit_code = 128 + number
            self.kill()
        else:
            self.tell(signal=number)

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()

    def watch_boot(self) -> None:
        if not self.ready.wait(BOOT_SECONDS):
            self.messages.append(f"not ready after {BOOT_SECONDS} s")
            self.kill()

    def run(self) -> int:
        for number in FORWARDED:
            signal.signal(number, self.pass_signal)
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        if self.terminal:
            signal.signal(signal.SIGWINCH, lambda *_: self.ready.is_set() and self.tell(size=window_size()))
        self.start()
        threading.Thread(target=self.watch_boot, daemon=True).start()
        assert self.process
        self.process.wait()
        for thread in self.threads:
            thread.join(POWER_OFF_SECONDS)
        return self.verdict()

    def verdict(self) -> int:
        """The command's exit code, unless the kernel itself failed."""
        text = "\n".join(self.messages)
        victims = re.findall(r"Out of memory: Killed process \d+ \(([^)]*)\)", text)
        if victims:
            say(
                f"the lab kernel ran out of memory ({self.memory} MB) and killed {', '.join(dict.fromkeys(victims))}: "
                "set ROUTED_HYPERVISOR_KERNEL_MEMORY to more megabytes"
            )
            return self.exit_code or FAILURE
        if self.exit_code is None:
            panic = re.search(r"Kernel panic[^\n]*", text)
            last = panic.group(0) if panic else next((line for line in reversed(self.messages) if line), "no message")
            say(f"user-mode Linux ended before the command did: {last}")
            return FAILURE
        return self.exit_code


def main() -> int:
    tools, memory, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    machine = Machine(tools, memory, command)
    claim = own_processor()
    settings = termios.tcgetattr(0) if machine.terminal else None
    try:
        if settings:
            tty.setraw(0, termios.TCSANOW)
        return machine.run()
    finally:
        if settings:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            termios.tcsetattr(0, termios.TCSADRAIN, settings)
        if claim:
            claim.close()


if __name__ == "__main__":
    sys.exit(main())
