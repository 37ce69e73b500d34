"""The routing manager's settings, from the variable that the inventory plugin resolves."""

from __future__ import annotations

from support.routing_lab import settings

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.model import prefix
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.settings import Settings


def test_what_is_announced():
    read = Settings(settings("/run/main.sock"))
    assert (read.stale_s, read.metric, read.watched()) == (120, 4096, ([254], ["host-app"]))
    rule = read.instances[0].announce[0]
    assert rule.covers(prefix("10.10.1.7/32")) and rule.covers(prefix("10.10.1.0/24"))
    assert not rule.covers(prefix("10.10.0.0/16")) and not rule.covers(prefix("10.10.2.0/24"))


def test_null_is_the_default():
    assert Settings({"stale_s": None, "metric": None}).metric == 4096


def test_zero_is_not_the_default():
    assert Settings({"stale_s": 0}).stale_s == 0
