"""Carries input, output, signals, window sizes and the exit code between a job and this process's own descriptors."""

from __future__ import annotations

import fcntl
import json
import os
import queue
import signal
import struct
import termios
import threading
import tty
import typing as t

import frames

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
PATIENCE = 2  # signals passed to the job; the next one ends everything
TARGETS = {frames.OUTPUT: 1, frames.ERRORS: 2}

Give = t.Callable[[bytes, bytes], None]


def same_file(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


def window_size() -> tuple[int, int]:
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
    return rows, columns


class Relay:
    """One job: `deliver` receives frames from it; frames for it go to the function passed to `start`."""

    def __init__(self) -> None:
        self.terminal = os.isatty(0) and os.isatty(1)
        self.give: Give = lambda kind, data: None
        self.started = threading.Event()
        self.accepted = threading.Semaphore(1)
        self.over = threading.Event()
        self.end: dict[str, t.Any] = {}
        self.broken: set[bytes] = set()
        self.settings: list[t.Any] | None = None
        self.signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def request(self) -> dict[str, t.Any]:
        """The part of a request that describes this process's descriptors."""
        return {
            "terminal": window_size() if self.terminal else None,
            "join": os.isatty(2) if self.terminal else same_file(1, 2),
            "stream": True,
        }

    def deliver(self, kind: bytes, data: bytes) -> None:
        self.started.wait()
        if kind == frames.EXIT:
            self.conclude(json.loads(data))
        elif kind == frames.ACCEPTED:
            self.accepted.release()
        elif kind in TARGETS:
            self.write(kind, data)

    def write(self, kind: bytes, data: bytes) -> None:
        if kind not in self.broken:
            try:
                frames.write_all(TARGETS[kind], data)
            except OSError:
                # The job's next write fails, as if it wrote here directly.
                self.broken.add(kind)
                self.give(frames.CLOSED, kind)
        self.give(frames.TAKEN, frames.NUMBER.pack(len(data)))

    def conclude(self, end: dict[str, t.Any]) -> None:
        """The job is over, with an exit code or an error. Only the first end counts."""
        if not self.over.is_set():
            self.end = end
            self.over.set()

    def start(self, give: Give) -> None:
        """Give the terminal, input and signals to the job."""
        if self.terminal:
            self.settings = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)
        self.give = give
        self.started.set()
        threading.Thread(target=self.carry_input, daemon=True).start()

    def restore(self) -> None:
        if self.settings:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            termios.tcsetattr(0, termios.TCSADRAIN, self.settings)

    def carry_input(self) -> None:
        while True:
            self.accepted.acquire()
            try:
                data = os.read(0, frames.CHUNK)
            except OSError:
                data = b""
            self.give(frames.INPUT, data)
            if not data:
                return

    def take_signals(self, give_up: t.Callable[[int], None]) -> None:
        """Pass signals to the job; `give_up` is called with one that comes before the job, or once too often."""
        # A handler may interrupt the sending of a frame, so it must not send one.
        for number in FORWARDED + ((signal.SIGWINCH,) if self.terminal else ()):
            signal.signal(number, lambda number, _frame: self.signals.put(number))
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        threading.Thread(target=self.pass_signals, args=(give_up,), daemon=True).start()

    def pass_signals(self, give_up: t.Callable[[int], None]) -> None:
        passed = 0
        while True:
            number = self.signals.get()
            if number == signal.SIGWINCH:
                self.give(frames.SIZE, frames.PAIR.pack(*window_size()))
            elif self.started.is_set() and passed < PATIENCE:
                passed += 1
                self.give(frames.SIGNAL, frames.NUMBER.pack(number))
            else:
                self.conclude({"code": 128 + number})
                give_up(number)
