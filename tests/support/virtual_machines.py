"""Virtual machines in QEMU without KVM, which migrate between hypervisors in namespaces: what libvirt would do."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import socket
import threading
import time
from pathlib import Path

import pytest

from .following import ADDRESSES, GATEWAYS, MACS, FollowingHost
from .waiting import until

TOOLS = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache" / "routed-hypervisor")) / "tools/qemu"
MODULES = ("drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_modern_dev")
MODULES += ("drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci", "net/core/failover")
MODULES += ("drivers/net/net_failover", "drivers/net/virtio_net")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
ip link set lo up
ip link set eth0 up
ip address add {ipv4}/24 dev eth0
ip route add default via {gateway}
nc -ll -p 5000 -e cat &
until netstat -ltn | grep -q :5000; do sleep 1; done
echo ready
while :; do sleep 3600; done
"""
BOOT_S = 120
# QEMU runs with its own root directory, because it comes with libraries of its own.
SCRIPT = """mount --rbind /dev {tools}/dev
mount --bind {scratch} {tools}/mnt
cd {tools}/mnt
exec chroot {tools} qemu-system-x86_64 "$@"
"""


def initial_files(name: str) -> bytes:
    """A file system in cpio's format newc, with busybox and the drivers of a virtio network card."""
    kernel = next((TOOLS / "lib/modules").iterdir()) / "kernel"
    init = INIT.format(ipv4=ADDRESSES[name][0], gateway=GATEWAYS[0])
    order = "".join(f"{Path(module).name}.ko\n" for module in MODULES)
    entries = [(directory, 0o40755, b"") for directory in ("bin", "dev", "modules", "proc")]
    entries += [("init", 0o100755, init.encode()), ("modules/order", 0o100644, order.encode())]
    entries.append(("bin/busybox", 0o100755, (TOOLS / "bin/busybox").read_bytes()))
    entries += [(f"modules/{Path(one).name}.ko", 0o100644, (kernel / f"{one}.ko").read_bytes()) for one in MODULES]
    made = b""
    for number, (path, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path) + 1, 0)
        made += b"070701" + "".join(f"{field:08X}" for field in fields).encode() + path.encode() + b"\0"
        made += bytes(-len(made) % 4) + content + bytes(-len(content) % 4)
    return made


class VirtualMachine:
    """One QEMU process: where a guest runs, or where it is migrated to."""

    def __init__(self, host: FollowingHost, scratch: Path, name: str, tag: str, incoming: bool = False):
        if not (TOOLS / "lab.cpio").exists():
            pytest.skip("QEMU is not prepared: bin/setup --qemu")
        self.scratch, self.tag, self.name = scratch, tag, name
        initrd = scratch / f"{name}.cpio"
        if not initrd.exists():
            initrd.write_bytes(initial_files(name))
        options = ["-M", "pc-i440fx-7.2", "-cpu", "qemu64", "-accel", "tcg,thread=single", "-m", "96", "-nodefaults"]
        options += ["-display", "none", "-kernel", "/boot/vmlinuz", "-initrd", f"/mnt/{name}.cpio", "-append"]
        options.append("console=ttyS0 quiet nokaslr panic=-1 no_timer_check mitigations=off random.trust_cpu=on")
        options += ["-netdev", f"tap,id=net,ifname=tap-{name},script=no,downscript=no"]
        options += ["-device", f"virtio-net-pci,netdev=net,mac={MACS[name]},romfile="]
        options += ["-serial", f"file:/mnt/{tag}.console", "-qmp", f"unix:/mnt/{tag}.qmp,server=on,wait=off"]
        if incoming:
            options += ["-S", "-incoming", f"unix:/mnt/{tag}.migration"]
        where = {"tools": shlex.quote(str(TOOLS)), "scratch": shlex.quote(str(scratch))}
        self.errors = (scratch / f"{tag}.errors").open("w")
        self.process = host.space.start(
            "unshare", "--mount", "--", "sh", "-ec", SCRIPT.format(**where), "sh", *options, stderr=self.errors
        )
        self.events: dict[str, float] = {}
        self.answers: list[dict] = []
        self.changed = threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX)
        until(self._connects, 30, f"QEMU answers: {self.said()}")
        threading.Thread(target=self._read, daemon=True).start()
        self.command("qmp_capabilities")
        self.command("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])

    def said(self) -> str:
        return (self.scratch / f"{self.tag}.errors").read_text()

    def _connects(self) -> bool:
        assert self.process.poll() is None, self.said()
        try:
            self.socket.connect(str(self.scratch / f"{self.tag}.qmp"))
        except OSError:
            return False
        return True

    def _read(self) -> None:
        for line in self.socket.makefile("r"):
            message = json.loads(line)
            with self.changed:
                if "event" in message:
                    stamp = message["timestamp"]
                    status = message.get("data", {}).get("status", "")
                    self.events[f"{message['event']} {status}".strip()] = stamp["seconds"] + stamp["microseconds"] / 1e6
                elif "QMP" not in message:
                    self.answers.append(message)
                self.changed.notify_all()

    def command(self, name: str, **arguments) -> object:
        self.socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        with self.changed:
            assert self.changed.wait_for(lambda: self.answers, 30), name
            answer = self.answers.pop(0)
        assert "error" not in answer, answer
        return answer["return"]

    def waits_for(self, event: str, seconds: float) -> float:
        with self.changed:
            assert self.changed.wait_for(lambda: event in self.events, seconds), (event, self.events)
            return self.events[event]

    def console(self) -> str:
        path = self.scratch / f"{self.tag}.console"
        return path.read_text(errors="replace") if path.exists() else ""

    def is_ready(self) -> bool:
        return "ready" in self.console()

    def has_crashed(self) -> bool:
        return any(words in self.console() for words in ("is not a head", "soft lockup", "Oops", "Kernel panic"))

    def migrates_to(self, other: VirtualMachine) -> float:
        """Returns QEMU's own gap: from the stop here to the start there, as libvirt does it."""
        other.events.pop("RESUME", None)
        self.events.pop("STOP", None)
        self.command("migrate", uri=f"unix:/mnt/{other.tag}.migration")
        self.waits_for("MIGRATION completed", BOOT_S)
        other.waits_for("MIGRATION completed", 30)
        other.command("cont")
        return other.waits_for("RESUME", 30) - self.waits_for("STOP", 1)

    def remove(self) -> None:
        self.process.kill()
        self.process.wait()
        self.socket.close()
        self.errors.close()


class Transfer:
    """One TCP connection through which bytes go there and back all the time."""

    def __init__(self, space, address: str, vrf: str | None = None):
        with space.inside():
            self.socket = socket.socket()
            if vrf:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, vrf.encode())
            self.socket.settimeout(60)
            self.socket.connect((address, 5000))
        self.times: list[float] = []
        self.failure = ""
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            while not self.ended.is_set():
                self.socket.sendall(b"x" * 512)
                received = 0
                while received < 512:
                    received += len(self.socket.recv(512 - received)) or 1024
                assert received == 512
                self.times.append(time.monotonic())
                time.sleep(0.01)
        except (OSError, AssertionError) as error:
            self.failure = repr(error)

    def end(self) -> float:
        """The longest time without progress."""
        self.ended.set()
        self.thread.join()
        self.socket.close()
        return max((later - earlier for earlier, later in itertools.pairwise(self.times)), default=0.0)
