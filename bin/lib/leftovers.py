"""Restores the state that a module changed in its process, so that the next module finds it as in a new process.

Restored: environment, signals and timers, resource limits, locale, Python's search path, hooks and warnings, logging,
and all variables of Ansible's and this collection's module_utils and of their classes (rebound, or changed in place).
Not restorable: identity, namespaces, threads. A worker in which one of these changed ends; the next task starts anew.
Working directory, umask, arguments and standard streams are set before each module (workers.py).

It takes 2 ms with the 117 files that `network` needs; a fork takes 14 ms, and in user-mode Linux 130 to 200.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import types
import typing as t
import warnings
import weakref

from payloads import COLLECTION

NAMESPACES = ("net", "mnt", "uts", "ipc", "pid_for_children")
LIMITS = [number for name, number in vars(resource).items() if name.startswith("RLIMIT_")]
TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
Namespace = t.Union[dict[str, t.Any], type]  # noqa: UP007 - evaluated at runtime, also by Python 3.9


def is_watched(module: str) -> bool:
    # The variables of six are meant to be replaced on first use.
    return module.startswith(("ansible.", COLLECTION)) and not module.startswith("ansible.module_utils.six")


def identity() -> tuple[t.Any, ...]:
    """State that cannot be restored, or not safely."""
    namespaces = []
    for name in NAMESPACES:
        with contextlib.suppress(OSError):
            namespaces.append(os.stat(f"/proc/self/ns/{name}").st_ino)
    root = os.stat("/")
    processes = os.getpid(), os.getsid(0), os.getpgid(0), os.getpriority(os.PRIO_PROCESS, 0)
    return namespaces, root.st_dev, root.st_ino, os.getresuid(), os.getresgid(), os.getgroups(), processes


def run_exit_functions() -> None:
    """Run a module's exit functions, as at the end of its process."""
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    weakref.finalize._registered_with_atexit = weakref.finalize._shutdown = False  # type: ignore[attr-defined]


class Variables:
    """The variables of modules and of their classes."""

    def __init__(self) -> None:
        self.modules: dict[str, types.ModuleType] = {}
        self.namespaces: list[tuple[Namespace, dict[str, t.Any]]] = []
        self.containers: list[tuple[t.Any, t.Any]] = []
        self.caches: list[t.Any] = []
        self.known = {id(sys.modules), id(sys.path)}  # containers that belong to no module, or are already recorded

    def remember(self) -> None:
        """Record the variables of modules imported since the last call."""
        for name, module in list(sys.modules.items()):
            if is_watched(name) and name not in self.modules:
                self.modules[name] = module
                self._remember(vars(module))
                for value in list(vars(module).values()):
                    if isinstance(value, type) and value.__module__ == name:
                        self._remember(value)

    def _remember(self, namespace: Namespace) -> None:
        variables = dict(vars(namespace)) if isinstance(namespace, type) else dict(namespace)
        self.namespaces.append((namespace, variables))
        for name, value in variables.items():
            if isinstance(value, (dict, list, set)) and not name.startswith("__") and id(value) not in self.known:
                self.known.add(id(value))
                self.containers.append((value, value.copy()))
            elif isinstance(value, functools._lru_cache_wrapper) and value.__module__.startswith(COLLECTION):
                self.caches.append(value)

    def restore(self) -> None:
        for name in [name for name in sys.modules if is_watched(name) and name not in self.modules]:
            del sys.modules[name]
        for namespace, before in self.namespaces:
            now = vars(namespace) if isinstance(namespace, type) else namespace
            if _differ(now, before):
                _restore(namespace, dict(now), before)
        for container, before in self.containers:
            if _differ(container, before):
                container.clear()
                container.extend(before) if isinstance(container, list) else container.update(before)
        for cache in self.caches:
            cache.cache_clear()


def _differ(one: t.Any, other: t.Any) -> bool:
    try:
        return bool(one != other)
    except Exception:
        return True


def _restore(namespace: Namespace, now: dict[str, t.Any], before: dict[str, t.Any]) -> None:
    for name in now.keys() | before.keys():
        if name.startswith("__") or now.get(name, now) is before.get(name, before):
            continue
        if isinstance(namespace, dict):
            if name in before:
                namespace[name] = before[name]
            else:
                del namespace[name]
        elif name in before:
            setattr(namespace, name, before[name])
        else:
            delattr(namespace, name)


class CleanState:
    """The state of a process before its first module."""

    def __init__(self) -> None:
        atexit._clear()
        weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
        self.identity = identity()
        self.environment = dict(os.environ)
        self.handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        self.limits = {number: resource.getrlimit(number) for number in LIMITS}
        self.locale = locale.setlocale(locale.LC_ALL)
        self.main = sys.modules["__main__"]
        self.path, self.finders, self.path_hooks = list(sys.path), list(sys.meta_path), list(sys.path_hooks)
        self.recursion = sys.getrecursionlimit()
        self.filters = list(warnings.filters)
        self.log_level = logging.root.level
        self.variables = Variables()
        self.variables.remember()

    def restore(self) -> bool:
        """Restore the state; whether that was complete."""
        self.variables.restore()
        self._restore_python()
        self._restore_process()
        # Objects in cycles: the collector is off, so all the module's objects are in the youngest generation.
        gc.disable()
        gc.collect(0)
        return threading.active_count() == 1 and identity() == self.identity

    def _restore_python(self) -> None:
        sys.modules["__main__"] = self.main
        sys.path, sys.meta_path[:], sys.path_hooks[:] = list(self.path), self.finders, self.path_hooks
        sys.excepthook, sys.displayhook = sys.__excepthook__, sys.__displayhook__
        sys.settrace(None)
        sys.setprofile(None)
        if sys.getrecursionlimit() != self.recursion:
            sys.setrecursionlimit(self.recursion)
        if warnings.filters != self.filters:
            warnings.filters[:] = self.filters  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]
        logging.disable(logging.NOTSET)
        logging.root.setLevel(self.log_level)
        for logger in [logging.root, *logging.root.manager.loggerDict.values()]:
            if isinstance(logger, logging.Logger) and (logger.handlers or logger.filters):
                logger.handlers.clear()
                logger.filters.clear()
        tempfile.tempdir = None
        socket.setdefaulttimeout(None)

    def _restore_process(self) -> None:
        if os.environ != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        if locale.setlocale(locale.LC_ALL) != self.locale:
            locale.setlocale(locale.LC_ALL, self.locale)
        for timer in TIMERS:
            signal.setitimer(timer, 0)
        for number, handler in self.handlers.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
        for number, limit in self.limits.items():
            if resource.getrlimit(number) != limit:
                resource.setrlimit(number, limit)
        # Ended processes that the module did not wait for.
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
