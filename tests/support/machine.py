"""A virtual machine in QEMU with a disk of its own, reached by ssh on the loopback interface.

Its disk is a qcow2 overlay with the cache mode writeback, and is written without being flushed only by the guest. What
the guest has not flushed is lost when QEMU is killed: its own page cache, because that is the machine's memory, and
whatever needed new clusters of the overlay, because QEMU writes their addresses to the file when the guest flushes. So
SIGKILL is what a power cut is to a disk with a volatile cache.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import typing as t
from pathlib import Path

from .waiting import until

# With TCG on a busy machine. Without progress, something hangs.
BOOT_S, COMMAND_S = 600, 300
MEMORY_MB = 768
# QEMU has libraries of its own and finds its files in /mnt.
START = """
mount --bind "$files" "$root/mnt"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"
"""
APPEND = "root=/dev/vda rw console=ttyS0 quiet panic=-1 no_timer_check mitigations=off random.trust_cpu=on"


def network(port: int) -> list[str]:
    """The management interface; eno1 and eno2, which udev names like on-board cards; and their other ends."""
    options = ["-netdev", f"user,id=management,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"]
    options += ["-device", "virtio-net-pci,netdev=management,mac=52:54:00:00:00:01"]
    for number in (1, 2):
        ends = (f"eno{number}", f"eno1{number}")
        for end, (name, peer) in enumerate((ends, ends[::-1])):
            # Not ports of a hub, which send nothing any more after a machine is loaded.
            link = f"local.type=unix,local.path=/mnt/{name},remote.type=unix,remote.path=/mnt/{peer}"
            options += ["-netdev", f"dgram,id={name},{link}"]
            card = f"virtio-net-pci,netdev={name},mac=52:54:00:00:0{end + 1}:0{number},acpi-index={name[3:]}"
            options += ["-device", card]
    return options


class Machine:
    """`files` has the disk and its key; `directory` is for this machine's own."""

    def __init__(self, tools: Path, files: Path, directory: Path):
        self.root = tools / "qemu"
        self.files = files
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        for name in ("vmlinuz", "initrd.img", "disk.raw"):
            shutil.copy(files / name, directory / name)

    # Disks

    def create_disk(self) -> None:
        run = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "disk.raw", "/mnt/disk.qcow2"]
        subprocess.run(self._inside(run), check=True, capture_output=True, env=self._variables())

    def keep_disk(self, name: str) -> None:
        shutil.copyfile(self.directory / "disk.qcow2", self.directory / name)

    def restore_disk(self, name: str) -> None:
        shutil.copyfile(self.directory / name, self.directory / "disk.qcow2")

    # Power

    def start(self, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [
            *("qemu-system-x86_64", "-M", "pc", "-accel", "tcg", "-cpu", "qemu64", "-smp", "1", "-m", str(MEMORY_MB)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-kernel", "/mnt/vmlinuz"),
            *("-initrd", "/mnt/initrd.img", "-append", APPEND, "-device", "virtio-rng-pci"),
            *("-drive", "file=/mnt/disk.qcow2,if=virtio,cache=writeback,discard=unmap"),
            *("-chardev", "file,id=console,path=/mnt/console,append=on", "-serial", "chardev:console"),
            *("-qmp", "unix:/mnt/qmp,server=on,wait=off"),
            *network(self.port),
            *options,
        ]
        with (self.directory / "qemu.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._inside(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._variables(),
                start_new_session=True,
            )

    def cut_power(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def boot(self) -> None:
        """Returns when systemd has started everything."""
        self.start()
        self.wait_for_boot()

    def wait_for_boot(self) -> None:
        until(self.answers, BOOT_S, f"ssh answers; see {self.directory}/console", 0.5)
        self.run("systemctl is-system-running --wait || true", seconds=BOOT_S)

    def reboot(self) -> None:
        before = self.boot_id()
        self.run("sudo systemctl reboot || true")

        def again() -> bool:
            return self.answers() and self.boot_id() not in ("", before)

        until(again, BOOT_S, "the machine has rebooted", 0.5)
        self.wait_for_boot()

    def boot_id(self) -> str:
        return self.ssh("cat /proc/sys/kernel/random/boot_id")[1].strip()

    def save(self, name: str) -> None:
        """Keeps the running machine, memory and disk; `load` continues it as often as wanted."""
        with self.monitor() as ask:
            assert ask("human-monitor-command", {"command-line": f"savevm {name}"}) == ""
            ask("quit")
        assert self.process
        self.process.wait(60)
        self.process = None
        self.keep_disk(f"{name}.qcow2")

    def load(self, name: str) -> None:
        self.cut_power()
        self.restore_disk(f"{name}.qcow2")
        self.start("-loadvm", name)
        until(self.answers, COMMAND_S, "ssh answers", 0.5)
        self.run(f"sudo date --set=@{subprocess.check_output(['date', '+%s'], text=True).strip()}")

    @contextlib.contextmanager
    def monitor(self) -> t.Iterator[t.Callable[..., t.Any]]:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(COMMAND_S)
            link.connect(str(self.directory / "qmp"))
            with link.makefile("rw", encoding="utf-8") as stream:

                def ask(command: str, arguments: dict[str, t.Any] | None = None) -> t.Any:
                    stream.write(json.dumps({"execute": command, "arguments": arguments or {}}) + "\n")
                    stream.flush()
                    while "return" not in (answer := json.loads(stream.readline())):
                        assert "error" not in answer, answer
                    return answer["return"]

                stream.readline()
                ask("qmp_capabilities")
                yield ask

    # Commands

    def ssh_options(self) -> list[str]:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=20"]
        # A login takes seconds.
        options += ["ControlMaster=auto", "ControlPersist=120", f"ControlPath={self.directory}/%p"]
        return ["-i", str(self.files / "key"), *(word for option in options for word in ("-o", option))]

    def ssh(self, command: str, text: str = "", seconds: float = COMMAND_S) -> tuple[int, str, str]:
        assert self.process is None or self.process.poll() is None, (self.directory / "qemu.log").read_text()[-2000:]
        done = subprocess.run(
            ["ssh", *self.ssh_options(), "-p", str(self.port), "admin@127.0.0.1", command],
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def answers(self) -> bool:
        return self.ssh("true")[0] == 0

    def run(self, command: str, text: str = "", seconds: float = COMMAND_S) -> str:
        """Runs a command of the shell and returns its output."""
        code, output, errors = self.ssh(command, text, seconds)
        assert code == 0, f"{command}: {code}: {output}{errors}"
        return output

    def _inside(self, command: list[str]) -> list[str]:
        head = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
        return [*head, "/bin/sh", "-ec", START, "qemu", *command]

    def _variables(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "files": str(self.directory), "root": str(self.root)}
