"""The disk of a Debian 12 server: Debian's own packages with their services as Debian enables them, in one ext4."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from ansible_collections.routed.hypervisor.plugins.module_utils._lab.image import find_builder, find_keyring, locked

# The second part is what docs/real_hosts.md lists for a hypervisor.
PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "zstd", "systemd-sysv", "udev", "dbus", "openssh-server", "procps"),
    *("python3", "python3-pyroute2", "iproute2", "util-linux", "sudo", "bird2", "nftables"),
    *("ndppd", "radvd", "dnsmasq", "iputils-ping", "iputils-arping"),
    "network-manager",
)
# One replaces the other, so they are installed where they are tested.
DOWNLOADED = ("ifupdown", "ifupdown2")
SIZE_MB = 1500
USER = "admin"
# In the new system.
SETUP = f"""
echo hv1 >/etc/hostname
printf '127.0.0.1 localhost\\n127.0.1.1 hv1\\n' >/etc/hosts
echo '/dev/vda / ext4 errors=remount-ro 0 1' >/etc/fstab
# Not empty, which would be a first boot: that enables every service.
echo {uuid.uuid4().hex} >/etc/machine-id
useradd --create-home --shell /bin/bash {USER}
install -d -o {USER} -g {USER} -m 700 /home/{USER}/.ssh
install -o {USER} -g {USER} -m 600 /key.pub /home/{USER}/.ssh/authorized_keys
rm /key.pub
systemctl --quiet enable systemd-networkd guests reflectors
systemctl --quiet disable NetworkManager NetworkManager-wait-online
# They would download lists of packages, or look for LVM.
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service
# Everything else would be unpacked at each boot, which takes long in an emulator.
echo MODULES=list >/etc/initramfs-tools/conf.d/modules
printf 'virtio_pci\\nvirtio_blk\\next4\\n' >>/etc/initramfs-tools/modules
update-initramfs -u
cd /opt && apt-get -qq update && apt-get -qq download {" ".join(DOWNLOADED)}
apt-get clean && rm -rf /var/lib/apt/lists/*
"""
FILES = Path(__file__).parent / "root"


@dataclasses.dataclass(frozen=True)
class Disk:
    path: Path  # a directory

    @property
    def image(self) -> Path:
        return self.path / "disk.raw"

    @property
    def key(self) -> Path:
        return self.path / "key"


class NoDisk(Exception):
    pass


def fingerprint() -> str:
    content = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(FILES.rglob("*")):
        content.update(str(path.relative_to(FILES)).encode())
        content.update(path.read_bytes() if path.is_file() else b"")
    return content.hexdigest()[:12]


def build(cache: Path) -> Disk:
    """About two minutes; afterwards it is in the cache."""
    machines = cache / "machines"
    with locked(machines):
        disk = Disk(machines / fingerprint())
        if disk.path.exists():
            return disk
        for older in machines.iterdir():
            if older.is_dir():
                shutil.rmtree(older)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=machines) as work:
            made = Path(work) / "disk"
            made.mkdir()
            _make(cache, made, Path(work) / "tree")
            made.rename(disk.path)
    return disk


def _make(cache: Path, made: Path, tree: Path) -> None:
    keyring = find_keyring(cache, None)
    options = [*(f"--keyring={path}" for path in [keyring] if path), "--variant=minbase"]
    run(*find_builder(cache, None), *options, f"--include={','.join(PACKAGES)}", "bookworm", str(tree))
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(made / "key"))
    shutil.copytree(FILES, tree, dirs_exist_ok=True, symlinks=True)
    for path in FILES.rglob("*"):  # a checkout keeps only whether a file is executable
        if path.is_file():
            (tree / path.relative_to(FILES)).chmod(0o755 if os.access(path, os.X_OK) else 0o644)
            os.chown(tree / path.relative_to(FILES), 0, 0)
    (tree / "etc/sudoers.d" / USER).chmod(0o440)
    shutil.copy(made / "key.pub", tree / "key.pub")
    shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
    run("chroot", str(tree), "sh", "-ec", SETUP)
    (tree / "etc/resolv.conf").unlink()
    for name in ("vmlinuz", "initrd.img"):
        (found,) = (tree / "boot").glob(f"{name}-*")
        shutil.copy(found, made / name)
    image = made / "disk.raw"
    with image.open("wb") as file:
        file.truncate(SIZE_MB << 20)
    run("mkfs.ext4", "-q", "-d", str(tree), str(image))


def run(*command: str) -> None:
    path = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **path})
    if done.returncode:
        raise NoDisk(f"{command[0]}: {(done.stderr or done.stdout)[-2000:]}")
