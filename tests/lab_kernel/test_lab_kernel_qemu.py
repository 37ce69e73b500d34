"""Debian's kernel in QEMU as the lab kernel: what must hold with KVM holds without it, only slower."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
from pathlib import Path

import pytest
from run_lab_kernel import LAB_KERNEL, UML, lab_kernel
from support.modules import PROJECT

CACHE = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache" / "routed-hypervisor"))
QEMU = {"ROUTED_HYPERVISOR_KERNEL": "qemu", "ROUTED_HYPERVISOR_KERNEL_MEMORY": "768"}


@pytest.fixture(name="qemu_boot")
def qemu_boot_with_a_cache_of_its_own(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(PROJECT / "bin" / "lib")
    module = importlib.import_module("qemu_boot")
    monkeypatch.setattr(module, "KVM", "/dev/null")
    (tmp_path / "tools" / "qemu").mkdir(parents=True)
    (tmp_path / "tools" / "qemu" / "lab.cpio").write_text("")
    return module


def test_qemu_that_is_not_prepared_is_refused(tmp_path):
    result = lab_kernel("true", environment={**QEMU, "ROUTED_HYPERVISOR_CACHE": str(tmp_path)})
    assert result.returncode == 125
    assert result.stderr.decode() == f"lab-kernel: QEMU is not in {tmp_path}/tools: run bin/setup --qemu.\n"


@pytest.mark.parametrize("works", [True, False])
def test_kvm_is_tried_once_for_each_boot_of_the_machine(qemu_boot, monkeypatch, tmp_path, works):
    tried = []
    monkeypatch.setattr(qemu_boot, "probe", lambda tools: tried.append(tools) or works)
    tools = str(tmp_path / "tools")
    assert [qemu_boot.kvm_works(tools) for _ in range(3)] == [works] * 3
    assert tried == [tools]
    kept = tmp_path / "tools" / "qemu" / "kvm"
    kept.write_text(f"another-boot {kept.read_text(encoding='ascii').split()[1]}", encoding="ascii")
    assert qemu_boot.kvm_works(tools) == works
    assert tried == [tools, tools]


def test_the_answer_about_kvm_is_kept_in_the_cache_alone(qemu_boot, monkeypatch, tmp_path):
    monkeypatch.setattr(qemu_boot, "probe", lambda tools: True)
    before = set(os.listdir("/run"))
    assert qemu_boot.kvm_works(str(tmp_path / "tools"))
    assert set(os.listdir("/run")) == before
    assert sorted(os.listdir(tmp_path / "tools" / "qemu")) == ["kvm", "lab.cpio"]


def test_without_the_device_nothing_is_tried(qemu_boot, monkeypatch, tmp_path):
    monkeypatch.setattr(qemu_boot, "KVM", "/nonexistent")
    monkeypatch.setattr(qemu_boot, "probe", lambda tools: pytest.fail("tried"))
    assert not qemu_boot.kvm_works(str(tmp_path / "tools"))


def test_a_kernel_that_hangs_with_kvm_is_given_up(qemu_boot, monkeypatch, tmp_path):
    monkeypatch.setattr(qemu_boot, "PROBE_S", 1)
    monkeypatch.setattr(qemu_boot, "machine", lambda accelerator: [])
    monkeypatch.setattr(qemu_boot, "SHELTER", ["sh", "-c", "exec sleep 1000", "sh"])
    assert not qemu_boot.probe(str(tmp_path / "tools"))


@pytest.mark.skipif(not (CACHE / "tools/qemu/lab.cpio").exists(), reason="no QEMU in the cache: bin/setup --qemu")
def test_a_command_runs_in_it_as_it_would_outside(tmp_path):
    script = f"""
    set -e
    uname -r; echo $ROUTED_HYPERVISOR_KERNEL_KIND; hostname; pwd
    ip link add red type vrf table 10; ip link add port type dummy; ip link add inner link port type ipvlan mode l2
    ip link add link port name port.20 type vlan id 20
    mount -t tmpfs tmpfs /mnt; mkdir /mnt/upper /mnt/work /mnt/merged
    mount -t overlay -o lowerdir=/usr,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/merged
    ls -d /mnt/merged/bin
    sha256sum; {LAB_KERNEL} --probe; echo text > file
    exit 42
    """
    data = bytes(range(256)) * 4096
    result = subprocess.run(
        [LAB_KERNEL, "bash", "-c", script],
        input=data,
        env={**UML, **QEMU},
        cwd=tmp_path,
        capture_output=True,
        timeout=600,
        check=False,
    )
    release, kind, name, directory, merged, checksum, probe = result.stdout.decode().splitlines()
    assert result.returncode == 42, result.stderr
    assert release.endswith("-cloud-amd64")
    assert (kind, name, directory, merged) == ("qemu", "lab-kernel", str(tmp_path), "/mnt/merged/bin")
    assert checksum.split()[0] == hashlib.sha256(data).hexdigest()
    assert probe == f"qemu: already in QEMU {release}: running directly"
    assert (tmp_path / "file").read_text(encoding="ascii") == "text\n"
