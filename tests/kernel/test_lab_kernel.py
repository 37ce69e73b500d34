"""bin/lab-kernel: a command in user-mode Linux behaves as it would outside. Every test boots its own (about 3 s)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LAB_KERNEL = REPOSITORY / "bin" / "lab-kernel"
UML = {**os.environ, "ROUTED_HYPERVISOR_KERNEL": "uml", "ROUTED_HYPERVISOR_KERNEL_MEMORY": "512"}
UML.pop("ROUTED_HYPERVISOR_KERNEL_KIND", None)
DEADLINE = 30

pytestmark = pytest.mark.skipif(
    "User Mode Linux" in Path("/proc/cpuinfo").read_text(encoding="ascii"), reason="already inside the lab kernel"
)


def lab_kernel(*command: str, environment: dict[str, str] | None = None, **options) -> subprocess.CompletedProcess:
    options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
    if options["stdin"] is None:
        del options["stdin"]
    return subprocess.run(
        [LAB_KERNEL, *command],
        env={**UML, **(environment or {})},
        capture_output=True,
        timeout=DEADLINE,
        check=False,
        **options,
    )


@contextlib.contextmanager
def running(*command: str, **options):
    """A lab kernel whose command has said `started`; killed at the end, whatever happened."""
    process = subprocess.Popen(
        [LAB_KERNEL, *command],
        env=UML,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )
    try:
        assert process.stdout and process.stdout.readline() == b"started\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def processes_of(session: int) -> list[str]:
    """Command lines of the user-mode Linux processes that descend from a process group or were left by it."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            marks = (directory / "environ").read_bytes().split(b"\0")
            if f"LAB_KERNEL_TEST={session}".encode() in marks or f"mem={session}M" in command:
                found.append(command)
    return found


