"""Owns the kernel of one lab and stays up in the background: one process for each lab.

    supervisor.py routed-hypervisor-lab:NAME OPTIONS     OPTIONS: a JSON object, see bin/lab

Its directory, /run/routed-hypervisor-lab/NAME, is accessible only to root. It is locked while this process lives, so
that a lab has a single owner. It contains `socket`, for clients, and `ended`, the reason why a lab that was not taken
down is no longer up. The result of the start is printed to standard output: `ready`, `taken` if another process has the
lab, or `failed` and a sentence.
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
from client import Client
from kernels import Deliver, Kernel, KernelFailed, keep_niceness
from namespaces import raise_descriptor_limit

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client

CONSOLE_S = 0.2  # time for a kernel's message about a killed process to arrive through its console
KILLED = 128 + signal.SIGKILL


class Supervisor:
    def __init__(self, lab: str, options: dict[str, t.Any]) -> None:
        self.lab, self.options = lab, options
        self.directory = places.directory(lab)
        self.since = time.time()
        self.kernel = Kernel(options["kind"], options["tools"], options["memory"], self.directory)
        self.done = threading.Event()

    def run(self) -> None:
        self.kernel.boot()
        self.kernel.wait()
        raise_descriptor_limit()  # one for each client; its child processes have the usual limit
        listener = self.listen()
        with contextlib.suppress(BrokenPipeError):  # the starting command was killed; the lab is up all the same
            print("ready", flush=True)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        signal.signal(signal.SIGTERM, lambda *_: self.done.set())
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()
        threading.Thread(target=self.await_end, daemon=True).start()
        self.done.wait()
        if self.kernel.over.is_set():
            places.note_end(self.lab, self.kernel.verdict(), "\n".join(self.kernel.messages))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(places.socket_path(self.lab))
            return
        self.kernel.shut_down()
        places.remove(self.lab)

    def await_end(self) -> None:
        self.kernel.over.wait()
        self.done.set()

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
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            client = Client(connection)
            first = next(client.received, None)
            if first is None:
                return
            line, _newline, data = first.data.partition(b"\n")
            head = json.loads(line)
            if head["kind"] == "status":
                client.send(frames.EXIT, json.dumps(self.status()).encode())
                return
            if head.get("owner", self.options["owner"]) != self.options["owner"]:
                sentence = lab_client.other_owner(self.lab, self.options["owner"], head["owner"])
                client.send(frames.EXIT, json.dumps({"error": sentence, "refused": True}).encode())
                return
            try:
                if head["kind"] == "module" and not self.kernel.has_payload(head["payload"]):
                    client.send(frames.WANTED)
                    payload = next(client.received, None)
                    if payload is None:
                        return
                    self.kernel.keep_payload(head["payload"], payload.data)
                number = self.kernel.submit(head, data, self.explaining(client.send))
            except OSError as error:
                sentence = f"the request could not be written to {places.directory(self.lab)}: {error.strerror}"
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    sentence += ". Free space in /run, or in /dev/shm for a kernel of the lab's own"
                client.send(frames.EXIT, json.dumps({"error": sentence}).encode())
                return
            self.carry(client, number)

    def carry(self, client: Client, number: int) -> None:
        """Forward a client's frames to its job until it closes the connection."""
        try:
            for frame in client.received:
                self.kernel.send(number, frame.kind, frame.data)
        finally:
            self.kernel.ignore(number)

    def explaining(self, deliver: Deliver) -> Deliver:
        """DELIVER, except that the end of a failed job mentions if the kernel ran out of memory."""

        def explain(kind: bytes, data: bytes) -> None:
            if kind == frames.EXIT and self.kernel.kind != "host":
                end = json.loads(data)
                # The end of the kernel itself has its reason already.
                if end.get("code") != 0 and not end.get("gone") and (note := self.memory_note(end)):
                    end |= {"error": f"{note} ({end['error']})"} if "error" in end else {"note": note}
                    data = json.dumps(end).encode()
            deliver(kind, data)

        return explain

    def memory_note(self, end: dict[str, t.Any]) -> str:
        if end.get("code") == KILLED or "was killed" in end.get("error", ""):
            deadline = time.monotonic() + CONSOLE_S
            while not self.kernel.victims and time.monotonic() < deadline:
                time.sleep(0.01)
        sentence = self.kernel.out_of_memory()
        return f"{sentence}, then take the lab down and bring it up again" if sentence else ""

    def status(self) -> dict[str, t.Any]:
        return {
            "lab": self.lab,
            "owner": self.options["owner"],
            "kind": self.kernel.kind,
            "reason": self.options["reason"],
            "release": self.kernel.release,
            "memory": self.kernel.memory if self.kernel.kind != "host" else None,
            "since": self.since,
            "process": os.getpid(),
            "out_of_memory": self.kernel.out_of_memory(),
        }


def give_up(_number: int, _frame: object) -> None:
    raise KernelFailed("another command took it down")


def main() -> int:
    mark, text = sys.argv[1:3]
    lab = mark.partition(":")[2]
    try:
        lock = places.take(lab)
    except OSError as error:
        print(f"failed {places.explain(error)}", flush=True)
        return 1
    if lock is None:
        print("taken", flush=True)
        return 1
    signal.signal(signal.SIGTERM, give_up)
    keep_niceness(os.getpid())
    try:
        Supervisor(lab, json.loads(text)).run()
    except (KernelFailed, OSError) as error:
        places.remove(lab)
        print(f"failed {places.explain(error) if isinstance(error, OSError) else error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
