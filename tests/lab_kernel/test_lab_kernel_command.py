"""A command in user-mode Linux behaves as it would outside. Every test boots its own."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess

from run_lab_kernel import DEADLINE, LAB_KERNEL, UML, lab_kernel, running


def test_output_error_output_and_exit_code_are_the_commands_own():
    result = lab_kernel("bash", "-c", "echo to stdout; printf 'no newline'; echo to stderr >&2; exit 42")
    assert result.returncode == 42
    assert result.stdout == b"to stdout\nno newline"
    said, rest = result.stderr.split(b"\n", 1)
    assert re.fullmatch(rb"lab-kernel: ROUTED_HYPERVISOR_KERNEL=uml: running in user-mode Linux \d+[.]\d+[.]\d+", said)
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
    assert lab_kernel("bash", "-c", script).stdout.startswith(b"host: this kernel (")
