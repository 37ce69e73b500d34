"""Runs Ansible modules without starting an interpreter for each. Started by guest.py, once for each image of nodes.

This process imports what modules need, and forks. A node has a worker, which stays in the node's namespaces and runs
this collection's modules one after another; every other module runs in a fork of its own.

File descriptor 3 is a socket to guest.py. A message is a JSON object: job, node, init (the node's first process),
payload. It carries descriptors: the request, output, errors, payload, and the node's first process. Replies are
{job, group}, the process group that runs the module, then {job, code} or {job, error}.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import marshal
import os
import select
import selectors
import signal
import socket
import sys
import types
import typing as t

if "MODULES" in globals():  # sources of the files beside this one, which an interpreter in an image cannot read
    for _name, _text in globals().pop("MODULES").items():
        sys.modules[_name] = types.ModuleType(_name)
        exec(compile(_text, f"{_name}.py", "exec"), vars(sys.modules[_name]))

from namespaces import fork_into, parent_death_signal, raise_descriptor_limit
from payloads import OURS, Payloads, is_imported_in_advance
from workers import ANSWER, BROKEN, LEAVING, SIZE, read_head, run_once, serve

# Above this number, the worker that has been idle longest ends. After `network` a worker uses 8.5 MB of its own
# (Private_Dirty in smaps_rollup), so all of them use 540 MB.
IDLE_WORKERS = 64
# Imports of modules, which each fork would otherwise repeat.
PRELOADED = """
argparse array ast base64 bisect calendar collections configparser contextlib copy csv ctypes ctypes.util datetime
dataclasses difflib encodings.idna enum errno fcntl fnmatch fractions functools getpass glob grp hashlib heapq hmac
inspect io ipaddress itertools json locale logging math numbers operator os.path pathlib pickle pkgutil platform pprint
pty pwd queue random re resource runpy secrets select selectors shlex shutil signal socket stat string struct
subprocess syslog tempfile textwrap threading time token tokenize traceback types typing uuid weakref zipfile zlib
concurrent.futures concurrent.futures.thread multiprocessing.util
""".split()  # noqa: SIM905 - a line for each name would hide the rest


class Worker:
    def __init__(self, process: int, connection: socket.socket, known: set[str]) -> None:
        self.process, self.connection, self.known = process, connection, known
        self.job = 0


class Interpreter:
    def __init__(self) -> None:
        self.payloads = Payloads()
        sys.meta_path.insert(0, self.payloads)
        self.guest = socket.socket(fileno=3)
        self.selector = selectors.DefaultSelector()
        self.workers: dict[tuple[str, int], Worker] = {}  # most recently used last
        self.forks: dict[int, int] = {}  # jobs of processes that each run one module
        # The process namespace of this process. There may be no /proc, because it may be in a chroot.
        self.own = os.pidfd_open(os.getpid())
        self.child_ended, self.wakeup = os.pipe()
        for end in (self.child_ended, self.wakeup):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)

    def answer(self, **message: t.Any) -> None:
        self.guest.send(json.dumps(message).encode())

    def run(self) -> None:
        self.selector.register(self.guest, selectors.EVENT_READ, self.on_message)
        self.selector.register(self.child_ended, selectors.EVENT_READ, self.reap)
        while True:
            for key, _events in self.selector.select():
                # One event may close the descriptor of the next.
                if self.selector.get_map().get(key.fd) == key:
                    key.data()

    def on_message(self) -> None:
        data, descriptors, _flags, _address = socket.recv_fds(self.guest, 65536, 8)
        if not data:
            self.leave()
        message = json.loads(data)
        try:
            self.start(message, *descriptors)
        except Exception as error:  # any error fails only this task
            reason = f"the module could not be started: {error!r}"
            if len(descriptors) > 4 and has_ended(descriptors[4]):
                reason = f"node {message['node']} is not up any more: make lab"
            self.answer(job=message["job"], error=reason)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def leave(self) -> t.NoReturn:
        for worker in self.workers.values():
            with contextlib.suppress(OSError):
                worker.connection.shutdown(socket.SHUT_WR)
        os._exit(0)

    def start(
        self, message: dict[str, t.Any], request: int, output: int, errors: int, payload: int, node: int = -1
    ) -> None:
        self.payloads.add(message["payload"], payload)
        head = read_head(request)
        with contextlib.suppress(Exception):  # the module itself reports its errors
            self.payloads.get_code(head["module"])
        is_ours = node >= 0 and head["persistent"] and head["module"].startswith(OURS)
        if is_ours and not self.payloads.lack_libraries():
            worker = self.worker(message["node"], message["init"], node)
            if worker:
                self.hand_over(worker, message, head, request, output, errors)
                return
        child = fork_into(node, self.own)
        if child == 0:
            run_once(self.payloads, head, payload, output, errors, node)
        self.forks[child] = message["job"]
        self.answer(job=message["job"], group=child)

    def worker(self, node: str, init: int, descriptor: int) -> Worker | None:
        """The worker of a node, or None if it is busy."""
        key = (node, init)
        found = self.workers.pop(key, None)
        if not found:
            found = self.start_worker(descriptor)
            self.selector.register(found.connection, selectors.EVENT_READ, lambda: self.on_worker(key, found))
        self.workers[key] = found
        if found.job:
            return None
        idle = [each for each, worker in self.workers.items() if not worker.job and each != key]
        for each in idle[: max(0, len(idle) - IDLE_WORKERS + 1)]:
            self.dismiss(each, self.workers[each])
        return found

    def dismiss(self, key: tuple[str, int], worker: Worker) -> None:
        """End a worker by closing its connection."""
        self.selector.unregister(worker.connection)
        worker.connection.close()
        if self.workers.get(key) is worker:
            del self.workers[key]

    def start_worker(self, node: int) -> Worker:
        ours, theirs = socket.socketpair()
        child = fork_into(node, self.own)
        if child == 0:
            serve(self.payloads, theirs, node)
        theirs.close()
        return Worker(child, ours, set(self.payloads.sources))

    def hand_over(
        self, worker: Worker, message: dict[str, t.Any], head: dict[str, t.Any], request: int, output: int, errors: int
    ) -> None:
        # Modules that this process has received since the worker's fork, compiled.
        new = {}
        for name in self.payloads.sources:
            if name not in worker.known and (
                name == head["module"] or is_imported_in_advance(name) or self.is_package(name)
            ):
                with contextlib.suppress(Exception):
                    self.payloads.get_code(name)
                    new[name] = (self.payloads.compiled[name], self.is_package(name))
        worker.known |= set(new)
        worker.job = message["job"]
        body = marshal.dumps(new)
        with contextlib.suppress(OSError):  # it has died; on_worker handles that
            socket.send_fds(worker.connection, [SIZE.pack(len(body))], [request, output, errors])
            worker.connection.sendall(body)
        self.answer(job=worker.job, group=worker.process)

    def is_package(self, name: str) -> bool:
        return name in self.payloads.packages

    def on_worker(self, key: tuple[str, int], worker: Worker) -> None:
        try:
            data = worker.connection.recv(ANSWER.size)
        except ConnectionError:
            data = b""
        job, worker.job = worker.job, 0
        code, state = ANSWER.unpack(data) if data else (1, BROKEN)
        if state != BROKEN:
            self.answer(job=job, code=code)
            if state == LEAVING:
                self.dismiss(key, worker)
            return
        text = ""
        with contextlib.suppress(ConnectionError):
            text = worker.connection.recv(65536).decode(errors="replace") if data else ""
        self.dismiss(key, worker)
        if job and text:
            self.answer(job=job, error=f"the worker of {key[0]} failed: {text}")
        elif job:
            self.answer(job=job, error=f"the module's process on {key[0]} {how_it_ended(worker.process)}")
        self.reap()

    def reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.child_ended, 512):
                pass
        for child in list(self.forks):
            process, status = os.waitpid(child, os.WNOHANG)
            if process:
                code = os.waitstatus_to_exitcode(status)
                self.answer(job=self.forks.pop(child), code=code if code >= 0 else 128 - code)
        # on_worker reports a worker's end; the next call reports a fork that has just ended.
        reported = {worker.process for worker in self.workers.values()} | self.forks.keys()
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if not ended or ended.si_pid in reported:
                return
            os.waitpid(ended.si_pid, 0)


def has_ended(process: int) -> bool:
    """Whether a process, given by its descriptor, has ended."""
    return bool(select.select([process], [], [], 0)[0])


def how_it_ended(process: int) -> str:
    """How a worker ended that has closed its connection; it is killed if its module did that and it still runs."""
    try:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    except ChildProcessError:
        return "ended"
    if code >= 0:
        return f"ended with {code}"
    hint = ": was there enough memory, or was the node stopped?" if -code == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def main() -> None:
    parent_death_signal(signal.SIGKILL)
    raise_descriptor_limit()
    # Modules of an interpreter in a virtual environment find their libraries, but not the files beside this program.
    sys.path = [directory for directory in sys.path if directory not in ("", ".")]
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # A collection in a child would copy this process's memory page by page.
    gc.disable()
    Interpreter().run()


if __name__ == "__main__":
    main()
