"""A machine with Debian's kernel, which has all of nftables: QEMU without KVM, disk and network, gone afterwards."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache" / "routed-hypervisor"))
QEMU = CACHE / "tools" / "qemu"  # made by bin/lib/prepare-qemu --firewall
MEMORY_MB = 768
# /dev/kvm may be there and hang a guest at boot: emulation works everywhere, and takes 6 s to boot.
OPTIONS = ["-M", "pc,accel=tcg", "-cpu", "max", "-smp", "1", "-nodefaults", "-no-user-config", "-no-reboot"]
OPTIONS += ["-display", "none", "-kernel", "/boot/vmlinuz", "-append", "console=ttyS0 quiet panic=-1"]
# The kernel's console is the first serial port, what the command says the second.
OPTIONS += ["-initrd", "/mnt/initrd", "-serial", "file:/mnt/console", "-serial", "stdio"]


@dataclass
class Ended:
    code: int
    output: str
    console: str


def is_prepared() -> bool:
    return (QEMU / "guest.cpio").is_file()


def run(work: Path, seconds: float) -> Ended:
    """Runs the program `run` of the directory WORK, which is /work in the machine, for at most so many seconds.

    All that QEMU needs is below a directory of its own, which is its root; what it writes is in memory, and goes with
    the mount namespace. It ends with us, however we end.
    """
    shelter = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--"]
    script = """
        mount -t tmpfs tmpfs "$0/mnt"
        mkdir "$0/mnt/root"
        cp -r "$1" "$0/mnt/root/work"
        cp "$0/guest.cpio" "$0/mnt/initrd"
        (cd "$0/mnt/root" && find . | "$0/bin/busybox" cpio -o -H newc 2>/dev/null >>"$0/mnt/initrd")
        seconds=$2
        shift 2
        timeout "$seconds" chroot "$0" qemu-system-x86_64 "$@" </dev/null || echo "QEMU ended with $?"
        echo "--- console"
        tail -n 60 "$0/mnt/console"
    """
    done = subprocess.run(
        [*shelter, "sh", "-e", "-c", script, str(QEMU), str(work), str(seconds), *OPTIONS, "-m", str(MEMORY_MB)],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 60,
    )
    output, _line, console = done.stdout.partition("--- console\n")
    found = re.search(r"^machine ended with (\d+)\s*$", output, re.MULTILINE)
    return Ended(int(found.group(1)) if found else 125, output.replace("\r", ""), console + done.stderr)
