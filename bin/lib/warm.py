"""Runs Ansible modules without the start of an interpreter for each: started by guest.py, once for each image of nodes.

This process imports what modules need, and forks. A node gets a worker, which stays in the node's namespaces and runs
one module after another if a module may leave something behind there; for the others it is a fork each time.

File descriptor 3 is a socket to guest.py. A message is a JSON object: job, node, init (the node's first process),
payload, and comes with descriptors: the request, output, errors, payload, and the node's first process. Answers are
{job, group}, the process group that runs the module, then {job, code} or {job, error}.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib.abc
import importlib.util
import io
import json
import marshal
import os
import selectors
import shutil
import signal
import socket
import struct
import sys
import tempfile
import traceback
import types
import typing as t
import zipfile

if "MODULES" in globals():  # the text of what is beside this file, which an interpreter in an image cannot read
    for _name, _text in globals().pop("MODULES").items():
        sys.modules[_name] = types.ModuleType(_name)
        exec(compile(_text, f"{_name}.py", "exec"), vars(sys.modules[_name]))

from namespaces import CLONE_NEWPID, enter_all_but_processes, parent_death_signal, setns

OURS = "ansible_collections.routed.hypervisor.plugins.modules."
# Above this many, the worker that has been idle longest ends: an idle one holds 5 to 8 MB of its own.
IDLE_WORKERS = 64
SIZE = struct.Struct(">I")
BROKEN = 0xFFFFFFFF  # in the place of an exit code
# What modules import, and each fork would import for itself otherwise.
PRELOADED = """
argparse array ast base64 bisect calendar collections configparser contextlib copy csv ctypes ctypes.util datetime
dataclasses difflib encodings.idna enum errno fcntl fnmatch fractions functools getpass glob grp hashlib heapq hmac
inspect io ipaddress itertools json locale logging math numbers operator os.path pathlib pickle pkgutil platform pprint
pty pwd queue random re resource runpy secrets select selectors shlex shutil signal socket stat string struct
subprocess syslog tempfile textwrap threading time token tokenize traceback types typing uuid weakref zipfile zlib
concurrent.futures concurrent.futures.thread multiprocessing.util
""".split()  # noqa: SIM905 - one would be a line each


class Payloads(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """The modules of all payloads seen so far, compiled once: a payload has no byte code."""

    def __init__(self) -> None:
        self.sources: dict[str, bytes] = {}
        self.compiled: dict[str, bytes] = {}
        self.packages: set[str] = set()
        self.seen: set[str] = set()

    def add(self, name: str, payload: int) -> None:
        """Take the sources of a payload that are new, and import all but the modules themselves."""
        if name in self.seen:
            return
        new = []
        with os.fdopen(os.dup(payload), "rb") as file, zipfile.ZipFile(io.BytesIO(file.read())) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith(".py"):
                    continue
                module = entry.filename[:-3].replace("/", ".")
                if module.endswith(".__init__"):
                    module = module[: -len(".__init__")]
                    self.packages.add(module)
                if module not in self.sources:
                    self.sources[module] = archive.read(entry)
                    new.append(module)
        self.seen.add(name)
        for module in new:
            if ".plugins.modules." not in f"{module}." and not module.startswith("ansible.modules."):
                # What cannot be imported here is imported, or fails, where it is used.
                with contextlib.suppress(Exception):
                    importlib.import_module(module)
        gc.collect()
        gc.freeze()

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.sources and fullname not in self.compiled:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin="payload", is_package=self.is_package(fullname))

    def is_package(self, fullname: str) -> bool:
        return fullname in self.packages

    def get_source(self, fullname: str) -> str | None:
        source = self.sources.get(fullname)
        return source.decode() if source is not None else None

    def get_code(self, fullname: str) -> types.CodeType:
        if fullname not in self.compiled:
            code = compile(self.sources[fullname], self.path(fullname), "exec", dont_inherit=True)
            self.compiled[fullname] = marshal.dumps(code)
        return marshal.loads(self.compiled[fullname])

    def path(self, fullname: str) -> str:
        return f"/payload/{fullname.replace('.', '/')}{'/__init__' if self.is_package(fullname) else ''}.py"

    def create_module(self, spec):
        return None

    def exec_module(self, module) -> None:
        if module.__spec__.submodule_search_locations is not None:
            module.__path__ = []
        module.__file__ = self.path(module.__name__)
        exec(self.get_code(module.__name__), vars(module))


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
        self.workers: dict[tuple[str, int], Worker] = {}  # the one that was used last comes last
        self.forks: dict[int, int] = {}  # jobs of processes that run one module each
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
                # One event may close what the next one is about.
                if self.selector.get_map().get(key.fd) == key:
                    key.data()

    def on_message(self) -> None:
        data, descriptors, _flags, _address = socket.recv_fds(self.guest, 65536, 8)
        if not data:
            self.leave()
        message = json.loads(data)
        try:
            self.start(message, *descriptors)
        except Exception as error:  # whatever it is, the task fails with it, and the next is tried
            self.answer(job=message["job"], error=f"the module could not be started: {error!r}")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def leave(self) -> t.NoReturn:
        for worker in self.workers.values():
            with contextlib.suppress(OSError):
                worker.connection.shutdown(socket.SHUT_WR)
        os._exit(0)

    def start(self, message: dict, request: int, output: int, errors: int, payload: int, node: int = -1) -> None:
        self.payloads.add(message["payload"], payload)
        head = read_head(request)
        with contextlib.suppress(Exception):  # a mistake in the module is the module's to report
            self.payloads.get_code(head["module"])
        if node >= 0 and head["persistent"] and head["module"].startswith(OURS):
            worker = self.worker(message["node"], message["init"], node)
            if worker:
                self.hand_over(worker, message, head, request, output, errors)
                return
        child = self.fork(node)
        if child == 0:
            run_once(head, payload, output, errors, node)
        self.forks[child] = message["job"]
        self.answer(job=message["job"], group=child)

    def fork(self, node: int) -> int:
        if node < 0:
            return os.fork()
        setns(node, CLONE_NEWPID)
        child = -1
        try:
            child = os.fork()
        finally:
            if child != 0:
                setns(self.own, CLONE_NEWPID)
        return child

    @property
    def own(self) -> int:
        """A descriptor of the process namespace that this process is in. It has no /proc: it may be in a chroot."""
        if not hasattr(self, "_own"):
            self._own = os.pidfd_open(os.getpid())
        return self._own

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
            worker = self.workers.pop(each)
            self.selector.unregister(worker.connection)
            worker.connection.close()
        return found

    def start_worker(self, node: int) -> Worker:
        ours, theirs = socket.socketpair()
        child = self.fork(node)
        if child == 0:
            try:
                be_worker(self.payloads, theirs, node)
            except BaseException:
                report(3, traceback.format_exc())
            finally:
                os._exit(1)
        theirs.close()
        return Worker(child, ours, set(self.payloads.sources))

    def hand_over(self, worker: Worker, message: dict, head: dict, request: int, output: int, errors: int) -> None:
        # What this process learned after the worker's fork, compiled: a worker compiles nothing.
        new = {}
        for name in self.payloads.sources:
            if name not in worker.known and (name == head["module"] or not name.startswith((OURS, "ansible.modules."))):
                with contextlib.suppress(Exception):
                    self.payloads.get_code(name)
                    new[name] = (self.payloads.compiled[name], name in self.payloads.packages)
        worker.known |= set(new)
        worker.job = message["job"]
        body = marshal.dumps(new)
        try:
            socket.send_fds(worker.connection, [SIZE.pack(len(body))], [request, output, errors])
            worker.connection.sendall(body)
        except OSError:
            return  # it has died, which on_worker finds out
        self.answer(job=worker.job, group=worker.process)

    def on_worker(self, key: tuple[str, int], worker: Worker) -> None:
        try:
            data = worker.connection.recv(SIZE.size)
        except ConnectionError:
            data = b""
        job, worker.job = worker.job, 0
        if data and SIZE.unpack(data)[0] == BROKEN:
            text = worker.connection.recv(65536).decode(errors="replace")
            self.answer(job=job, error=f"the worker of {key[0]} failed: {text}")
            job = 0
        elif data:
            self.answer(job=job, code=SIZE.unpack(data)[0])
            return
        self.selector.unregister(worker.connection)
        worker.connection.close()
        if self.workers.get(key) is worker:
            del self.workers[key]
        if job:
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
        busy = {worker.process for worker in self.workers.values()}
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            # A worker's end is asked for by on_worker, which reports it.
            if not ended or ended.si_pid in busy:
                return
            os.waitpid(ended.si_pid, 0)


def read_head(request: int) -> dict:
    os.lseek(request, 0, os.SEEK_SET)
    with open(request, "rb", closefd=False) as file:
        return json.loads(file.readline())


def report(connection: int, text: str) -> None:
    """A worker's own mistake, instead of an exit code."""
    with contextlib.suppress(OSError):
        os.write(connection, SIZE.pack(BROKEN) + text.encode())


