"""Which kernel is taken, and what is refused: all that needs no boot."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from run_lab_kernel import LAB_KERNEL, UML, lab_kernel


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
        ({"ROUTED_HYPERVISOR_KERNEL": "windows"}, ["true"], "is 'windows': it must be host, qemu or uml"),
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
