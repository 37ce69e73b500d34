"""When pyroute2 is imported, and what happens without it."""

from __future__ import annotations

import ipaddress
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import address_text, packed

COLLECTIONS = Path(__file__).resolve().parents[2] / "collections"
MODULE_UTILS = "ansible_collections.routed.hypervisor.plugins.module_utils"


def python(*lines: str) -> str:
    """In a process of its own: this one has imported pyroute2."""
    program = "\n".join(["import sys", f"sys.path.append({str(COLLECTIONS)!r})", *lines])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_modules_start_without_pyroute2_and_import_it_for_rules():
    uses = [f"from {MODULE_UTILS}._network import module", f"from {MODULE_UTILS}._netlink import codec, kernel"]
    shown = "print('pyroute2' in sys.modules)"
    assert python(*uses, shown, "kernel.Kernel().dump(codec.ROUTE)", shown).split() == ["False", "False"]
    assert python(*uses, "kernel.Kernel().dump(codec.RULE)", shown) == "True"


def test_without_pyroute2_rules_are_refused_with_the_traceback():
    refused = [
        "sys.modules['pyroute2'] = None",
        f"from {MODULE_UTILS}._netlink import codec, kernel",
        "try: kernel.Kernel().dump(codec.RULE)",
        "except kernel.NoPyroute2 as error: print(error)",
    ]
    assert "ModuleNotFoundError" in python(*refused)


@given(st.lists(st.sampled_from([0, 0, 1, 255]), min_size=16, max_size=16).map(bytes))
def test_addresses_are_spelled_as_by_python(raw):
    for part in (raw, raw[:4]):
        assert address_text(part) == str(ipaddress.ip_address(part))


@pytest.mark.parametrize("text", ["::", "::1", "::192.0.2.1", "::ffff:192.0.2.1", "64:ff9b::192.0.2.1"])
def test_addresses_that_end_in_an_ipv4_address_too(text):
    assert packed(text) == socket.inet_pton(socket.AF_INET6, text)
    assert address_text(packed(text)) == str(ipaddress.ip_address(text))
