"""The jobs of the guest program: their input and output, their signals, and their end."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import time
import typing as t

import frames
from link import Link
from terminals import resize, size_waiting

# Background processes of a command may finish their output, as with `tee >(sha256sum)`, but not delay the caller.
LAST_WORDS_S = 1.0
# A command that outlives its client receives SIGTERM, and SIGKILL after this time.
CANCEL_S = 5.0
UNREAD_TERMINAL_S = 0.05  # retry interval for typed input that a program does not read


class Job:
    """One command or module. `streams` has the kind of frame for each descriptor that is read for it."""

    def __init__(self, number: int, request: str) -> None:
        self.number = number
        self.request = request
        self.process = 0  # of a command
        self.group = 0  # the process group of what runs
        self.streams: dict[int, bytes] = {}
        self.paused: set[int] = set()
        self.untaken = 0
        self.input = -1
        self.waiting_input = b""
        self.terminal = -1
        self.end: dict[str, t.Any] | None = None
        self.deadline = 0.0
        self.syncs = False  # whether it may have written files of the machine through a kernel of its own


class Jobs:
    """The running jobs by number."""

    def __init__(self, selector: selectors.BaseSelector, link: Link) -> None:
        self.selector, self.link = selector, link
        self.running: dict[int, Job] = {}
        self.children: dict[int, Job] = {}  # the commands among them, by their process
        self.unread: set[Job] = set()
        self.cancelled: dict[Job, float] = {}

    def on_frame(self, frame: frames.Frame) -> None:
        job = self.running.get(frame.job)
        if not job:
            return
        if frame.kind == frames.INPUT:
            self.take_input(job, frame.data)
        elif frame.kind == frames.TAKEN:
            job.untaken -= frames.NUMBER.unpack(frame.data)[0]
            self.resume(job)
        elif frame.kind == frames.SIGNAL:
            self.pass_signal(job, frames.NUMBER.unpack(frame.data)[0])
        elif frame.kind == frames.SIZE and job.terminal >= 0:
            resize(job.terminal, *frames.PAIR.unpack(frame.data))
        elif frame.kind == frames.CLOSED:
            for stream in [stream for stream, kind in job.streams.items() if kind == frame.data]:
                self.close_output(job, stream)
        elif frame.kind == frames.CANCEL:
            self.cancel(job)

    def wait(self) -> None:
        """Handle the next events, then the jobs whose timeouts have expired."""
        ending = [job for job in self.running.values() if job.end is not None and not job.paused]
        deadlines = [*(job.deadline for job in ending), *self.cancelled.values()]
        waits = [max(0.0, deadline - time.monotonic()) for deadline in deadlines]
        if self.unread:
            waits.append(UNREAD_TERMINAL_S)
        for key, events in self.selector.select(min(waits, default=None)):
            # One event may close the descriptor of the next.
            if self.selector.get_map().get(key.fd) == key:
                key.data(events)
        for job in ending:
            self.conclude(job)
        self.end_cancelled()
        for job in list(self.unread):
            self.feed(job)

    def pipe_for(self, job: Job, kind: bytes) -> int:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self.read_from(job, reader, kind)
        return writer

    def read_from(self, job: Job, source: int, kind: bytes) -> None:
        job.streams[source] = kind
        self.selector.register(source, selectors.EVENT_READ, lambda _: self.on_output(job, source))

    def on_output(self, job: Job, source: int) -> None:
        try:
            data = os.read(source, frames.CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a terminal that no process has open any more
            data = b""
        if not data:
            self.close_output(job, source)
            self.conclude(job)
            return
        job.untaken += len(data)
        self.link.send(job.number, job.streams[source], data)
        if job.untaken >= frames.WINDOW:
            for stream in set(job.streams) - job.paused:
                self.selector.unregister(stream)
                job.paused.add(stream)

    def resume(self, job: Job) -> None:
        if job.untaken >= frames.WINDOW:
            return
        for stream in job.paused:
            self.selector.register(stream, selectors.EVENT_READ, lambda _, s=stream: self.on_output(job, s))
        job.paused.clear()
        self.conclude(job)

    def close_output(self, job: Job, source: int) -> None:
        if source in job.paused:
            job.paused.discard(source)
        else:
            self.selector.unregister(source)
        del job.streams[source]
        if source == job.terminal:
            self.unread.discard(job)
            job.terminal = job.input = -1
        os.close(source)

    def take_input(self, job: Job, data: bytes) -> None:
        if data:
            job.waiting_input = data
            self.feed(job)
        else:
            self.close_input(job)

    def feed(self, job: Job) -> None:
        """Write pending data to the job's input; ask for more when it has been written."""
        self.unread.discard(job)
        if job.input < 0:
            job.waiting_input = b""
        while job.waiting_input:
            try:
                job.waiting_input = job.waiting_input[os.write(job.input, job.waiting_input) :]
            except BlockingIOError:
                if job.input == job.terminal:
                    self.unread.add(job)  # already registered for reading, so retried by time
                elif job.input not in self.selector.get_map():
                    self.selector.register(job.input, selectors.EVENT_WRITE, lambda _: self.feed(job))
                return
            except OSError:  # no reader
                job.waiting_input = b""
        self.stop_feeding(job)
        self.link.send(job.number, frames.ACCEPTED)

    def stop_feeding(self, job: Job) -> None:
        self.unread.discard(job)
        if job.input >= 0 and job.input != job.terminal and job.input in self.selector.get_map():
            self.selector.unregister(job.input)

    def close_input(self, job: Job) -> None:
        if job.input >= 0 and job.input != job.terminal:
            self.stop_feeding(job)
            os.close(job.input)
            job.input = -1

    def pass_signal(self, job: Job, number: int) -> None:
        # The keyboard's signals go to the whole group, as a terminal sends them; the others to the command alone.
        keyboard = number in (signal.SIGINT, signal.SIGQUIT)
        if job.process:
            try:
                os.kill(-job.process if keyboard else job.process, number)
            except ProcessLookupError:  # it has not created its group yet
                os.kill(job.process, number)

    def cancel(self, job: Job) -> None:
        """End a job after its client disconnected."""
        number = signal.SIGHUP if job.terminal >= 0 else signal.SIGTERM
        for stream in list(job.streams):
            self.close_output(job, stream)
        self.close_input(job)
        if self.kill(job, number):
            self.cancelled[job] = time.monotonic() + CANCEL_S

    def kill(self, job: Job, number: int) -> bool:
        """Send a signal to the processes of a job; whether there were any."""
        if job.group:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-job.group, number)
        return job.group != 0

    def end_cancelled(self) -> None:
        for job, deadline in list(self.cancelled.items()):
            if job.number not in self.running:
                del self.cancelled[job]
            elif time.monotonic() >= deadline:
                del self.cancelled[job]
                self.kill(job, signal.SIGKILL)

    def process_ended(self, process: int, status: int) -> None:
        if job := self.children.pop(process, None):
            job.process = job.group = 0
            code = os.waitstatus_to_exitcode(status)
            self.ended(job, {"code": code if code >= 0 else 128 - code}, LAST_WORDS_S)

    def ended(self, job: Job, end: dict[str, t.Any], patience: float) -> None:
        job.end, job.deadline = end, time.monotonic() + patience
        self.conclude(job)

    def conclude(self, job: Job) -> None:
        """After the end of a job's process: wait for the rest of its output, but not for long."""
        if job.end is None or job.number not in self.running:
            return
        if not job.paused and time.monotonic() >= job.deadline:
            for stream, kind in list(job.streams.items()):
                # Data in the pipe now was written before the end: it is always delivered.
                if size := size_waiting(stream):
                    with contextlib.suppress(OSError):
                        self.link.send(job.number, kind, os.read(stream, size))
                self.close_output(job, stream)
        if not job.streams:
            self.finish(job, job.end)

    def finish(self, job: Job, end: dict[str, t.Any]) -> None:
        self.close_input(job)
        for stream in list(job.streams):
            self.close_output(job, stream)
        self.running.pop(job.number, None)
        if job.syncs:
            os.sync()  # the caller may read its files on the machine
        self.link.send(job.number, frames.EXIT, json.dumps(end).encode())
