"""Starts Debian's cloud kernel in QEMU on the machine's own file system, in namespaces that end with the caller.

    qemu_boot.py TOOLS    exit code 0 if QEMU is prepared and this machine's KVM works, 1 without KVM, 2 without QEMU

QEMU and virtiofsd, which serves the machine's files to the kernel, run with TOOLS/qemu as their root, because they come
with libraries of their own. Their shared files are in a tmpfs of a private mount namespace:
  root        the machine's file system
  requests    see guest.py
  session     the input of guest.py
  variables   for the first process, as shell assignments
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
KVM = "/dev/kvm"
# A guest boots in 1 s, or hangs if KVM does not work.
PROBE_S = 10
SHELTER = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
SHELTER += ["--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
# The shell remains, to wait for its child processes.
BOOT_SCRIPT = """
set -e
mount -t tmpfs -o mode=700 lab-kernel "$qemu/mnt"
mkdir "$qemu/mnt/root" "$qemu/mnt/requests"
mount --rbind / "$qemu/mnt/root"
mount -t proc proc "$qemu/proc"
mount --rbind /dev "$qemu/dev"
printf %s "$variables" >"$qemu/mnt/variables"
cat >"$qemu/mnt/session"
chroot "$qemu" /usr/lib/qemu/virtiofsd --socket-path=/mnt/files -o source=/mnt -o sandbox=chroot -o cache=auto \
  -o announce_submounts -f </dev/null &
while [ ! -S "$qemu/mnt/files" ]; do kill -0 $!; sleep 0.05; done
chroot "$qemu" qemu-system-x86_64 "$@" </dev/null
exit
"""
APPEND = "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off random.trust_cpu=on"


class NoQemuError(Exception):
    """There is no QEMU; the message is a sentence with the reason."""


def is_prepared(tools: str) -> bool:
    return os.path.isfile(f"{tools}/qemu/lab.cpio")


def machine(accelerator: str) -> list[str]:
    # Only hardware that Debian's kernel has drivers for. Its console is QEMU's standard output.
    return [
        *("-M", "pc", "-accel", accelerator, "-cpu", "host" if accelerator == "kvm" else "max", "-smp", "1"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-kernel", "/boot/vmlinuz", "-initrd", "/lab.cpio"),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
    ]


def kvm_works(tools: str) -> bool:
    """Whether a kernel boots with KVM: even if the device exists, the kernel may hang.

    The result is cached beside QEMU, for this QEMU and until the next boot of the machine.
    """
    if not os.access(KVM, os.R_OK | os.W_OK) or not is_prepared(tools):
        return False
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    kept = f"{tools}/qemu/kvm"
    with contextlib.suppress(OSError), open(kept, encoding="ascii") as file:
        kept_boot, _space, answer = file.read().partition(" ")
        if kept_boot == boot and answer in ("works", "hangs"):
            return answer == "works"
    works = probe(tools)
    with contextlib.suppress(OSError):
        draft = f"{kept}.{os.getpid()}"
        with open(draft, "w", encoding="ascii") as file:
            file.write(f"{boot} {'works' if works else 'hangs'}")
        os.rename(draft, kept)
    return works


def probe(tools: str) -> bool:
    script = 'mount --rbind /dev "$0/dev"; exec chroot "$0" qemu-system-x86_64 "$@"'
    options = [*machine("kvm"), "-m", "256", "-append", f"{APPEND} lab_probe"]
    process = subprocess.Popen(
        [*SHELTER, "/bin/sh", "-ec", script, f"{tools}/qemu", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _errors = process.communicate(timeout=PROBE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    return b"lab kernel is up" in output


def boot(tools: str, memory: int, link: int, messages: int) -> subprocess.Popen[bytes]:
    """`link` is a socket to the guest program. The process reads that program's session from its standard input."""
    if not is_prepared(tools):
        raise NoQemuError(f"QEMU is not in {tools}: run bin/setup --qemu")
    variables = {
        "init": f"{HERE}/uml_init",
        "python": os.path.realpath(sys.executable),
        "guest": f"{HERE}/guest.py",
        "modules": f"{tools}/qemu",
    }
    options = [
        *machine("kvm" if kvm_works(tools) else "tcg"),
        *("-append", APPEND),
        # virtiofsd reads and writes the kernel's memory.
        *("-m", str(memory), "-object", f"memory-backend-memfd,id=memory,size={memory}M,share=on"),
        *("-machine", "memory-backend=memory"),
        *("-chardev", "socket,id=files,path=/mnt/files", "-device", "vhost-user-fs-pci,chardev=files,tag=lab"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=link,fd={link}"),
        *("-device", "virtserialport,chardev=link,name=lab"),
    ]
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    return subprocess.Popen(
        [*SHELTER, "/bin/sh", "-c", BOOT_SCRIPT, "lab-kernel", *options],
        stdin=subprocess.PIPE,
        stdout=messages,
        stderr=messages,
        cwd="/",
        pass_fds=[link],
        start_new_session=True,
        env={"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "qemu": f"{tools}/qemu", "variables": text},
    )


if __name__ == "__main__":
    if not is_prepared(sys.argv[1]):
        sys.exit(2)
    sys.exit(0 if kvm_works(sys.argv[1]) else 1)
