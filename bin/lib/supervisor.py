"""Owns the kernel of one lab and stays up in the background: one process for each lab.

    supervisor.py routed-hypervisor-lab:NAME OPTIONS     OPTIONS: a JSON object, see bin/lab

Its directory, /run/routed-hypervisor-lab/NAME, is root's alone. It is locked for as long as this process lives, so that
no two own one lab. In it: `socket`, for the clients; `ended`, why a lab is no longer up that nobody has taken down.
Progress goes to standard output, a sentence a line; the last line is `ready`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import sys
import threading
import time
import typing as t

import frames
import places
from kernels import Kernel, KernelFailed
from namespaces import raise_descriptor_limit


class Supervisor:
    def __init__(self, lab: str, options: dict) -> None:
        self.lab, self.options = lab, options
        self.directory = places.directory(lab)
        self.since = time.time()
        self.kernel = Kernel(options["kind"], options["tools"], options["memory"], self.directory)
        self.stopping = False
        self.done = threading.Event()

    def run(self) -> None:
        self.kernel.boot()
        self.kernel.wait()
        raise_descriptor_limit()  # one for each client; what it started has the usual limit
        listener = self.listen()
        print("ready", flush=True)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        signal.signal(signal.SIGTERM, lambda *_: self.done.set())
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()
        threading.Thread(target=lambda: (self.kernel.over.wait(), self.done.set()), daemon=True).start()
        self.done.wait()
        if self.kernel.over.is_set() and not self.stopping:
            places.note_end(self.lab, self.kernel.verdict(), "\n".join(self.kernel.messages))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(places.socket_path(self.lab))
            return
        self.kernel.shut_down()
        places.remove(self.lab)

    def listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        draft = f"{self.directory}/socket.{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        listener.bind(draft)
        os.chmod(draft, 0o700)
        listener.listen(512)
        os.rename(draft, places.socket_path(self.lab))
        return listener

    def accept(self, listener: socket.socket) -> None:
        while True:
            connection, _address = listener.accept()
            # What the reader of the kernel's line sends must never wait for a client.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * frames.WINDOW)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            received = frames.frames_of(connection)
            first = next(received, None)
            if first is None:
                return
            line, _newline, data = first.data.partition(b"\n")
            head = json.loads(line)
            if head["kind"] in ("status", "stop"):
                connection.sendall(frames.pack(0, frames.EXIT, json.dumps(self.status()).encode()))
                if head["kind"] == "stop":
                    self.stopping = True
                    self.done.set()
                return
            try:
                if head["kind"] == "module" and not self.kernel.has_payload(head["payload"]):
                    connection.sendall(frames.pack(0, frames.WANTED))
                    payload = next(received, None)
                    if payload is None:
                        return
                    self.kernel.keep_payload(head["payload"], payload.data)
                self.carry(connection, received, head, data)
            except OSError as error:
                sentence = f"the request could not be written to {places.directory(self.lab)}: {error.strerror}"
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    sentence += ". Free space in /run, or in /dev/shm for a kernel of the lab's own"
                connection.sendall(frames.pack(0, frames.EXIT, json.dumps({"error": sentence}).encode()))

    def carry(self, connection: socket.socket, received: t.Iterator[frames.Frame], head: dict, data: bytes) -> None:
        over = threading.Event()

        def deliver(kind: bytes, body: bytes) -> None:
            if kind == frames.EXIT:
                over.set()
            with contextlib.suppress(OSError):
                connection.sendall(frames.pack(0, kind, body))

        number = self.kernel.submit(head, data, deliver)
        with contextlib.suppress(OSError):
            for frame in received:
                self.kernel.send(number, frame.kind, frame.data)
        if not over.is_set():
            self.kernel.send(number, frames.CANCEL)
            # Its output goes nowhere, and must not stop it.
            self.kernel.waiting[number] = lambda kind, body: None

    def status(self) -> dict:
        return {
            "lab": self.lab,
            "owner": self.options["owner"],
            "kind": self.kernel.kind,
            "reason": self.options["reason"],
            "release": self.kernel.release,
            "memory": self.kernel.memory if self.kernel.kind != "host" else None,
            "since": self.since,
            "process": os.getpid(),
            "features": self.options.get("features", {}),
        }


def main() -> int:
    mark, text = sys.argv[1:3]
    lab = mark.partition(":")[2]
    lock = places.take(lab)
    if lock is None:
        print(f"failed lab {lab} is being brought up by another command", flush=True)
        return 1
    try:
        Supervisor(lab, json.loads(text)).run()
    except (KernelFailed, OSError) as error:
        print(f"failed {error}", flush=True)
        places.remove(lab)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
