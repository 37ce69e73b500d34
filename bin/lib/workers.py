"""Processes that run Ansible modules: one that runs many, and one for a single module. Forked by warm.py."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import marshal
import os
import platform
import shutil
import signal
import site
import socket
import struct
import sys
import tempfile
import threading
import traceback
import typing as t

from leftovers import CleanState, run_exit_functions
from namespaces import close_descriptors, enter_all_but_processes
from payloads import Payloads

SIZE = struct.Struct(">I")  # of what follows a request
ANSWER = struct.Struct(">BB")  # exit code of the module, and the state of the worker:
READY, LEAVING, BROKEN = range(3)  # BROKEN is followed by a traceback
NULL = 4  # /dev/null in a worker, even if its module changed /dev
SECONDS_OF_A_THREAD = 2.0


def read_head(request: int) -> dict[str, t.Any]:
    os.lseek(request, 0, os.SEEK_SET)
    with open(request, "rb", closefd=False) as file:
        return t.cast("dict[str, t.Any]", json.loads(file.readline()))


def enter(node: int) -> None:
    """In a forked process: drop the parent's state, start a session, enter the node's namespaces."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    if node >= 0:
        enter_all_but_processes(node)
    # It may contain the machine's name, because some modules call platform.uname() on import.
    platform._uname_cache = None  # type: ignore[attr-defined]


def set_up(head: dict[str, t.Any]) -> None:
    """Set up the state that a module starts with, whatever the previous one did."""
    os.chdir(head.get("directory") or "/root")
    os.umask(0o022)
    sys.argv = [""]
    # As Python does in the locale C.UTF-8.
    streams = {
        "stdin": open(0, closefd=False),  # noqa: SIM115
        "stdout": open(1, "w", errors="surrogateescape", closefd=False),  # noqa: SIM115
        "stderr": open(2, "w", buffering=1, errors="backslashreplace", closefd=False),  # noqa: SIM115
    }
    for name, stream in streams.items():
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def run_module(head: dict[str, t.Any], payload_path: str) -> int:
    """Run a module as the payload's own main program would. Returns its exit code."""
    code = 1
    try:
        from ansible.module_utils._internal._ansiballz import _loader  # noqa: PLC0415 - it is in the payload

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
    return code & 0xFF


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def add_new_libraries() -> None:
    """Add Python libraries that were installed in the node after the interpreter started."""
    for directory in [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]:
        if directory not in sys.path and os.path.isdir(directory):
            site.addsitedir(directory)
    importlib.invalidate_caches()


def run_once(
    payloads: Payloads, head: dict[str, t.Any], payload: int, output: int, errors: int, node: int
) -> t.NoReturn:
    """In a fork: run one module, whatever it does, with its payload as a file, as it expects."""
    code = 1
    directory = ""
    try:
        with os.fdopen(os.dup(payload), "rb") as file:
            file.seek(0)
            data = file.read()
        os.dup2(output, 1)
        os.dup2(errors, 2)
        enter(node)
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)
        close_descriptors(3)
        set_up(head)
        if "environment" in head:
            kind = {key: value for key, value in os.environ.items() if key == "ROUTED_HYPERVISOR_KERNEL_KIND"}
            os.environ.clear()
            os.environ.update({**head["environment"], **kind})
        name = head["module"].rpartition(".")[2]
        directory = os.path.realpath(tempfile.mkdtemp(prefix=f"ansible_{name}_payload_"))
        path = f"{directory}/ansible_{name}_payload.zip"
        with open(path, "wb") as file:
            file.write(data)
        add_new_libraries()
        if payloads.lack_libraries():
            payloads.forget_ours()
        sys.path.insert(0, path)
        payloads.root = path
        respawn = sys.modules.get("ansible.module_utils.common.respawn")
        if respawn:  # it searches for itself in the file system
            respawn._ANSIBLE_PARENT_PATH = path  # type: ignore[attr-defined]
        code = run_module(head, path)
        with contextlib.suppress(Exception):
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
        flush()
    except BaseException:
        with contextlib.suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        if directory:
            shutil.rmtree(directory, ignore_errors=True)
        os._exit(code)


def serve(payloads: Payloads, connection: socket.socket, node: int) -> t.NoReturn:
    """In a fork: run this collection's modules in a node, one after another."""
    try:
        enter(node)
        os.dup2(connection.fileno(), 3, inheritable=False)
        connection.detach()
        connection = socket.socket(fileno=3)
        os.dup2(os.open("/dev/null", os.O_RDWR), NULL, inheritable=False)
        standard_streams_to_null()
        close_descriptors(NULL + 1)
        clean = CleanState()
        while serve_one(payloads, connection, clean):
            pass
        os._exit(0)
    except BaseException:
        with contextlib.suppress(OSError):
            connection.sendall(ANSWER.pack(1, BROKEN) + traceback.format_exc()[-4000:].encode())
    finally:
        os._exit(1)


def serve_one(payloads: Payloads, connection: socket.socket, clean: CleanState) -> bool:
    """Run the next module. Returns whether this process may run another."""
    size, descriptors, _flags, _address = socket.recv_fds(connection, SIZE.size, 3)
    if not size:
        return False
    body = bytearray()
    while len(body) < SIZE.unpack(size)[0]:
        body += connection.recv(SIZE.unpack(size)[0] - len(body))
    add_modules(payloads, marshal.loads(bytes(body)), clean)
    request, output, errors = descriptors
    head = read_head(request)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    close_descriptors(NULL + 1)
    set_up(head)
    me = os.getpid()
    code = run_module(head, "/payload.zip")
    run_exit_functions()
    flush()
    if os.getpid() != me:  # the module forked, and its child returned here
        os._exit(code)
    standard_streams_to_null()
    close_descriptors(NULL + 1)
    threads_end()
    usable = clean.restore()
    connection.sendall(ANSWER.pack(code, READY if usable else LEAVING))
    return usable


def add_modules(payloads: Payloads, new: dict[str, tuple[bytes, bool]], clean: CleanState) -> None:
    """Add modules that the interpreter has received since this worker's fork, so that a worker compiles nothing."""
    for name, (compiled, is_package) in new.items():
        payloads.compiled[name] = compiled
        if is_package:
            payloads.packages.add(name)
    if new:
        payloads.import_all(list(new))
        clean.variables.remember()


def standard_streams_to_null() -> None:
    for number in range(3):
        os.dup2(NULL, number)


def threads_end() -> None:
    """Wait for the module's threads, as at the end of a new process."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(SECONDS_OF_A_THREAD)
