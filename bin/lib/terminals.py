"""Terminals and serial lines."""

from __future__ import annotations

import fcntl
import os
import struct
import termios


def open_line(path: str) -> int:
    """Open a serial line that passes every byte unchanged."""
    line = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if os.isatty(line):
        settings = termios.tcgetattr(line)
        settings[0] = settings[1] = settings[3] = 0
        settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
        termios.tcsetattr(line, termios.TCSANOW, settings)
    return line


def size_waiting(descriptor: int) -> int:
    (size,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))
    return int(size)


def resize(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
