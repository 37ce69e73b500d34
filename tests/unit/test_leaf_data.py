"""What leaves are configured from and checked for, resolved from the two inventories that have them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from intent_samples import PROJECT

from ansible_collections.routed.hypervisor.plugins.module_utils import _check_kernel as kernel
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import Mistakes
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import check
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.fabric import resolve

ONE, PAIRS = (
    yaml.safe_load(Path(PROJECT, "inventories", name, "fabric.yml").read_text())
    for name in ("contiv_leaf", "contiv_leaf_ha")
)


def resolved(data: dict) -> dict:
    """The variables of all hosts."""
    mistakes = Mistakes()
    intent = check(copy.deepcopy(data), mistakes)
    assert not mistakes, mistakes.lines()
    return resolve(intent, owner="/somewhere").host_vars


@pytest.fixture(scope="module")
def one() -> dict:
    return resolved(ONE)


@pytest.fixture(scope="module")
def pairs() -> dict:
    return resolved(PAIRS)


def routes(host: dict, prefix: str) -> tuple[list[str], list[str]]:
    """(next hops, interfaces) that a host is checked for."""
    (found,) = [check for check in host["checks"] if check["kind"] == "route" and check["prefix"] == prefix]
    return found["nexthops"], found.get("interfaces", [])


def test_hosts_have_every_way_to_containers_elsewhere(one, pairs):
    assert routes(one["contiv1"], "192.168.1.2/32") == (["50.1.1.2"], [])
    assert routes(pairs["host1"], "192.168.1.2/32") == (["10.1.1.254", "10.1.2.254"], [])
    assert routes(pairs["host1"], "2001:db8:192:1::2/128") == (["2001:db8:1:1::fe", "2001:db8:1:2::fe"], [])


def test_leaves_have_every_way_to_containers_elsewhere(one, pairs):
    assert routes(one["switch1"], "192.168.1.3/32") == (["50.1.1.1"], [])
    assert routes(one["switch1"], "192.168.1.2/32") == (["80.1.1.2"], [])
    assert routes(pairs["leaf1"], "192.168.1.3/32") == (["10.1.1.1"], [])
    by_both_of_the_pair = ["10.80.1.3", "10.80.2.3", "10.80.1.4", "10.80.2.4"]
    assert routes(pairs["leaf1"], "192.168.1.2/32") == (by_both_of_the_pair, [])
    # Link-local neighbours, which nobody decides on: the interfaces are known.
    assert routes(pairs["leaf1"], "2001:db8:192:1::2/128") == ([], ["Ethernet1-49", "Ethernet1-50"])


def test_of_a_link_local_next_hop_the_interface_counts(monkeypatch):
    hop = {"gateway": "fe80::1", "dev": "north"}
    shown = [
        {"dst": "2001:db8::1", "nexthops": [hop, {**hop, "gateway": "fe80::2"}, {**hop, "dev": "south"}]},
        {"dst": "2001:db8::2", "gateway": "2001:db8:1::1", "dev": "north"},
    ]
    monkeypatch.setattr(kernel, "run_json", lambda argv: shown)
    table = kernel.routes("ipv6", 254)
    wanted = {"prefix": "2001:db8::1/128", "nexthops": [], "interfaces": ["north", "south"]}
    assert kernel.check_route(wanted, table) == (True, "north, south")
    assert not kernel.check_route({**wanted, "interfaces": ["north"]}, table)[0]
    assert not kernel.check_route({**wanted, "nexthops": ["fe80::1"]}, table)[0]
    assert kernel.check_route({"prefix": "2001:db8::2/128", "nexthops": ["2001:db8:1::1"]}, table)[0]


def test_another_way_is_found_before_a_session_between_loopbacks_gives_up(pairs):
    leaf = pairs["leaf1"]["leaf"]
    for neighbor in leaf["bgp"]["neighbors"]:
        timers = neighbor["timers"]
        # The last sign of life may have come as long ago as the next one is due.
        assert leaf["ospf"]["timers"]["dead_s"] < timers["hold_s"] - timers["keepalive_s"]
