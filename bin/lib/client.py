"""A client of a supervisor: one connection to its socket."""

from __future__ import annotations

import contextlib
import socket
import threading

import frames


class Client:
    """Sends frames without ever blocking: the reader of the kernel's line, which serves all clients, must not wait for
    one of them.

    Flow control limits a client's unread bytes, but not the space they take: small frames fill the buffer of a socket
    long before they reach the size of the window.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = frames.frames_of(connection)
        self.backlog = bytearray()
        self.lock = threading.Lock()

    def send(self, kind: bytes, data: bytes = b"") -> None:
        with self.lock:
            if self.backlog:
                self.backlog += frames.pack(0, kind, data)
                return
            rest = memoryview(frames.pack(0, kind, data))
            try:
                while rest:
                    rest = rest[self.connection.send(rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                self.backlog += rest
                threading.Thread(target=self.send_backlog, daemon=True).start()
            except OSError:
                pass  # the client is gone; the reader of its frames handles that

    def send_backlog(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self.lock:
                    part = bytes(self.backlog[: frames.WINDOW])
                if not part:
                    return
                self.connection.sendall(part)
                with self.lock:
                    del self.backlog[: len(part)]
                    if not self.backlog:
                        return
