"""The examples in the documentation of modules for daemons and labs: each does something, and once."""

from __future__ import annotations

import pytest
from support.lab_nodes import made
from support.module_examples import tasks

VARIABLES = {"bgp_passwords": {"public": "a secret"}}


@pytest.fixture
def host(node):
    node.run("ip", "link", "add", "vm1", "type", "veth", "peer", "name", "far-vm1")
    return node


def once(run, task):
    sentence, module, given = task
    first, again = run(module, **given), run(module, **given)
    assert not first.get("failed"), f"{sentence}: {first['msg']}"
    assert first["changed"], sentence
    assert not again.get("failed") and not again["changed"], f"{sentence}, again: {again}"


@pytest.mark.parametrize("module", ["daemon", "ndppd"])
def test_an_example_of_a_daemon_does_something_once(host, module):
    for task in tasks(module, **VARIABLES):
        once(host.module, task)


def test_examples_that_ask_are_answered(host):
    [(_sentence, _module, bgp)] = tasks("bgp_info")
    asked = host.module("bgp_info", **bgp)
    assert (asked["sessions"], asked["routes"], asked["changed"]) == ([], [], False)
    host.run("ip", "link", "set", "lo", "up")
    [(_sentence, _module, arguments)] = tasks("verify")
    [result] = host.module("verify", **arguments)["results"]
    assert result["state"] == "passed", result


def test_the_examples_of_a_lab_make_it_and_take_it_down(run_module, systemd_image):
    with made(run_module, systemd_image) as lab:
        replaced = {"example": lab.name, "/var/cache/images/bookworm": lab.image}
        up, more, (_sentence, _module, reboot), down = tasks("lab_nodes", instead=replaced, inventory_dir=lab.owner)
        once(run_module, up)
        [plug] = tasks("lab_cables", instead=replaced)
        once(run_module, plug)
        assert lab.links("vm1")["eth0"]["mtu"] == 9000
        once(run_module, more)
        [change] = run_module("lab_nodes", **reboot)["changes"]
        assert (change["op"], change["name"]) == ("reboot", "hv2")
        assert lab.run("hv2", "systemctl", "is-system-running").strip() == "running"
        once(run_module, down)
        assert lab.processes() == {}