def wait_until(condition, what: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not after {seconds} s"
        time.sleep(0.05)


def test_output_error_output_and_exit_code_are_the_commands_own():
    result = lab_kernel("bash", "-c", "echo to stdout; printf 'no newline'; echo to stderr >&2; exit 42")
    assert result.returncode == 42
    assert result.stdout == b"to stdout\nno newline"
    said, rest = result.stderr.split(b"\n", 1)
    assert said.startswith(b"lab-kernel: ROUTED_HYPERVISOR_KERNEL=uml: running in user-mode Linux 6.")
    assert rest == b"to stderr\n"


def test_arguments_arrive_as_they_are():
    arguments = ["a b", "", "*", "$HOME", "it's", 'a "quoted" word', "line\nbreak", "ümlaut"]
    assert lab_kernel("printf", "%s|", *arguments).stdout.decode() == "".join(f"{text}|" for text in arguments)


def test_binary_input_and_output_pass_unchanged():
    data = bytes(range(256)) * 4096
    result = lab_kernel("bash", "-c", "tee >(sha256sum >&2)", input=data)
    assert result.stdout == data
    assert hashlib.sha256(data).hexdigest().encode() in result.stderr


def test_input_that_nobody_reads_does_no_harm():
    assert lab_kernel("true", input=b"x" * 300_000).returncode == 0


def test_a_reader_that_goes_away_ends_the_command():
    with running("bash", "-c", "echo started; while echo more; do :; done 2>/dev/null; exit 9") as process:
        process.stdout.close()
        assert process.wait(DEADLINE) in (9, 128 + signal.SIGPIPE)


def test_joined_output_keeps_its_order():
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo $i >&2; done"
    result = subprocess.run(
        [LAB_KERNEL, "bash", "-c", script],
        env=UML,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    )
    assert result.stdout.decode().split()[-18:] == [str(i) for i in range(1, 10) for _ in "oe"]


def test_directory_and_environment_are_the_callers(tmp_path):
    directory = tmp_path / "with space"
    directory.mkdir()
    result = lab_kernel(
        "bash",
        "-c",
        'pwd; printf "%s\n" "$VALUE" "${SSH_AUTH_SOCK-none}" "$ROUTED_HYPERVISOR_KERNEL_KIND"; hostname',
        cwd=directory,
        environment={"VALUE": "two\nlines", "SSH_AUTH_SOCK": "/nowhere"},
    )
    assert result.stdout.decode().splitlines() == [str(directory), "two", "lines", "none", "uml", "lab-kernel"]


def test_the_callers_path_is_kept():
    result = lab_kernel("/bin/sh", "-c", "echo $PATH", environment={"PATH": "/usr/bin:/bin"})
    assert result.stdout == b"/usr/bin:/bin\n"


def test_files_written_inside_are_there_afterwards(tmp_path):
    lab_kernel("bash", "-c", "echo text > file; mkdir folder; chmod 640 file", cwd=tmp_path)
    assert (tmp_path / "file").read_text() == "text\n"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").is_dir()


def test_vrf_ipvlan_vlan_and_overlay_really_work():
    script = """
    set -e
    ip link add red type vrf table 10; ip link set red up
    ip link add port type dummy; ip link set port master red up; ip address add 192.0.2.1/24 dev port
    ip route get 192.0.2.1 vrf red
    ip link add inner link port type ipvlan mode l2
    ip link add link port name port.20 type vlan id 20
    mount -t tmpfs tmpfs /mnt; mkdir /mnt/{lower,upper,work,merged}; echo below >/mnt/lower/file
    mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/merged
    cat /mnt/merged/file
    ip link show up dev lo | grep -q LOWER_UP
    unshare --net --mount --pid --fork true
    echo works > /dev/shm/x; cat /dev/shm/x </dev/fd/0; mount | grep -c /dev/pts
    """
    result = lab_kernel("bash", "-c", script)
    assert result.returncode == 0, result.stderr.decode()
    assert b"local 192.0.2.1 dev red table 10" in result.stdout
    assert result.stdout.endswith(b"below\nworks\n1\n")


def test_a_missing_command_and_one_that_is_not_executable_are_told_apart(tmp_path):
    text = tmp_path / "text"
    text.write_text("no program")
    missing, refused = lab_kernel("no-such-command"), lab_kernel(str(text))
    assert missing.returncode == 127 and b"no-such-command: No such file or directory" in missing.stderr
    assert refused.returncode == 126 and b"text: Permission denied" in refused.stderr


def test_a_command_that_dies_by_a_signal_gives_128_and_its_number():
    assert lab_kernel("bash", "-c", "kill -KILL $$").returncode == 137


def test_background_processes_end_with_the_command():
    result = lab_kernel("bash", "-c", "sleep 1000 & echo done")
    assert (result.returncode, result.stdout) == (0, b"done\n")


def test_it_runs_directly_within_the_lab_kernel():
    script = f"{LAB_KERNEL} --probe; {LAB_KERNEL} bash -c 'uname -r; echo $ROUTED_HYPERVISOR_KERNEL_KIND'; uname -r"
    probe, release, kind, outer = lab_kernel("bash", "-c", script).stdout.decode().splitlines()
    assert probe.startswith("uml: already in user-mode Linux")
    assert (release, kind) == (outer, "uml")


def test_the_lab_kernel_itself_passes_the_probe():
    script = f"env -u ROUTED_HYPERVISOR_KERNEL -u ROUTED_HYPERVISOR_KERNEL_KIND {LAB_KERNEL} --probe"
    assert lab_kernel("bash", "-c", script).stdout.startswith(b"host: this kernel (6.")


@pytest.mark.parametrize("trapped", ["INT", "TERM", "HUP"])
def test_a_signal_reaches_the_command(trapped):
    script = f"trap 'echo got {trapped}; exit 5' {trapped}; echo started; while :; do sleep 0.1; done"
    with running("bash", "-c", script) as process:
        process.send_signal(getattr(signal, f"SIG{trapped}"))
        output, _ = process.communicate(timeout=DEADLINE)
        assert (process.returncode, output) == (5, f"got {trapped}\n".encode())


def test_ctrl_c_reaches_the_whole_group_and_gives_130():
    with running("bash", "-c", "echo started; sleep 1000") as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130


def test_the_third_ctrl_c_ends_a_command_that_ignores_it():
    with running("bash", "-c", "trap '' INT; echo started; while :; do sleep 1; done") as process:
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert process.wait(DEADLINE) == 130


def test_a_signal_during_the_boot_ends_it_at_once():
    process = subprocess.Popen([LAB_KERNEL, "sleep", "1000"], env=UML, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stderr and process.stderr.readline().startswith(b"lab-kernel: ")
    time.sleep(0.4)
    process.terminate()
    process.communicate(timeout=5)
    assert process.returncode in (143, -signal.SIGTERM)


def test_killing_the_wrapper_leaves_no_process_and_no_file():
    memory = 517  # tells this run's processes from those of others
    places = [Path("/dev/shm"), Path.home(), Path("/tmp")]
    uml = {**UML, "ROUTED_HYPERVISOR_KERNEL_MEMORY": str(memory)}
    before = {place: set(place.iterdir()) for place in places}
    process = subprocess.Popen(
        [LAB_KERNEL, "bash", "-c", "echo started; sleep 1000"],
        env=uml,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout and process.stdout.readline() == b"started\n"
    assert processes_of(memory)
    process.kill()
    process.communicate()
    wait_until(lambda: not processes_of(memory), "no process of user-mode Linux is left")
    left = {str(path) for place in places for path in set(place.iterdir()) - before[place]}
    assert not {path for path in left if re.search(r"uml|vm_file|lab-kernel|linux", path)}


def test_two_at_the_same_time_do_not_meet():
    with running("bash", "-c", "ip link add only-here type dummy; echo started; sleep 1000"):
        assert lab_kernel("ip", "link", "show", "only-here").returncode != 0


def test_a_kernel_panic_is_a_failure_with_a_sentence():
    result = lab_kernel("bash", "-c", "echo c >/proc/sysrq-trigger; sleep 1000")
    assert result.returncode == 125
    assert b"lab-kernel: user-mode Linux ended before the command did: Kernel panic" in result.stderr


def test_too_little_memory_is_a_failure_with_a_sentence():
    script = "python3 -c 'x = [b\"x\" * (1 << 20 | i) for i in range(1024)]'; exit 0"
    result = lab_kernel("bash", "-c", script, environment={"ROUTED_HYPERVISOR_KERNEL_MEMORY": "256"})
    assert result.returncode == 125
    assert b"ran out of memory (256 MB) and killed python3: set ROUTED_HYPERVISOR_KERNEL_MEMORY" in result.stderr


def in_terminal(*command: str, keys: list[tuple[str, bytes]], size: tuple[int, int] = (33, 111)) -> tuple[int, str]:
    """Run in a terminal, typing each text when its prompt has been seen; the exit code and all that was shown."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(LAB_KERNEL, [str(LAB_KERNEL), *command], {**UML, "TERM": "xterm"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
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
    assert re.search(r"/dev/tty\d+\r\n33 111\r\nxterm\r\n", shown)


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
    code, shown = in_terminal(
        "bash",
        "-c",
        "trap 'echo caught; exit 4' INT; echo started; while :; do sleep 0.1; done",
        keys=[("started", b"\x03")],
    )
    assert (code, "caught" in shown) == (4, True)


def test_a_resized_window_is_seen_inside():
    code, shown = in_terminal(
        "bash",
        "-c",
        "trap 'stty size; exit 0' WINCH; echo started; while :; do sleep 0.1; done",
        keys=[("started", b"size 50 70")],
    )
    assert (code, "50 70" in shown) == (0, True)


# What needs no boot


def test_probe_says_what_it_would_take_and_why():
    free = {name: value for name, value in UML.items() if name != "ROUTED_HYPERVISOR_KERNEL"}
    result = subprocess.run([LAB_KERNEL, "--probe"], env=free, capture_output=True, text=True, check=True)
    assert re.fullmatch(
        r"(host: this kernel \(\S+\) has all|uml: this kernel \(\S+\) lacks [\w., ]+: running in).*\n", result.stdout
    )
    assert result.stderr == ""


def test_a_forced_choice_of_the_machines_kernel_is_obeyed_and_said():
    result = lab_kernel(
        "bash",
        "-c",
        "uname -r; echo $ROUTED_HYPERVISOR_KERNEL_KIND; exit 8",
        environment={"ROUTED_HYPERVISOR_KERNEL": "host"},
    )
    assert (result.returncode, result.stdout.decode()) == (8, f"{os.uname().release}\nhost\n")
    assert b"lab-kernel: ROUTED_HYPERVISOR_KERNEL=host" in result.stderr


@pytest.mark.parametrize(
    ("environment", "arguments", "sentence"),
    [
        ({"ROUTED_HYPERVISOR_KERNEL": "windows"}, ["true"], "is 'windows': it must be host or uml"),
        ({"ROUTED_HYPERVISOR_KERNEL_MEMORY": "lots"}, ["true"], "is 'lots': it must be a number of megabytes"),
        ({"ROUTED_HYPERVISOR_CACHE": "/nonexistent"}, ["true"], "not in /nonexistent/tools: run 'make setup'"),
        ({}, [], "no command given"),
        ({}, ["--porbe"], "unknown option --porbe"),
    ],
)
def test_what_cannot_work_is_refused_with_125_and_one_sentence(environment, arguments, sentence):
    result = lab_kernel(*arguments, environment=environment)
    assert result.returncode == 125
    assert sentence in result.stderr.decode().splitlines()[-1]


def test_without_root_it_says_so():
    result = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", LAB_KERNEL, "true"],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        check=False,
        cwd="/",
    )
    assert result.returncode == 125
    assert result.stderr == b"lab-kernel: must be root, to make network namespaces: try again with sudo.\n"


def test_help_says_how():
    result = lab_kernel("--help")
    assert result.returncode == 0
    assert result.stdout.startswith(b"Usage: bin/lab-kernel COMMAND")
