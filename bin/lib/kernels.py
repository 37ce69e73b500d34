"""The kernels that a lab may run in, behind one interface: boot, submit, collect, shut down.

host  the machine's own kernel: the guest program is a child of this process
uml   user-mode Linux, a kernel that is a process
qemu  Debian's kernel in QEMU
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import typing as t

import frames
import memory
import qemu_boot
import uml_boot
import uml_kernels

HERE = os.path.dirname(os.path.realpath(__file__))
BOOT_S = 90
# Without KVM, on a busy machine.
EMULATED_BOOT_S = 600
PATIENCE = "ROUTED_HYPERVISOR_BOOT_SECONDS"
POWER_OFF_S = 5
NAMES = {"uml": "user-mode Linux", "qemu": "QEMU", "host": "the lab's program on this machine"}
LAST_WORDS_S = 2
SHORT = 512  # bytes that go over the line themselves
PAYLOADS = 100  # more than a run has modules
# Where the guest program finds requests and payloads in a kernel of its own.
SHARED = "/run/routed-hypervisor-requests"

Deliver = t.Callable[[bytes, bytes], None]


class KernelFailed(Exception):
    """There is no kernel, or no longer; the message is a sentence with the reason."""


def boot_seconds(kind: str) -> float:
    """How long a kernel may take to boot."""
    text = os.environ.get(PATIENCE) or str(EMULATED_BOOT_S if kind == "qemu" else BOOT_S)
    if not re.fullmatch(r"[1-9]\d{0,4}", text):
        raise KernelFailed(f"{PATIENCE} is '{text}': it must be a number of seconds")
    return float(text)


def keep_niceness(process: int) -> None:
    """With sched_autogroup, Linux schedules each session as a group, and a new group starts without niceness."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/autogroup", "w", encoding="ascii") as file:
        file.write(str(os.nice(0)))


