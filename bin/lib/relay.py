"""Carries input, output, signals, window sizes and the exit code between a job and this process's own descriptors."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import struct
import termios
import threading
import tty
import typing as t

import frames

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def same_file(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


def window_size() -> tuple[int, int]:
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
    return rows, columns


class Relay:
    """One job. `give` sends it a frame; frames of it are handed to `deliver`."""

    def __init__(self) -> None:
        self.terminal = os.isatty(0) and os.isatty(1)
        self.give: t.Callable[[bytes, bytes], None] = lambda kind, data: None
        self.accepted = threading.Semaphore(1)
        self.over = threading.Event()
        self.end: dict[str, t.Any] = {}
        self.broken = {frames.OUTPUT: False, frames.ERRORS: False}
        self.settings: list | None = None

    def head(self) -> dict:
        """What a request says of this process's descriptors."""
        return {
            "terminal": window_size() if self.terminal else None,
            "join": os.isatty(2) if self.terminal else same_file(1, 2),
            "stream": True,
        }

    def deliver(self, kind: bytes, data: bytes) -> None:
        if kind == frames.EXIT:
            self.end = json.loads(data)
            self.over.set()
        elif kind == frames.ACCEPTED:
            self.accepted.release()
        elif kind in self.broken:
            if not self.broken[kind]:
                try:
                    frames.write_all(1 if kind == frames.OUTPUT else 2, data)
                except OSError:
                    # The next write of the command gets SIGPIPE, as it would here.
                    self.broken[kind] = True
                    self.give(frames.SIGNAL, frames.NUMBER.pack(signal.SIGPIPE))
            self.give(frames.TAKEN, frames.NUMBER.pack(len(data)))

    def raw(self) -> None:
        if self.terminal:
            self.settings = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)

    def restore(self) -> None:
        if self.settings:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            termios.tcsetattr(0, termios.TCSADRAIN, self.settings)

    def start(self, give: t.Callable[[bytes, bytes], None]) -> None:
        """The job has been submitted."""
        self.give = give
        if self.terminal:
            signal.signal(signal.SIGWINCH, lambda *_: self.give(frames.SIZE, frames.PAIR.pack(*window_size())))
        threading.Thread(target=self.carry_input, daemon=True).start()

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

    def pass_signals(self, give_up: t.Callable[[int], None]) -> None:
        """Signals go to the job; from the third on, and while there is no job, `give_up` is called with the number."""
        count = 0

        def handle(number: int, _frame: object) -> None:
            nonlocal count
            count += 1
            if count > 2 or not self.started:
                give_up(number)
            else:
                self.give(frames.SIGNAL, frames.NUMBER.pack(number))

        for number in FORWARDED:
            signal.signal(number, handle)
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)

    @property
    def started(self) -> bool:
        return getattr(self.give, "__name__", "") != "<lambda>"


def wait(event: threading.Event) -> None:
    """Wait so that signals are handled meanwhile."""
    with contextlib.suppress(InterruptedError):
        while not event.wait(3600):
            pass
