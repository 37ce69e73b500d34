"""The order of entries in a configuration has no effect: not on whether a run succeeds, nor on the next one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import read
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.fabric import resolve
from ansible_collections.routed.hypervisor.plugins.plugin_utils.resolve.index import index

INVENTORIES = Path(__file__).resolve().parents[2] / "inventories"
PER_NAMESPACE = ("namespaces", "ipvlan_links")  # not here: their namespaces would outlive the test


def network_of(inventory, host):
    intent = read(str(INVENTORIES / inventory / "fabric.yml"))
    network = resolve(intent, index(intent), "tests").host_vars[host]["network"]
    return {kind: entries for kind, entries in network.items() if kind not in PER_NAMESPACE}


def shuffled(value, randomly):
    """VALUE with every list in it in another order."""
    if isinstance(value, dict):
        return {key: shuffled(inner, randomly) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    return randomly.sample([shuffled(inner, randomly) for inner in value], len(value))


@pytest.mark.parametrize(
    ("inventory", "host", "seed"),
    [("l3_hypervisor", "hv1", 1), ("l3_hypervisor", "hv1", 2), ("contiv_leaf", "switch1", 1)],
)
def test_a_network_in_any_order(namespace, inventory, host, seed):
    randomly = random.Random(seed)
    wanted = network_of(inventory, host)
    for interface in wanted["interfaces"]:
        if not interface.get("type"):
            namespace.cable(interface["name"])
    config = shuffled(wanted, randomly)
    predicted = namespace.changed("network", config=config, state="overridden", _check=True)
    assert namespace.changed("network", config=config, state="overridden") == predicted != []
    for again in (wanted, shuffled(wanted, randomly)):
        assert namespace.changed("network", config=again, state="overridden") == []
