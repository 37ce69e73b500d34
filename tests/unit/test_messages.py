"""pyroute2's message classes, without the rest of pyroute2."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.routed.hypervisor.plugins.module_utils._engine.snapshot import spelled

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"
IMPORT = "from ansible_collections.routed.hypervisor.plugins.module_utils._netlink import messages"


def python(*lines: str) -> str:
    """In a process of its own: this one has imported pyroute2."""
    program = "\n".join(["import sys", f"sys.path.append({str(COLLECTIONS)!r})", *lines])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_only_what_is_needed_is_imported():
    loaded = "print(*(name for name in ('asyncio', 'multiprocessing', 'ssl', 'pyroute2') if name in sys.modules))"
    assert python(IMPORT, "assert messages.message_classes()", loaded) == ""
    assert "asyncio" in python("import pyroute2", loaded)  # else this test would prove nothing


def test_who_imports_pyroute2_before_or_after_has_all_of_it():
    for lines in ([IMPORT, "import pyroute2"], ["import pyroute2", IMPORT]):
        used = "print(pyroute2.IPRoute.__name__, pyroute2.netlink.rtnl.rtmsg.rtmsg.__name__)"
        assert python(*lines, used) == "IPRoute rtmsg"


def test_a_version_whose_messages_need_the_rest_is_imported_whole(tmp_path):
    messages = tmp_path / "pyroute2" / "netlink" / "rtnl"
    messages.mkdir(parents=True)
    (tmp_path / "pyroute2" / "__init__.py").write_text("config = 1\n")
    for name in ("fibmsg", "ifaddrmsg", "ndmsg", "rtmsg"):
        (messages / f"{name}.py").write_text("from pyroute2 import config\n")
    assert python(f"sys.path.insert(0, {str(tmp_path)!r})", IMPORT, "print(messages.rtmsg.config)") == "1"


def test_without_pyroute2_the_error_is_kept():
    gone = "sys.modules['pyroute2'] = None"
    assert "ModuleNotFoundError" in python(gone, IMPORT, "print(messages.PYROUTE2_ERROR)")


@given(st.lists(st.sampled_from([0, 0, 1, 255]), min_size=16, max_size=16).map(bytes))
def test_an_address_of_the_kernel_is_spelled_as_a_wanted_one(packed):
    for family, part in ((socket.AF_INET6, packed), (socket.AF_INET, packed[:4])):
        assert spelled(socket.inet_ntop(family, part)) == str(ipaddress.ip_address(part))


@pytest.mark.parametrize("text", ["::", "::1", "::192.0.2.1", "::ffff:192.0.2.1", "64:ff9b::192.0.2.1"])
def test_addresses_that_end_in_an_ipv4_one_too(text):
    packed = socket.inet_pton(socket.AF_INET6, text)
    assert spelled(socket.inet_ntop(socket.AF_INET6, packed)) == str(ipaddress.ip_address(text))
