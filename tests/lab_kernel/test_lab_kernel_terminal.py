"""A command in user-mode Linux has the terminal that its caller has."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from run_lab_kernel import DEADLINE, LAB_KERNEL, UML
from support.signals import answering


def in_terminal(*command: str, keys: list[tuple[str, bytes]], size: tuple[int, int] = (33, 111)) -> tuple[int, str]:
    """Run in a terminal, typing each text when its prompt has been seen; the exit code and all that was shown."""
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        os.execve(LAB_KERNEL, [str(LAB_KERNEL), *command], {**UML, "TERM": "xterm"})
    shown, end, waiting = "", time.monotonic() + DEADLINE, list(keys)
    seen = 0
    try:
        while True:
            assert time.monotonic() < end, f"nothing more is shown after: {shown}"
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    data = os.read(terminal, 4096)
                except OSError as error:
                    assert error.errno == errno.EIO
                    break
                if not data:
                    break
                shown += data.decode(errors="replace")
            if waiting and waiting[0][0] in shown[seen:]:
                seen = len(shown)
                text = waiting.pop(0)[1]
                if text.startswith(b"size "):
                    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *map(int, text.split()[1:]), 0, 0))
                else:
                    os.write(terminal, text)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(terminal)
    assert not waiting, f"never saw {waiting[0][0]!r} in: {shown}"
    return status, shown


def test_a_terminal_is_a_terminal_inside_with_the_same_size():
    script = "tty; stty size; echo $TERM; [ -t 0 -a -t 1 -a -t 2 ]; exit $((3 + $?))"
    code, shown = in_terminal("bash", "-c", script, keys=[])
    assert code == 3
    assert re.search(r"/dev/pts/\d+\r\n33 111\r\nxterm\r\n", shown)


def test_a_shell_has_line_editing_and_job_control():
    code, shown = in_terminal(
        "bash",
        "--norc",
        "-i",
        keys=[
            ("# ", b"echo wromg\x7f\x7fng | tr a-z A-Z\r"),
            ("WRONG", b"sh -c 'echo run''ning; exec sleep 1000'\r"),
            ("running", b"\x1a"),
            ("Stopped", b"disown -a; exit 6\r"),
        ],
    )
    assert code == 6, shown
    assert "job control" not in shown


def test_ctrl_c_typed_at_a_terminal_ends_the_command_in_front():
    code, shown = in_terminal(*answering("INT", "caught", 4), keys=[("started", b"\x03")])
    assert (code, "caught" in shown) == (4, True)


def test_a_resized_window_is_seen_inside():
    code, shown = in_terminal(
        "bash",
        "-c",
        "trap 'stty size; exit 0' WINCH; echo started; while :; do sleep 0.1; done",
        keys=[("started", b"size 50 70")],
    )
    assert (code, "50 70" in shown) == (0, True)
