"""Runs jobs in a kernel, for the supervisor outside it: commands and Ansible modules, on the machine and in lab nodes.

Process 1 of a lab kernel, or a child of the supervisor on the machine's own kernel. File descriptor 3, or the one given
as argument, is the session, a JSON object:
  link       {"path": of the device} or {"fds": [input, output]}: where frames come from and go to
  shared     the directory that the supervisor writes requests and payloads to
  mount      a type of file system that shows that directory here, or null where it is the same already
  power_off  whether the kernel ends with this program
  kind       of kernel, which commands find in ROUTED_HYPERVISOR_KERNEL_KIND

An OPEN frame has the name of a file in shared/requests: a line of JSON, then the job's input. It is removed as soon as
it is open. The line has
  kind        exec or module
  lab, node   which node; none for the machine itself
and for exec:
  command     a list, or a string for /bin/sh
  directory, environment
  terminal    [rows, columns], or null
  join        whether errors go where output goes
  stream      whether input follows in frames
and for module:
  interpreter, module, parameters, profile, and payload: the name of a zip file in shared/payloads
  directory, environment
  persistent  whether it may run in the node's worker itself, instead of a fork of it
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import sys
import termios
import time
import traceback
import typing as t

import frames
from namespaces import (
    NoSuchNode,
    close_descriptors,
    enter_all_but_processes,
    find_node,
    fork_into,
    mount,
    parent_death_signal,
    raise_descriptor_limit,
)

# What a command left behind may finish what it has to say, as `tee >(sha256sum)` does, but not hold anyone up.
LAST_WORDS_S = 1.0
# A command that outlives its client gets SIGTERM, and SIGKILL after this time.
CANCEL_S = 5.0
UNREAD_TERMINAL_S = 0.05  # until what was typed is offered again to a program that does not read it
# Interpreters for modules, of which each image takes one: those of images that are no longer used end.
INTERPRETERS = 4
INTERPRETER_BUFFER = 1 << 22  # for some thousand jobs that are started at once
SO_SNDBUFFORCE = 32
WARM_MODULES = ("namespaces", "payloads", "leftovers", "workers")  # those that warm.py imports, in this order
HERE = os.path.dirname(os.path.realpath(__file__))
KIND = "ROUTED_HYPERVISOR_KERNEL_KIND"  # of the kernel, for what runs outside nodes
NODE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


class Job:
    """One command or module. `streams` has the kind of frame for each descriptor that is read for it."""

    def __init__(self, number: int, request: str) -> None:
        self.number = number
        self.request = request
        self.process = 0
        self.streams: dict[int, bytes] = {}
        self.paused: set[int] = set()
        self.untaken = 0
        self.input = -1
        self.waiting_input = b""
        self.terminal = -1
        self.end: dict[str, t.Any] | None = None
        self.deadline = 0.0
        self.syncs = False  # whether it may have written files of the machine through a kernel of its own


class Interpreter:
    """A process of warm.py, from which workers for modules are forked."""

    def __init__(self, program: str, connection: socket.socket) -> None:
        self.program = program
        self.connection = connection
        self.answers = False  # whether it has ever
        self.jobs: dict[int, Job] = {}
        self.groups: dict[int, int] = {}  # process groups of running modules, by job
        self.sources: dict[str, int] = {}  # checksums of what it has seen, by file
        self.payloads: set[str] = set()
        self.retired = False

    def differs(self, sources: dict[str, int]) -> bool:
        return any(self.sources.get(name, checksum) != checksum for name, checksum in sources.items())


class Guest:
    def __init__(self, session: dict) -> None:
        self.shared = session["shared"]
        self.power_off = session["power_off"]
        self.kind = session["kind"]
        link = session["link"]
        if "path" in link:
            self.link_in = self.link_out = open_line(link["path"])
        else:
            self.link_in, self.link_out = link["fds"]
        os.set_blocking(self.link_in, False)
        os.set_blocking(self.link_out, False)
        self.parser = frames.Parser()
        self.to_send = bytearray()
        self.selector = selectors.DefaultSelector()
        self.jobs: dict[int, Job] = {}
        self.unread: set[Job] = set()
        self.cancelled: dict[Job, float] = {}
        self.children: dict[int, Job | Interpreter] = {}
        self.interpreters: dict[tuple[str, str], Interpreter] = {}
        self.checksums: dict[str, dict[str, int]] = {}
        self.own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self.child_ended, wakeup = os.pipe()
        for end in (self.child_ended, wakeup):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

    # The link

    def send(self, number: int, kind: bytes, data: bytes = b"") -> None:
        self.to_send += frames.pack(number, kind, data)  # sent before the next wait

    def flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.to_send:
                del self.to_send[: os.write(self.link_out, self.to_send[: frames.CHUNK])]
        # On a serial line, one descriptor is read and written: it is registered for reading already.
        events = selectors.EVENT_WRITE if self.to_send else 0
        if self.link_in == self.link_out:
            self.selector.modify(self.link_in, selectors.EVENT_READ | events, self.on_link)
        elif events and self.link_out not in self.selector.get_map():
            self.selector.register(self.link_out, events, lambda _: self.flush())
        elif not events and self.link_out in self.selector.get_map():
            self.selector.unregister(self.link_out)

    def on_link(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self.flush()
        if not events & selectors.EVENT_READ:
            return
        try:
            data = os.read(self.link_in, 1 << 18)
        except BlockingIOError:
            return
        if not data:
            sys.exit()  # the supervisor is gone
        for frame in self.parser.feed(data):
            self.on_frame(frame)

    def on_frame(self, frame: frames.Frame) -> None:
        if frame.kind == frames.OPEN:
            self.open(Job(frame.job, f"{self.shared}/requests/{frame.data.decode()}"))
        elif frame.kind == frames.CANCEL and not frame.job:
            sys.exit()
        elif frame.kind in (frames.INPUT, frames.INPUT_FILE):
            data = frame.data if frame.kind == frames.INPUT else self.take_file(frame.data.decode())
            if frame.job in self.jobs:
                self.take_input(self.jobs[frame.job], data)
        elif frame.job in self.jobs:
            self.on_job_frame(self.jobs[frame.job], frame)

    def on_job_frame(self, job: Job, frame: frames.Frame) -> None:
        if frame.kind == frames.TAKEN:
            job.untaken -= frames.NUMBER.unpack(frame.data)[0]
            self.resume(job)
        elif frame.kind == frames.SIGNAL:
            self.pass_signal(job, frames.NUMBER.unpack(frame.data)[0])
        elif frame.kind == frames.SIZE and job.terminal >= 0:
            resize(job.terminal, *frames.PAIR.unpack(frame.data))
        elif frame.kind == frames.CLOSED:
            for stream in [stream for stream, kind in job.streams.items() if kind == frame.data]:
                self.close_output(job, stream)
        elif frame.kind == frames.CANCEL:
            self.cancel(job)

    def take_file(self, name: str) -> bytes:
        path = f"{self.shared}/requests/{name}"
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return data

    # Jobs

    def open(self, job: Job) -> None:
        self.jobs[job.number] = job
        try:
            self.start(job)
        except NoSuchNode as error:
            self.finish(job, {"error": str(error)})
        except OSError as error:
            self.finish(job, {"error": f"the job could not be started: {error}"})
        except (KeyError, TypeError, ValueError) as error:
            self.finish(job, {"error": f"the request is not one: {error!r}"})
        finally:
            with contextlib.suppress(OSError):
                os.unlink(job.request)

    def start(self, job: Job) -> None:
        with open(job.request, "rb") as file:
            head = json.loads(file.readline())
            offset = file.tell()
            size = os.fstat(file.fileno()).st_size - offset
        if head["kind"] == "module":
            self.start_module(job, head)
        else:
            self.start_command(job, head, offset, size)

    def start_command(self, job: Job, head: dict, offset: int, size: int) -> None:
        command = head["command"]
        if not command or not isinstance(command, (str, list)):
            raise ValueError("the command is neither a text nor a list")
        node = find_node(head["lab"], head["node"]) if head.get("node") else None
        job.syncs = self.power_off and not node
        environment = head.get("environment", {})
        head["environment"] = {**NODE_ENVIRONMENT, **environment} if node else {**environment, KIND: self.kind}
        reports, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        standard = None if head.get("terminal") else self.pipes(job, head, offset, size)
        child = fork_into(node.descriptor if node else -1, self.own_processes)
        if child == 0:
            try:
                if not self.power_off:
                    parent_death_signal(signal.SIGKILL)
                become_command(head, node.descriptor if node else -1, standard, report)
            finally:
                os._exit(126)
        report.close()
        for end in set(standard or ()):
            os.close(end)
        if node:
            os.close(node.descriptor)
        job.process = child
        self.children[child] = job
        if standard is None:
            with contextlib.suppress(OSError):
                _data, descriptors, _flags, _address = socket.recv_fds(reports, 16, 1)
                if descriptors:
                    self.take_terminal(job, descriptors[0], head["terminal"])
        reports.close()

    def pipes(self, job: Job, head: dict, offset: int, size: int) -> tuple[int, int, int]:
        """What a command without a terminal has as its input, output and errors."""
        if head.get("stream"):
            source, job.input = os.pipe()
            os.set_blocking(job.input, False)
        elif size:
            source = os.open(job.request, os.O_RDONLY)
            os.lseek(source, offset, os.SEEK_SET)
        else:
            source = os.open("/dev/null", os.O_RDONLY)
        output = self.pipe_for(job, frames.OUTPUT)
        errors = output if head.get("join") else self.pipe_for(job, frames.ERRORS)
        return source, output, errors

    def take_terminal(self, job: Job, terminal: int, size: list[int]) -> None:
        os.set_blocking(terminal, False)
        job.terminal = job.input = terminal
        resize(terminal, *size)
        self.read_from(job, terminal, frames.OUTPUT)

    def pipe_for(self, job: Job, kind: bytes) -> int:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self.read_from(job, reader, kind)
        return writer

    def read_from(self, job: Job, source: int, kind: bytes) -> None:
        job.streams[source] = kind
        self.selector.register(source, selectors.EVENT_READ, lambda _: self.on_output(job, source))

    def on_output(self, job: Job, source: int) -> None:
        try:
            data = os.read(source, frames.CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a terminal that nobody has open any more
            data = b""
        if not data:
            self.close_output(job, source)
            self.conclude(job)
            return
        job.untaken += len(data)
        self.send(job.number, job.streams[source], data)
        if job.untaken >= frames.WINDOW:
            for stream in set(job.streams) - job.paused:
                self.selector.unregister(stream)
                job.paused.add(stream)

    def resume(self, job: Job) -> None:
        if job.untaken >= frames.WINDOW:
            return
        for stream in job.paused:
            self.selector.register(stream, selectors.EVENT_READ, lambda _, s=stream: self.on_output(job, s))
        job.paused.clear()
        self.conclude(job)

    def close_output(self, job: Job, source: int) -> None:
        if source in job.paused:
            job.paused.discard(source)
        else:
            self.selector.unregister(source)
        del job.streams[source]
        if source == job.terminal:
            self.unread.discard(job)
            job.terminal = job.input = -1
        os.close(source)

    def take_input(self, job: Job, data: bytes) -> None:
        if data:
            job.waiting_input = data
            self.feed(job)
        else:
            self.close_input(job)

    def feed(self, job: Job) -> None:
        """Write what is waiting to the job's input; ask for more when it has been taken."""
        self.unread.discard(job)
        if job.input < 0:
            job.waiting_input = b""
        while job.waiting_input:
            try:
                job.waiting_input = job.waiting_input[os.write(job.input, job.waiting_input) :]
            except BlockingIOError:
                if job.input == job.terminal:
                    self.unread.add(job)  # it is registered for reading, which never ends
                elif job.input not in self.selector.get_map():
                    self.selector.register(job.input, selectors.EVENT_WRITE, lambda _: self.feed(job))
                return
            except OSError:  # nobody reads it
                job.waiting_input = b""
        self.stop_feeding(job)
        self.send(job.number, frames.ACCEPTED)

    def stop_feeding(self, job: Job) -> None:
        self.unread.discard(job)
        if job.input >= 0 and job.input != job.terminal and job.input in self.selector.get_map():
            self.selector.unregister(job.input)

    def close_input(self, job: Job) -> None:
        if job.input >= 0 and job.input != job.terminal:
            self.stop_feeding(job)
            os.close(job.input)
            job.input = -1

    def pass_signal(self, job: Job, number: int) -> None:
        # The keyboard's signals go to the whole group, as a terminal sends them; the others to the command alone.
        keyboard = number in (signal.SIGINT, signal.SIGQUIT)
        if job.process:
            try:
                os.kill(-job.process if keyboard else job.process, number)
            except ProcessLookupError:  # it has not made its group yet
                os.kill(job.process, number)

    def cancel(self, job: Job) -> None:
        """Its client is gone."""
        number = signal.SIGHUP if job.terminal >= 0 else signal.SIGTERM
        for stream in list(job.streams):
            self.close_output(job, stream)
        self.close_input(job)
        if self.kill(job, number):
            self.cancelled[job] = time.monotonic() + CANCEL_S

    def kill(self, job: Job, number: int) -> bool:
        """Send a signal to what runs for a job; whether there was anything."""
        group = job.process or next(
            (each.groups[job.number] for each in self.interpreters.values() if job.number in each.groups), 0
        )
        with contextlib.suppress(ProcessLookupError):
            os.kill(-group, number) if group else None
        return group != 0

    def end_cancelled(self) -> None:
        for job, deadline in list(self.cancelled.items()):
            if job.number not in self.jobs:
                del self.cancelled[job]
            elif time.monotonic() >= deadline:
                del self.cancelled[job]
                self.kill(job, signal.SIGKILL)

    def ended(self, job: Job, end: dict[str, t.Any], patience: float) -> None:
        job.end, job.deadline = end, time.monotonic() + patience
        self.conclude(job)

    def conclude(self, job: Job) -> None:
        """After the end of a job's process: wait for the rest of its output, but not for long."""
        if job.end is None or job.number not in self.jobs:
            return
        if not job.paused and time.monotonic() >= job.deadline:
            for stream, kind in list(job.streams.items()):
                # What is in the pipe now was written before: that much is always carried.
                if size := size_waiting(stream):
                    with contextlib.suppress(OSError):
                        self.send(job.number, kind, os.read(stream, size))
                self.close_output(job, stream)
        if not job.streams:
            self.finish(job, job.end)

    def finish(self, job: Job, end: dict[str, t.Any]) -> None:
        self.close_input(job)
        for stream in list(job.streams):
            self.close_output(job, stream)
        self.jobs.pop(job.number, None)
        if job.syncs:
            os.sync()  # whoever waits for the command may read its files on the machine
        self.send(job.number, frames.EXIT, json.dumps(end).encode())

    # Modules

    def start_module(self, job: Job, head: dict) -> None:
        node = find_node(head["lab"], head["node"]) if head.get("node") else None
        payload = f"{self.shared}/payloads/{head['payload']}.zip"
        root = node.image if node else ""
        interpreter = self.interpreter(root, head["interpreter"], self.sources(head["payload"], payload))
        message = {
            "job": job.number,
            "node": head["node"] if node else "",
            "init": node.process if node else 0,
            "payload": head["payload"],
        }
        output = self.pipe_for(job, frames.OUTPUT)
        errors = self.pipe_for(job, frames.ERRORS)
        request = os.open(job.request, os.O_RDONLY)
        descriptors = [request, output, errors, os.open(payload, os.O_RDONLY)]
        if node:
            descriptors.append(node.descriptor)
        interpreter.jobs[job.number] = job
        try:
            socket.send_fds(interpreter.connection, [json.dumps(message).encode()], descriptors)
        except ConnectionError:
            pass  # it has just ended, which on_interpreter receives
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def sources(self, name: str, payload: str) -> dict[str, int]:
        """Checksums of the Python files of a payload."""
        if name not in self.checksums:
            import zipfile  # noqa: PLC0415 - a tenth of this program's start, and not needed for commands

            with zipfile.ZipFile(payload) as archive:
                self.checksums[name] = {
                    entry.filename: entry.CRC for entry in archive.infolist() if entry.filename.endswith(".py")
                }
        return self.checksums[name]

    def interpreter(self, root: str, program: str, sources: dict[str, int]) -> Interpreter:
        """The interpreter for modules of an image, or of the machine. A changed source file takes a new one."""
        found = self.interpreters.pop((root, program), None)
        if found and found.differs(sources):
            self.retire(found)
            found = None
        # The one that was used last comes last.
        self.interpreters[root, program] = found = found or self.start_interpreter(root, program)
        for each in list(self.interpreters.values())[:-INTERPRETERS]:
            self.retire(each)
        found.sources.update(sources)
        return found

    def start_interpreter(self, root: str, program: str) -> Interpreter:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, INTERPRETER_BUFFER)
        with open(f"{HERE}/warm.py", encoding="utf-8") as file:
            source = file.read()
        modules = {}
        for name in WARM_MODULES:
            with open(f"{HERE}/{name}.py", encoding="utf-8") as file:
                modules[name] = file.read()
        text = f"import sys; MODULES = {modules!r}; exec(compile({source!r}, 'warm.py', 'exec'))"
        script = os.memfd_create("warm")
        frames.write_all(script, text.encode())
        os.lseek(script, 0, os.SEEK_SET)
        child = os.fork()
        if child == 0:
            try:
                parent_death_signal(signal.SIGKILL)
                if root:
                    os.chroot(root)
                os.chdir("/")
                os.dup2(script, 0)
                os.dup2(theirs.fileno(), 3)
                os.set_inheritable(3, True)
                close_descriptors(4)
                # Environment variables would reach what modules start.
                kind = {} if root else {KIND: self.kind}
                os.execve(program, [program, "-B", "-E", "-"], {**NODE_ENVIRONMENT, **kind})
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.write(3, json.dumps({"failed": f"{program}: {error.strerror}"}).encode())
            finally:
                os._exit(127)
        theirs.close()
        os.close(script)
        made = Interpreter(program, ours)
        self.children[child] = made
        self.selector.register(ours, selectors.EVENT_READ, lambda _: self.on_interpreter(made))
        return made

    def retire(self, interpreter: Interpreter) -> None:
        """No new jobs for it: it ends when it has finished those that it has."""
        interpreter.retired = True
        for key, each in list(self.interpreters.items()):
            if each is interpreter:
                del self.interpreters[key]
        if not interpreter.jobs:
            with contextlib.suppress(OSError):
                interpreter.connection.shutdown(socket.SHUT_WR)

    def on_interpreter(self, interpreter: Interpreter) -> None:
        try:
            data = interpreter.connection.recv(65536)
        except ConnectionError:
            return  # it left messages unread; after this error come those that it sent, then the end
        if not data:
            self.selector.unregister(interpreter.connection)
            interpreter.connection.close()
            self.retire_gone(interpreter)
            return
        message = json.loads(data)
        interpreter.answers = True
        if "failed" in message:
            for job in list(interpreter.jobs.values()):
                self.ended(job, {"error": f"the interpreter for modules did not start: {message['failed']}"}, 0)
            interpreter.jobs.clear()
            return
        job = interpreter.jobs.get(message["job"])
        if not job:
            return
        if "group" in message:
            interpreter.groups[job.number] = message["group"]
            return
        interpreter.jobs.pop(job.number)
        interpreter.groups.pop(job.number, None)
        end = {key: message[key] for key in ("code", "error") if key in message}
        self.ended(job, end, 0)
        if interpreter.retired and not interpreter.jobs:
            with contextlib.suppress(OSError):
                interpreter.connection.shutdown(socket.SHUT_WR)

    def retire_gone(self, interpreter: Interpreter) -> None:
        """An interpreter ended. Nobody can report what its modules do from now on, so they end too."""
        for key, each in list(self.interpreters.items()):
            if each is interpreter:
                del self.interpreters[key]
        for group in interpreter.groups.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(-group, signal.SIGKILL)
        reason = "the interpreter that runs modules was killed; the next task starts a new one"
        if not interpreter.answers:
            reason = (
                f"{interpreter.program} ended before it could run a module: it must be Python 3.9 or later "
                "(with an older one, set lab_connection to cold)"
            )
        for job in list(interpreter.jobs.values()):
            self.ended(job, {"error": reason}, 0)
        interpreter.jobs.clear()

    # Children

    def reap(self, _events: int = 0) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.child_ended, 512):
                pass
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            owner = self.children.pop(process, None)
            if isinstance(owner, Job):
                owner.process = 0
                code = os.waitstatus_to_exitcode(status)
                self.ended(owner, {"code": code if code >= 0 else 128 - code}, LAST_WORDS_S)

    def run(self) -> None:
        self.selector.register(self.link_in, selectors.EVENT_READ, self.on_link)
        self.selector.register(self.child_ended, selectors.EVENT_READ, self.reap)
        self.send(0, frames.READY, json.dumps({"release": os.uname().release}).encode())
        while True:
            ending = [job for job in self.jobs.values() if job.end is not None and not job.paused]
            deadlines = [*(job.deadline for job in ending), *self.cancelled.values()]
            waits = [max(0.0, deadline - time.monotonic()) for deadline in deadlines]
            if self.unread:
                waits.append(UNREAD_TERMINAL_S)
            if self.to_send:
                self.flush()
            for key, events in self.selector.select(min(waits, default=None)):
                # One event may close what the next one is about.
                if self.selector.get_map().get(key.fd) == key:
                    key.data(events)
            for job in ending:
                self.conclude(job)
            self.end_cancelled()
            for job in list(self.unread):
                self.feed(job)


