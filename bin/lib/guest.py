"""Runs jobs in a kernel for the supervisor outside: commands and Ansible modules, on the machine and in lab nodes.

Process 1 of a lab kernel, or a child of the supervisor on the machine's own kernel. File descriptor 3, or the one given
as argument, is the session, a JSON object:
  link       {"path": of the device} or {"fds": [input, output]}: the line for frames
  shared     the directory to which the supervisor writes requests and payloads
  mount      the type of file system that provides this directory here, or null if it is already visible
  power_off  whether the kernel ends with this program
  kind       of kernel, which commands receive in ROUTED_HYPERVISOR_KERNEL_KIND

An OPEN frame has the name of a file in shared/requests: a line of JSON, then the job's input. It is removed as soon as
it is open. The line has
  kind        exec or module
  lab, node   which node; none for the machine itself
and for exec:
  command     a list, or a string for /bin/sh
  directory, environment
  terminal    [rows, columns], or null
  join        whether errors go where output goes
  stream      whether input follows in frames
and for module:
  interpreter, module, parameters, profile, and payload: the name of a zip file in shared/payloads
  directory, environment
  persistent  whether it may run in the node's worker itself, instead of a fork of it
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import sys
import traceback
import typing as t

import frames
from commands import Commands
from interpreters import Interpreters
from jobs import Job, Jobs
from link import Link
from namespaces import NoSuchNode, mount, parent_death_signal, raise_descriptor_limit


class Guest:
    def __init__(self, session: dict[str, t.Any]) -> None:
        self.shared = session["shared"]
        self.selector = selectors.DefaultSelector()
        self.link = Link(session["link"], self.selector, self.on_frame)
        self.jobs = Jobs(self.selector, self.link)
        self.commands = Commands(self.jobs, session["kind"], session["power_off"])
        self.interpreters = Interpreters(self.selector, self.jobs, self.shared, session["kind"])
        self.child_ended, wakeup = os.pipe()
        for end in (self.child_ended, wakeup):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        self.selector.register(self.child_ended, selectors.EVENT_READ, self.reap)

    def on_frame(self, frame: frames.Frame) -> None:
        if frame.kind == frames.OPEN:
            self.open(Job(frame.job, f"{self.shared}/requests/{frame.data.decode()}"))
        elif frame.kind == frames.CANCEL and not frame.job:
            sys.exit()
        elif frame.kind == frames.INPUT_FILE:
            self.jobs.on_frame(frames.Frame(frame.job, frames.INPUT, self.take_file(frame.data.decode())))
        else:
            self.jobs.on_frame(frame)

    def take_file(self, name: str) -> bytes:
        path = f"{self.shared}/requests/{name}"
        with open(path, "rb") as file:
            data = file.read()
        os.unlink(path)
        return data

    def open(self, job: Job) -> None:
        self.jobs.running[job.number] = job
        try:
            self.start(job)
        except NoSuchNode as error:
            self.jobs.finish(job, {"error": str(error)})
        except OSError as error:
            self.jobs.finish(job, {"error": f"the job could not be started: {error}"})
        except (KeyError, TypeError, ValueError) as error:
            self.jobs.finish(job, {"error": f"the request is invalid: {error!r}"})
        finally:
            with contextlib.suppress(OSError):
                os.unlink(job.request)

    def start(self, job: Job) -> None:
        with open(job.request, "rb") as file:
            head = json.loads(file.readline())
            offset = file.tell()
            size = os.fstat(file.fileno()).st_size - offset
        if head["kind"] == "module":
            self.interpreters.run(job, head)
        else:
            self.commands.run(job, head, offset, size)

    def reap(self, _events: int = 0) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.child_ended, 512):
                pass
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            self.jobs.process_ended(process, status)

    def run(self) -> None:
        self.link.send(0, frames.READY, json.dumps({"release": os.uname().release}).encode())
        while True:
            if self.link.to_send:
                self.link.flush()
            self.jobs.wait()


def power_off() -> None:
    with open("/proc/sysrq-trigger", "w", encoding="ascii") as trigger:
        trigger.write("o")
    while True:
        signal.pause()


def main() -> None:
    with os.fdopen(int(sys.argv[1]) if sys.argv[1:] else 3, encoding="utf-8") as session_file:
        session = json.load(session_file)
    if session["mount"]:
        os.makedirs(session["shared"], exist_ok=True)
        mount(*session["mount"])
    for name in ("requests", "payloads"):
        os.makedirs(f"{session['shared']}/{name}", exist_ok=True)
    if not session["power_off"]:
        parent_death_signal(signal.SIGKILL)
    raise_descriptor_limit()
    # A forked child must end by signals before it execs its command.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    guest = Guest(session)
    try:
        guest.run()
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        raise
    finally:
        if session["power_off"]:
            os.sync()
            power_off()


if __name__ == "__main__":
    main()