class Kernel:
    """A booted kernel, and the jobs that run in it."""

    def __init__(self, kind: str, tools: str, memory: int, directory: str = "") -> None:
        """`memory` in megabytes. On the machine's own kernel, requests go to `directory`, which only root can enter."""
        self.kind, self.tools, self.memory, self.directory = kind, tools, memory, directory
        self.messages: collections.deque[str] = collections.deque(maxlen=400)
        self.victims: list[str] = []  # programs that the kernel killed to free memory
        self.ready = threading.Event()
        self.over = threading.Event()
        self.release = ""
        self.patience = 0.0
        self.waiting: dict[int, Deliver] = {}
        self.taken: dict[int, int] = {}  # bytes of a job's output, not yet reported to the kernel
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.payload_lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.sender = -1
        self.claim: t.Any = None
        self.readers: list[threading.Thread] = []
        self.watcher: threading.Thread | None = None

    def boot(self) -> None:
        """Start it; `wait` returns when it is up."""
        self.patience = boot_seconds(self.kind)
        start = {"host": self._start_on_host, "uml": self._start_uml, "qemu": self._start_qemu}[self.kind]
        try:
            receiver = start()
        except (uml_kernels.NoKernelError, qemu_boot.NoQemuError) as error:
            raise KernelFailed(str(error)) from error
        assert self.process
        keep_niceness(self.process.pid)
        self._follow(self._receive, receiver)
        self.watcher = threading.Thread(target=self._watch, daemon=True)
        self.watcher.start()

    def wait(self) -> None:
        """Wait until jobs can be submitted; a kernel that does not come up is killed."""
        if self.ready.wait(self.patience) and not self.over.is_set():
            return
        if self.over.is_set():
            raise KernelFailed(self.verdict())
        self.kill()
        last = " / ".join([line for line in self.messages if line][-5:]) or "none"
        raise KernelFailed(
            f"{NAMES[self.kind]} was not up after {self.patience:.0f} s and was ended; its last messages: {last}. "
            f"{PATIENCE}=SECONDS gives it more time"
        )

    def _start_on_host(self) -> int:
        receiver, guest_out = os.pipe()
        guest_in, self.sender = os.pipe()
        session = json.dumps(
            {
                "link": {"fds": [guest_in, guest_out]},
                "shared": self.directory,
                "mount": None,
                "power_off": False,
                # Inside a lab kernel, that kernel is the machine.
                "kind": os.environ.get("ROUTED_HYPERVISOR_KERNEL_KIND") or self.kind,
            }
        )
        source, sink = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-EsSB", f"{HERE}/guest.py", str(source)],
            pass_fds=[guest_in, guest_out, source],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )
        for end in (guest_in, guest_out, source):
            os.close(end)
        frames.write_all(sink, session.encode())
        os.close(sink)
        assert self.process.stdout
        self._follow(self._keep_messages, os.dup(self.process.stdout.fileno()))
        return receiver

    def _start_uml(self) -> int:
        processors = os.sched_getaffinity(0)
        self.claim = uml_boot.own_processor()
        messages, kernel_messages = os.pipe()
        receiver, kernel_out = os.pipe()
        kernel_in, self.sender = os.pipe()
        lines = [
            "con=null",
            "ssl=null",
            "console=ttyS0",
            f"ssl0=null,fd:{kernel_messages}",
            f"ssl1=fd:{kernel_in},fd:{kernel_out}",
        ]
        ends = [kernel_messages, kernel_in, kernel_out]
        self.process = uml_boot.boot(self.tools, self.memory, lines, kernel_messages, ends)
        # Processes that serve the kernel from outside need not wait for its processor.
        os.sched_setaffinity(0, processors)
        for end in ends:
            os.close(end)
        self._follow(self._keep_messages, messages)
        session = {
            "link": {"path": "/dev/ttyS1"},
            "shared": SHARED,
            # /dev/shm of the kernel's process: private to it, and removed with it.
            "mount": ["none", SHARED, "hostfs", "/dev/shm/requests"],
            "power_off": True,
            "kind": self.kind,
        }
        self.directory = f"/proc/{self.process.pid}/root/dev/shm/requests"
        self._send_session(session)
        return receiver

    def _start_qemu(self) -> int:
        messages, kernel_messages = os.pipe()
        ours, link = socket.socketpair()
        try:
            self.process = qemu_boot.boot(self.tools, self.memory, link.fileno(), kernel_messages)
        finally:
            link.close()
            os.close(kernel_messages)
        self.sender = ours.detach()
        self._follow(self._keep_messages, messages)
        session = {
            "link": {"path": "/dev/vport1p1"},
            "shared": SHARED,
            "mount": None,
            "power_off": True,
            "kind": self.kind,
        }
        self.directory = f"/proc/{self.process.pid}/root{self.tools}/qemu/mnt/requests"
        self._send_session(session)
        return os.dup(self.sender)

    def _send_session(self, session: dict[str, t.Any]) -> None:
        assert self.process and self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(session).encode())
            self.process.stdin.close()

    def _follow(self, read: t.Callable[[int], None], source: int) -> None:
        thread = threading.Thread(target=read, args=(source,), daemon=True)
        thread.start()
        self.readers.append(thread)

    def _keep_messages(self, source: int) -> None:
        with os.fdopen(source, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self.messages.append(line.strip())
                self.victims += re.findall(r"\bOut of memory: Killed process \d+ \(([^)]*)\)", line)

    def _receive(self, receiver: int) -> None:
        parser = frames.Parser()
        while data := os.read(receiver, 1 << 18):
            for frame in parser.feed(data):
                if frame.kind == frames.READY:
                    self.release = json.loads(frame.data)["release"]
                    self.ready.set()
                    continue
                deliver = self.waiting.get(frame.job)
                if frame.kind == frames.EXIT:
                    with self.lock:
                        self.waiting.pop(frame.job, None)
                        self.taken.pop(frame.job, None)
                if deliver:
                    deliver(frame.kind, frame.data)

    def _watch(self) -> None:
        assert self.process
        self.process.wait()
        # Its last output is in the pipes.
        for reader in self.readers:
            reader.join(LAST_WORDS_S)
        self._end_jobs()  # first, because whoever waits for `over` may exit
        self.over.set()
        self.ready.set()
        self._end_jobs()  # those that were submitted meanwhile

    def _end_jobs(self) -> None:
        with self.lock:
            orphans, self.waiting = list(self.waiting.values()), {}
        for deliver in orphans:
            deliver(frames.EXIT, json.dumps({"error": self.verdict(), "gone": True}).encode())

    def _write_request(self, name: str, data: bytes) -> None:
        path = f"{self.directory}/requests/{name}"
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise

    def submit(self, head: dict[str, t.Any], data: bytes, deliver: Deliver) -> int:
        """Start a job; `deliver` receives the kind and data of each of its frames, EXIT last."""
        number = next(self.numbers)
        self._write_request(str(number), json.dumps(head).encode() + b"\n" + data)
        with self.lock:
            if not self.over.is_set():
                self.waiting[number] = deliver
        if self.over.is_set():
            deliver(frames.EXIT, json.dumps({"error": self.verdict(), "gone": True}).encode())
        self.send(number, frames.OPEN, str(number).encode())
        return number

    def send(self, number: int, kind: bytes, data: bytes = b"") -> None:
        if kind == frames.INPUT and len(data) > SHORT:
            # A new name each time, because a changed file may be served from the kernel's cache.
            name = f"{number}.{next(self.numbers)}"
            self._write_request(name, data)
            kind, data = frames.INPUT_FILE, name.encode()
        with self.lock, contextlib.suppress(OSError):
            if kind == frames.TAKEN:
                size = self.taken.get(number, 0) + frames.NUMBER.unpack(data)[0]
                if number in self.waiting:
                    self.taken[number] = size if size < frames.CHUNK else 0
                if size < frames.CHUNK:
                    return
                data = frames.NUMBER.pack(size)
            frames.write_all(self.sender, frames.pack(number, kind, data))

    def ignore(self, number: int) -> None:
        """End a job that has no client any more."""
        with self.lock:
            if number not in self.waiting:
                return
            self.waiting[number] = lambda kind, data: None
        self.send(number, frames.CANCEL)

    def has_payload(self, name: str) -> bool:
        return os.path.exists(f"{self.directory}/payloads/{name}.zip")

    def keep_payload(self, name: str, data: bytes) -> None:
        path = f"{self.directory}/payloads/{name}.zip"
        with self.payload_lock:  # the first task on many nodes sends the same one for each
            if self.has_payload(name):
                return
            with open(f"{path}.draft", "wb") as file:
                file.write(data)
            os.rename(f"{path}.draft", path)
            # Each changed module adds a payload of 200 KB. A removed payload is requested again.
            kept = sorted(os.scandir(f"{self.directory}/payloads"), key=lambda entry: entry.stat().st_mtime)
            for entry in kept[:-PAYLOADS]:
                os.unlink(entry.path)

    def shut_down(self) -> None:
        """End the kernel and everything in it."""
        if self.watcher and self.ready.is_set():
            self.send(0, frames.CANCEL)
            self.watcher.join(POWER_OFF_S)
        self.kill()

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.watcher and self.watcher is not threading.current_thread():
            self.watcher.join(POWER_OFF_S)

    def out_of_memory(self) -> str:
        """A sentence about the processes it killed to free memory; empty if none."""
        return memory.ran_out(self.memory, list(dict.fromkeys(self.victims))) if self.victims else ""

    def verdict(self, event: str = "it was asked to") -> str:
        """Why it ended before an event, in one sentence."""
        if sentence := self.out_of_memory():
            return sentence
        found = re.search(r"Kernel panic[^\n]*|^\w*Error\b[^\n]*", "\n".join(self.messages), re.MULTILINE)
        if found and re.search("deadlocked on memory|no killable processes", found.group(0)):
            return memory.ran_out(self.memory, [])
        if found:
            last = found.group(0)
        elif self.process and self.process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL):
            last = "it was killed by SIGKILL"
        else:
            last = next((line for line in reversed(self.messages) if line), "no message")
        name = NAMES[self.kind]
        return f"{name} ended before {event}: {last}"
