"""Starts commands for the guest program, on the machine and in nodes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import termios
import typing as t

import frames
from command_environment import KIND, NODE_ENVIRONMENT
from jobs import Job, Jobs
from namespaces import (
    close_descriptors,
    enter_all_but_processes,
    find_node,
    fork_into,
    parent_death_signal,
)
from terminals import resize


class Commands:
    def __init__(self, jobs: Jobs, kind: str, power_off: bool) -> None:
        self.jobs, self.kind, self.power_off = jobs, kind, power_off
        self.own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def run(self, job: Job, head: dict[str, t.Any], offset: int, size: int) -> None:
        command = head["command"]
        if not command or not isinstance(command, (str, list)):
            raise ValueError("the command is neither a text nor a list")
        node = find_node(head["lab"], head["node"]) if head.get("node") else None
        job.syncs = self.power_off and not node
        environment = head.get("environment", {})
        head["environment"] = {**NODE_ENVIRONMENT, **environment} if node else {**environment, KIND: self.kind}
        reports, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        standard = None if head.get("terminal") else self.pipes(job, head, offset, size)
        child = fork_into(node.descriptor if node else -1, self.own_processes)
        if child == 0:
            try:
                if not self.power_off:
                    parent_death_signal(signal.SIGKILL)
                become_command(head, node.descriptor if node else -1, standard, report)
            finally:
                os._exit(126)
        report.close()
        for end in set(standard or ()):
            os.close(end)
        if node:
            os.close(node.descriptor)
        job.process = job.group = child
        self.jobs.children[child] = job
        if standard is None:
            with contextlib.suppress(OSError):
                _data, descriptors, _flags, _address = socket.recv_fds(reports, 16, 1)
                if descriptors:
                    self.take_terminal(job, descriptors[0], head["terminal"])
        reports.close()

    def pipes(self, job: Job, head: dict[str, t.Any], offset: int, size: int) -> tuple[int, int, int]:
        """Input, output and error descriptors of a command without a terminal."""
        if head.get("stream"):
            source, job.input = os.pipe()
            os.set_blocking(job.input, False)
        elif size:
            source = os.open(job.request, os.O_RDONLY)
            os.lseek(source, offset, os.SEEK_SET)
        else:
            source = os.open("/dev/null", os.O_RDONLY)
        output = self.jobs.pipe_for(job, frames.OUTPUT)
        errors = output if head.get("join") else self.jobs.pipe_for(job, frames.ERRORS)
        return source, output, errors

    def take_terminal(self, job: Job, terminal: int, size: list[int]) -> None:
        os.set_blocking(terminal, False)
        job.terminal = job.input = terminal
        resize(terminal, *size)
        self.jobs.read_from(job, terminal, frames.OUTPUT)


def become_command(
    head: dict[str, t.Any], node: int, standard: tuple[int, int, int] | None, report: socket.socket
) -> t.NoReturn:
    """In the child: enter the node, and become the command."""
    command = head["command"]
    shell = isinstance(command, str)
    program = "/bin/sh" if shell else command[0]
    directory = head.get("directory") or "/root"
    at_fault = program
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        os.umask(0o022)
        if node >= 0:
            enter_all_but_processes(node)
        if standard is None:
            ours, terminal = os.openpty()
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 1)
            settings = termios.tcgetattr(terminal)
            settings[0] |= getattr(termios, "IUTF8", 0o40000)
            termios.tcsetattr(terminal, termios.TCSANOW, settings)
            socket.send_fds(report, [b"terminal"], [ours])
            standard = (terminal, terminal, terminal)
        for number, end in enumerate(os.dup(each) for each in standard):
            os.dup2(end, number)
        close_descriptors(3)
        # Python ignores these two; a command expects the defaults.
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        at_fault = directory
        os.chdir(directory)
        at_fault = program
        os.execvpe(program, ["/bin/sh", "-c", command] if shell else command, head["environment"])
    except (OSError, TypeError, ValueError) as error:
        with contextlib.suppress(OSError):
            os.write(2, f"lab-kernel: {at_fault}: {getattr(error, 'strerror', error)}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    finally:
        os._exit(126)
