"""Reading the programs by which Ansible runs Python modules."""

from __future__ import annotations

import base64
import io
import json
import re
import time
import zipfile

import pytest
from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar

from ansible_collections.routed.hypervisor.plugins.connection.node import shell_command
from ansible_collections.routed.hypervisor.plugins.plugin_utils.payload import name_of, read_payload

COMMAND = "/bin/sh -c '/usr/bin/python3 && sleep 0'"


@pytest.fixture(scope="module", autouse=True)
def loader():
    init_plugin_loader()


def program(name: str, arguments: dict | None = None, environment: dict | None = None, **variables) -> bytes:
    made = modify_module(
        module_name=name,
        module_path=module_loader.find_plugin(name),
        module_args={"_ansible_tracebacks_for": [], **(arguments or {})},
        templar=Templar(DataLoader()),
        task_vars={"ansible_python_interpreter": "/usr/bin/python3", **variables},
        module_compression="ZIP_DEFLATED",
        environment=environment,
    )
    return made.b_module_data


def packed(times: int, **files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2000 + times, 1, 1, 0, 0, 0)), content)
    return base64.b64encode(buffer.getvalue())


@pytest.mark.parametrize("name", ["ansible.builtin.ping", "ansible.builtin.setup", "ansible.builtin.async_status"])
def test_a_program_of_ansibles_is_read(name):
    text = program(name, {"data": "it's \"quoted\"\n,zip_data='x',\n    _ansiballz_main(\n"})
    payload = read_payload(COMMAND, text)
    assert payload.request["module"] == name.replace("builtin", "modules")
    assert payload.request["interpreter"] == "/usr/bin/python3" and payload.request["profile"] == "legacy"
    given = json.loads(payload.request["parameters"])["ANSIBLE_MODULE_ARGS"]
    assert given["data"] == "it's \"quoted\"\n,zip_data='x',\n    _ansiballz_main(\n"
    with zipfile.ZipFile(io.BytesIO(payload.data())) as archive:
        assert f"{payload.request['module'].replace('.', '/')}.py" in archive.namelist()


def test_the_name_is_that_of_the_contents():
    names = {name_of(packed(0, a="1", b="2")), name_of(packed(3, a="1", b="2"))}
    assert len(names) == 1
    names |= {name_of(packed(0, a="1", b="3")), name_of(packed(0, a="1")), name_of(packed(0, a="1", c="2"))}
    assert len(names) == 4
    # Whatever the length modulo 3, which is what base64 is about.
    assert len({name_of(packed(0, **{"n" * size: "x" * size})) for size in range(1, 40)}) == 39


@pytest.mark.parametrize(
    "command",
    [
        "/bin/sh -c 'COLOUR=blue /usr/bin/python3 && sleep 0'",
        "/bin/sh -c 'sudo -H -S -n -u nobody /bin/sh -c '\"'\"'echo BECOME; /usr/bin/python3'\"'\"' && sleep 0'",
        "/bin/sh -c 'cd /tmp && /usr/bin/python3 && sleep 0'",
        "/bin/sh -c '/usr/bin/env python3 && sleep 0'",
        "/usr/bin/python3",
    ],
)
def test_a_command_of_another_kind_is_run_as_it_is(command):
    assert read_payload(command, program("ansible.builtin.ping")) is None


def test_a_program_of_another_kind_is_run_as_it_is():
    text = program("ansible.builtin.ping")
    assert read_payload(COMMAND, b"print('hello')") is None
    assert read_payload(COMMAND, b"") is None
    assert read_payload(COMMAND, text.replace(b"zip_data=", b"zip_text=")) is None
    assert read_payload(COMMAND, text.replace(b"module_fqn=", b"module=")) is None
    assert read_payload(COMMAND, re.sub(rb"zip_data='[^']*'", b"zip_data='AAAA'", text)) is None
    assert read_payload(COMMAND, re.sub(rb"zip_data='[^']*'", b"zip_data=''", text)) is None


def test_a_limit_of_open_files_is_for_a_new_process():
    text = program("ansible.builtin.ping", ansible_python_module_rlimit_nofile=100)
    assert read_payload(COMMAND, text) is None


def test_reading_takes_no_longer_than_a_millisecond_or_so():
    text = program("ansible.builtin.setup")
    times = []
    for _ in range(5):
        start = time.process_time()
        read_payload(COMMAND, text)
        times.append(time.process_time() - start)
    assert min(times) < 0.004  # 0.9 ms here; decoding all of it and reading it with zipfile took 5


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/bin/sh -c 'echo a && sleep 0'", ["/bin/sh", "-c", "echo a"]),
        ("/bin/sh -c true", ["/bin/sh", "-c", "true"]),
        ("/bin/sh -c 'echo '\"'\"'a b'\"'\"' && sleep 0'", ["/bin/sh", "-c", "echo 'a b'"]),
        ("/bin/sh -c 'echo \\ && sleep 0'", ["/bin/sh", "-c", "echo \\ && sleep 0"]),
        ("/bin/sh -c 'a' b", "/bin/sh -c 'a' b"),
        ("/bin/sh -c 'a", "/bin/sh -c 'a"),
        ("/bin/sh -c $HOME", "/bin/sh -c $HOME"),
        ("/bin/bash -c 'a && sleep 0'", "/bin/bash -c 'a && sleep 0'"),
        ("a; b", "a; b"),
    ],
)
def test_a_shells_command_is_run_without_another_shell(command, words):
    assert shell_command(command) == words