def open_line(path: str) -> int:
    """Open a serial line that hands on every byte as it is."""
    line = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if os.isatty(line):
        settings = termios.tcgetattr(line)
        settings[0] = settings[1] = settings[3] = 0
        settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
        termios.tcsetattr(line, termios.TCSANOW, settings)
    return line


def size_waiting(descriptor: int) -> int:
    return struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0]


def resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def become_command(head: dict, node: int, standard: tuple[int, int, int] | None, report: socket.socket) -> t.NoReturn:
    """In the child: enter the node, and become the command."""
    command = head["command"]
    shell = isinstance(command, str)
    program = "/bin/sh" if shell else command[0]
    directory = head.get("directory") or "/root"
    at_fault = program
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        os.umask(0o022)
        if node >= 0:
            enter_all_but_processes(node)
        if standard is None:
            ours, terminal = os.openpty()
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 1)
            settings = termios.tcgetattr(terminal)
            settings[0] |= getattr(termios, "IUTF8", 0o40000)
            termios.tcsetattr(terminal, termios.TCSANOW, settings)
            socket.send_fds(report, [b"terminal"], [ours])
            standard = (terminal, terminal, terminal)
        for number, end in enumerate(os.dup(each) for each in standard):
            os.dup2(end, number)
        close_descriptors(3)
        # Python ignores these two; a command expects the defaults.
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        at_fault = directory
        os.chdir(directory)
        at_fault = program
        os.execvpe(program, ["/bin/sh", "-c", command] if shell else command, head["environment"])
    except (OSError, TypeError, ValueError) as error:
        with contextlib.suppress(OSError):
            os.write(2, f"lab-kernel: {at_fault}: {getattr(error, 'strerror', error)}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    finally:
        os._exit(126)


def power_off() -> None:
    with open("/proc/sysrq-trigger", "w", encoding="ascii") as trigger:
        trigger.write("o")
    while True:
        signal.pause()


def main() -> None:
    with os.fdopen(int(sys.argv[1]) if sys.argv[1:] else 3, encoding="utf-8") as session_file:
        session = json.load(session_file)
    if session["mount"]:
        os.makedirs(session["shared"], exist_ok=True)
        mount(*session["mount"])
    for name in ("requests", "payloads"):
        os.makedirs(f"{session['shared']}/{name}", exist_ok=True)
    if not session["power_off"]:
        parent_death_signal(signal.SIGKILL)
    raise_descriptor_limit()
    # A command that is not one yet ends by the signals it gets.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    guest = Guest(session)
    try:
        guest.run()
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        raise
    finally:
        if session["power_off"]:
            os.sync()
            power_off()


if __name__ == "__main__":
    main()
