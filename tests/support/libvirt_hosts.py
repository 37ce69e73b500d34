"""libvirtd in the nodes of a lab, with real guests in QEMU without KVM."""

from __future__ import annotations

import io
import itertools
import re

import pytest

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client

from .following import MACS
from .virtual_machines import TOOLS, initial_files
from .waiting import until

PACKAGES = ["libvirt-clients", "libvirt-daemon", "libvirt-daemon-driver-qemu", "qemu-system-x86"]
DIRECTORY = "/var/lib/guests"
EVENTS = f"{DIRECTORY}/events"
# Without libvirt-daemon-system, which brings polkit and iptables with it. A node has no AppArmor.
DAEMON = """listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "{uuid}"
"""
QEMU = """user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
stdio_handler = "file"
namespaces = []
cgroup_controllers = []
"""
DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>00000000-0000-4000-8000-{number:012d}</uuid>
  <memory unit='MiB'>96</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
    <kernel>{directory}/vmlinuz</kernel>
    <initrd>{directory}/{files}.cpio</initrd>
    <cmdline>console=ttyS0 quiet nokaslr panic=-1 no_timer_check mitigations=off random.trust_cpu=on</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    {interface}
    <serial type='file'><source path='{directory}/{name}.console'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def interface(mac: str, target: str = "") -> str:
    """As docs/guests.md has it: a tap of libvirt's, or with a target one that somebody else has made."""
    kept = f"<target dev='{target}' managed='no'/>" if target else ""
    return f"<interface type='ethernet'><mac address='{mac}'/>{kept}<model type='virtio'/></interface>"


def store(lab, node: str, path: str, content: bytes) -> None:
    head = {"kind": "exec", "lab": lab.name, "node": node, "directory": "/", "command": ["sh", "-c", f"cat >{path}"]}
    code, _output, errors = lab_client.run(lab.name, head, source=io.BytesIO(content))
    assert code == 0, errors


class LibvirtHost:
    def __init__(self, lab, name: str, address: str, number: int):
        self.lab, self.name, self.address, self.number = lab, name, address, number

    def run(self, *command: str, seconds: int = 120) -> str:
        return self.lab.run(self.name, *command, seconds=seconds)

    def virsh(self, *command: str, seconds: int = 120) -> str:
        return self.run("virsh", *command, seconds=seconds)

    def start(self) -> None:
        if not (TOOLS / "lab.cpio").exists():
            pytest.skip("QEMU is not prepared: bin/setup --qemu")
        if self.lab.tried(self.name, "test", "-e", "/dev/net/tun")[0]:
            pytest.skip("this kernel has no taps in nodes")
        self.run("mkdir", "-p", DIRECTORY)
        store(self.lab, self.name, f"{DIRECTORY}/vmlinuz", (TOOLS / "boot/vmlinuz").read_bytes())
        for guest in MACS:
            store(self.lab, self.name, f"{DIRECTORY}/{guest}.cpio", initial_files(guest))
        uuid = f"00000000-0000-4000-9000-{self.number:012d}"
        store(self.lab, self.name, "/etc/libvirt/libvirtd.conf", DAEMON.format(uuid=uuid).encode())
        store(self.lab, self.name, "/etc/libvirt/qemu.conf", QEMU.encode())
        # What libvirt-daemon-system would have done.
        self.run("useradd", "--system", "--user-group", "libvirt-qemu")
        self.run("systemd-run", "--unit=libvirtd", "--property=KillMode=process", "/usr/sbin/libvirtd", "--listen")
        until(lambda: self.lab.tried(self.name, "virsh", "version")[0] == 0, 120, "libvirtd answers", 0.5)
        command = f"exec virsh qemu-monitor-event --loop >{EVENTS}"
        self.run("systemd-run", "--unit=events", "sh", "-c", command)

    def define(self, name: str, files: str, number: int, interface: str) -> None:
        text = DOMAIN.format(name=name, files=files, number=number, interface=interface, directory=DIRECTORY)
        store(self.lab, self.name, f"{DIRECTORY}/{name}.xml", text.encode())
        self.virsh("define", f"{DIRECTORY}/{name}.xml")

    def migrate(self, name: str, to: LibvirtHost) -> None:
        uris = f"qemu+tcp://{to.address}/system", f"tcp://{to.address}"
        self.virsh("migrate", "--live", name, *uris, seconds=300)

    def last(self, event: str, name: str) -> float:
        """When QEMU reported an event of a domain last, by QEMU's own clock."""
        found = re.findall(rf"^event {event} at (\S+) for domain '{name}'", self.run("cat", EVENTS), re.MULTILINE)
        return float(found[-1])


class Pings:
    """From a node every 20 ms, from now on until `end`."""

    def __init__(self, lab, node: str, address: str):
        self.lab, self.node = lab, node
        script = f"echo $$ >/root/pings.pid; exec ping -D -i 0.02 {address} >/root/pings"
        self.process = lab.spawn(node, "sh", "-c", script)

    def end(self) -> None:
        self.lab.run(self.node, "sh", "-c", "kill -INT $(cat /root/pings.pid)")
        self.process.communicate(timeout=30)
        output = self.lab.run(self.node, "cat", "/root/pings")
        found = re.findall(r"^\[(\d+\.\d+)\] \d+ bytes from .* icmp_seq=(\d+) ", output, re.MULTILINE)
        self.times = [float(at) for at, _ in found]
        self.numbers = {int(number) for _, number in found}

    def gap(self) -> float:
        """The longest time between two replies, in seconds."""
        return max(later - earlier for earlier, later in itertools.pairwise(sorted(self.times)))

    def lost(self) -> int:
        return max(self.numbers) - min(self.numbers) + 1 - len(self.numbers)
