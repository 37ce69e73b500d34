"""Inside the lab kernel: runs one command, and carries its input, output, signals and exit code over serial lines.

Process 1 of user-mode Linux; uml_host.py is its other end and describes the lines. File descriptor 3 is the session:
a JSON object with command, directory, environment, terminal (bool), join (stderr goes where stdout goes), size.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import struct
import termios
import threading

CONTROL, STDIN, STDOUT, STDERR = "/dev/ttyS1", "/dev/ttyS2", "/dev/ttyS3", "/dev/ttyS4"
TERMINAL = "/dev/tty0"
CHUNK = 65536
LAST_WORDS_SECONDS = 1


def open_line(path: str) -> int:
    """Open a serial line that hands on every byte as it is."""
    line = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    iflag, oflag, cflag, lflag, ispeed, ospeed, chars = termios.tcgetattr(line)
    iflag = oflag = lflag = 0
    chars[termios.VMIN], chars[termios.VTIME] = 1, 0
    termios.tcsetattr(line, termios.TCSANOW, [iflag, oflag, cflag, lflag, ispeed, ospeed, chars])
    return line


def write_all(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def read_exactly(source: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = os.read(source, count - len(data))
        if not part:
            return b""
        data += part
    return data


def feed_input(line: int, pipe: int) -> None:
    """Records of a two-byte length and as many bytes; length 0 is the end of the input (a serial line has none)."""
    while True:
        header = read_exactly(line, 2)
        size = struct.unpack("!H", header)[0] if header else 0
        data = read_exactly(line, size) if size else b""
        if not data:
            break
        try:
            write_all(pipe, data)
        except BrokenPipeError:
            break
    os.close(pipe)
    # What the command does not read must not fill the line: the other end would block on it.
    while header and size:
        header = read_exactly(line, 2)
        size = struct.unpack("!H", header)[0] if header else 0
        read_exactly(line, size)


def carry_output(pipe: int, line: int) -> None:
    while True:
        try:
            data = os.read(pipe, CHUNK)
        except OSError:
            return
        if not data:
            break
        write_all(line, data)
    termios.tcdrain(line)


class Guest:
    def __init__(self, session: dict) -> None:
        self.session = session
        self.control = open_line(CONTROL)
        self.outputs: list[threading.Thread] = []
        self.readers: dict[str, int] = {}
        self.terminal = -1
        if session["terminal"]:
            self.terminal = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            self.resize(*session["size"])
            settings = termios.tcgetattr(self.terminal)
            settings[0] |= getattr(termios, "IUTF8", 0o40000)
            termios.tcsetattr(self.terminal, termios.TCSANOW, settings)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def tell(self, **message: object) -> None:
        write_all(self.control, json.dumps(message).encode() + b"\n")

    def output_pipe(self, name: str, path: str) -> int:
        reader, writer = os.pipe()
        self.readers[name] = reader
        thread = threading.Thread(target=carry_output, args=(reader, open_line(path)), daemon=True)
        self.outputs.append(thread)
        return writer

    def start(self) -> int:
        """Start the command and return its process id."""
        stdin = stdout = self.terminal
        feeder = None
        if not self.session["terminal"]:
            line = open_line(STDIN)
            stdin, feed = os.pipe()
            feeder = threading.Thread(target=feed_input, args=(line, feed), daemon=True)
            stdout = self.output_pipe("stdout", STDOUT)
        stderr = stdout if self.session["join"] else self.output_pipe("stderr", STDERR)
        child = os.fork()
        if child == 0:
            self.become_command(stdin, stdout, stderr)
        for end in {stdin, stdout, stderr} - {self.terminal}:
            os.close(end)
        if feeder:
            feeder.start()
        for thread in self.outputs:
            thread.start()
        return child

    def become_command(self, stdin: int, stdout: int, stderr: int) -> None:
        command = self.session["command"]
        try:
            os.setsid()
            if self.session["terminal"]:
                fcntl.ioctl(stdin, termios.TIOCSCTTY, 1)
            for number, end in enumerate((stdin, stdout, stderr)):
                os.dup2(end, number)
            os.chdir(self.session["directory"])
            # Python ignores these two; a command expects the defaults.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            os.execvpe(command[0], command, self.session["environment"])
        except OSError as error:
            os.write(2, f"lab-kernel: {command[0]}: {error.strerror}\n".encode())
            os._exit(127 if error.errno == errno.ENOENT else 126)

    def obey(self, child: int) -> None:
        """Signals, window sizes and closed outputs from the other side, one JSON line each."""
        with os.fdopen(os.dup(self.control), "rb", buffering=0) as lines:
            buffer = b""
            while data := lines.read(4096):
                buffer += data
                *messages, buffer = buffer.split(b"\n")
                for message in map(json.loads, messages):
                    if "signal" in message:
                        self.pass_signal(child, message["signal"])
                    if "size" in message:
                        self.resize(*message["size"])
                    if "closed" in message and message["closed"] in self.readers:
                        # The next write of the command gets SIGPIPE, as it would outside.
                        reader = self.readers[message["closed"]]
                        os.dup2(os.open(os.devnull, os.O_RDONLY), reader)

    def pass_signal(self, child: int, number: int) -> None:
        # The keyboard's signals go to the whole group, as a terminal sends them; the others to the command alone.
        keyboard = number in (signal.SIGINT, signal.SIGQUIT)
        with contextlib.suppress(ProcessLookupError):
            os.kill(-child if keyboard else child, number)

    def run(self) -> None:
        child = self.start()
        self.tell(ready=True)
        threading.Thread(target=self.obey, args=(child,), daemon=True).start()
        ended, status = os.waitpid(-1, 0)
        while ended != child:
            ended, status = os.waitpid(-1, 0)
        code = os.waitstatus_to_exitcode(status)
        # What the command left behind may finish what it has to say, as `tee >(sha256sum)` does, but not hold us up.
        for thread in self.outputs:
            thread.join(LAST_WORDS_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        for thread in self.outputs:
            thread.join()
        if self.terminal >= 0:
            self.drain_terminal()
        os.sync()
        self.tell(exit=code if code >= 0 else 128 - code)
        termios.tcdrain(self.control)

    def drain_terminal(self) -> None:
        # The session leader's end hangs the terminal up: what was written is drained through a new descriptor.
        terminal = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        termios.tcdrain(terminal)


def power_off() -> None:
    with open("/proc/sysrq-trigger", "w", encoding="ascii") as trigger:
        trigger.write("o")
    while True:
        signal.pause()


if __name__ == "__main__":
    with os.fdopen(3, encoding="utf-8", errors="surrogateescape") as session_file:
        guest = Guest(json.load(session_file))
    try:
        guest.run()
    finally:
        power_off()