def how_it_ended(process: int) -> str:
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    except ChildProcessError:
        return "ended"
    if code >= 0:
        return f"ended with {code}"
    hint = ": was there enough memory?" if -code == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def enter(node: int) -> None:
    """In a forked process: nothing of its parent's, a session of its own, the node's namespaces."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    if node >= 0:
        enter_all_but_processes(node)


def set_up() -> None:
    """What a module finds when it begins, whatever the one before it did."""
    os.chdir("/root")
    os.umask(0o022)
    sys.argv = [""]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def run_module(head: dict, payload_path: str) -> int:
    """Runs a module as the payload's own main program would, and returns its exit code."""
    code = 1
    try:
        from ansible.module_utils._internal._ansiballz import _loader  # noqa: PLC0415 - of the payload

        _loader.run_module(
            json_params=head["parameters"].encode(),
            profile=head["profile"],
            module_fqn=head["module"],
            modlib_path=payload_path,
            extensions={},
        )
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.stderr.write(traceback.format_exc())
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def run_once(head: dict, payload: int, output: int, errors: int, node: int) -> t.NoReturn:
    """In a fork: runs one module, whatever it does, with its payload as a file as it expects."""
    code = 1
    directory = ""
    try:
        enter(node)
        null = os.open("/dev/null", os.O_RDWR)
        os.lseek(payload, 0, os.SEEK_SET)
        with os.fdopen(os.dup(payload), "rb") as file:
            data = file.read()
        for number, end in enumerate([os.dup(each) for each in (null, output, errors)]):
            os.dup2(end, number)
        os.closerange(3, 4096)
        set_up()
        directory = os.path.realpath(tempfile.mkdtemp(prefix="ansible_payload_"))
        path = f"{directory}/payload.zip"
        with open(path, "wb") as file:
            file.write(data)
        sys.path.insert(0, path)
        code = run_module(head, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        if directory:
            shutil.rmtree(directory, ignore_errors=True)
        os._exit(code)


def be_worker(payloads: Payloads, connection: socket.socket, node: int) -> t.NoReturn:
    """In a fork: runs this collection's modules in a node, one after another."""
    enter(node)
    os.dup2(connection.fileno(), 3)
    connection.detach()
    connection = socket.socket(fileno=3)
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.closerange(4, 4096)
    me = os.getpid()
    environment = dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    while True:
        size, descriptors, _flags, _address = socket.recv_fds(connection, SIZE.size, 3)
        if not size:
            os._exit(0)
        body = bytearray()
        while len(body) < SIZE.unpack(size)[0]:
            body += connection.recv(SIZE.unpack(size)[0] - len(body))
        for name, (compiled, is_package) in marshal.loads(bytes(body)).items():
            payloads.compiled[name] = compiled
            if is_package:
                payloads.packages.add(name)
        request, output, errors = descriptors
        head = read_head(request)
        os.close(request)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.close(output)
        os.close(errors)
        set_up()
        code = run_module(head, "/payload.zip")
        if os.getpid() != me:  # the module forked, and its child came back from it
            os._exit(code)
        leave_nothing(environment, handlers)
        connection.sendall(SIZE.pack(code))


def leave_nothing(environment: dict[str, str], handlers: dict[int, t.Any]) -> None:
    """Undo what a module leaves in its process; tests/warm shows that modules leave nothing else."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.closerange(4, 4096)
    if os.environ != environment:
        os.environ.clear()
        os.environ.update(environment)
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)
    from ansible.module_utils.common import warnings  # noqa: PLC0415 - of the payload

    warnings._global_warnings.clear()
    warnings._global_deprecations.clear()
    gc.collect(0)


def main() -> None:
    parent_death_signal(signal.SIGKILL)
    # Modules of an interpreter in a virtual environment find their libraries; what is beside this program they do not.
    sys.path = [directory for directory in sys.path if directory not in ("", ".")]
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # A collection in a child would copy this process's memory page by page.
    gc.disable()
    Interpreter().run()


if __name__ == "__main__":
    main()
