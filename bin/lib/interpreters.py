"""The interpreters that run modules for the guest program: one for each image of nodes, and for the machine."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import typing as t

import frames
from command_environment import KIND, NODE_ENVIRONMENT
from jobs import Job, Jobs
from namespaces import close_descriptors, find_node, parent_death_signal

# One per image: interpreters of unused images end.
INTERPRETERS = 4
INTERPRETER_BUFFER = 1 << 22  # for a few thousand jobs started together
SO_SNDBUFFORCE = 32
WARM_MODULES = ("namespaces", "payloads", "leftovers", "workers")  # those that warm.py imports, in this order
HERE = os.path.dirname(os.path.realpath(__file__))


class Interpreter:
    """A process of warm.py, from which workers for modules are forked."""

    def __init__(self, program: str, connection: socket.socket) -> None:
        self.program = program
        self.connection = connection
        self.answers = False  # whether it has ever
        self.jobs: dict[int, Job] = {}
        self.sources: dict[str, int] = {}  # checksums of what it has seen, by file
        self.retired = False

    def differs(self, sources: dict[str, int]) -> bool:
        return any(self.sources.get(name, checksum) != checksum for name, checksum in sources.items())


class Interpreters:
    """The interpreters that accept new jobs, by image and program."""

    def __init__(self, selector: selectors.BaseSelector, jobs: Jobs, shared: str, kind: str) -> None:
        self.selector, self.jobs, self.shared, self.kind = selector, jobs, shared, kind
        self.running: dict[tuple[str, str], Interpreter] = {}
        self.checksums: dict[str, dict[str, int]] = {}

    def run(self, job: Job, head: dict[str, t.Any]) -> None:
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
        output = self.jobs.pipe_for(job, frames.OUTPUT)
        errors = self.jobs.pipe_for(job, frames.ERRORS)
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
            import zipfile  # noqa: PLC0415 - a tenth of this program's start-up time, and not needed for commands

            with zipfile.ZipFile(payload) as archive:
                self.checksums[name] = {
                    entry.filename: entry.CRC for entry in archive.infolist() if entry.filename.endswith(".py")
                }
        return self.checksums[name]

    def interpreter(self, root: str, program: str, sources: dict[str, int]) -> Interpreter:
        """The interpreter for modules of an image or of the machine. A changed source file requires a new one."""
        found = self.running.pop((root, program), None)
        if found and found.differs(sources):
            self.retire(found)
            found = None
        # The most recently used one is last.
        self.running[root, program] = found = found or self.start_interpreter(root, program)
        for each in list(self.running.values())[:-INTERPRETERS]:
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
                # Environment variables would be inherited by the modules' child processes.
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
        self.selector.register(ours, selectors.EVENT_READ, lambda _: self.on_interpreter(made))
        return made

    def retire(self, interpreter: Interpreter) -> None:
        """Give it no new jobs: it ends when its current jobs are done."""
        interpreter.retired = True
        self.forget(interpreter)
        self.end_if_idle(interpreter)

    def forget(self, interpreter: Interpreter) -> None:
        for key, each in list(self.running.items()):
            if each is interpreter:
                del self.running[key]

    def end_if_idle(self, interpreter: Interpreter) -> None:
        if interpreter.retired and not interpreter.jobs:
            with contextlib.suppress(OSError):
                interpreter.connection.shutdown(socket.SHUT_WR)

    def on_interpreter(self, interpreter: Interpreter) -> None:
        try:
            data = interpreter.connection.recv(65536)
        except ConnectionError:
            return  # it left messages unread; those it sent, and the end, follow this error
        if not data:
            self.selector.unregister(interpreter.connection)
            interpreter.connection.close()
            self.retire_gone(interpreter)
            return
        message = json.loads(data)
        interpreter.answers = True
        if "failed" in message:
            for job in list(interpreter.jobs.values()):
                self.jobs.ended(job, {"error": f"the interpreter for modules did not start: {message['failed']}"}, 0)
            interpreter.jobs.clear()
            return
        if message["job"] not in interpreter.jobs:
            return
        job = interpreter.jobs[message["job"]]
        if "group" in message:
            job.group = message["group"]
            return
        del interpreter.jobs[job.number]
        end = {key: message[key] for key in ("code", "error") if key in message}
        self.jobs.ended(job, end, 0)
        self.end_if_idle(interpreter)

    def retire_gone(self, interpreter: Interpreter) -> None:
        """Handle the end of an interpreter. Its modules can no longer be reported on, so they are ended, too."""
        self.forget(interpreter)
        for job in interpreter.jobs.values():
            self.jobs.kill(job, signal.SIGKILL)
        reason = "the interpreter that runs modules was killed; the next task starts a new one"
        if not interpreter.answers:
            reason = (
                f"{interpreter.program} ended before it could run a module: it must be Python 3.9 or later "
                "(with an older one, set lab_connection to cold)"
            )
        for job in list(interpreter.jobs.values()):
            self.jobs.ended(job, {"error": reason}, 0)
        interpreter.jobs.clear()
