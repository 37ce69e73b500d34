"""A Prometheus beside BIRD on hv1 reads the metrics of hv2, which runs GoBGP, and of itself."""

from __future__ import annotations

import pytest
import yaml
from conftest import NOT_VERIFIED
from support import prometheus
from support.intent_samples import run_gobgp_on_hv2
from support.waiting import until, until_equal

pytestmark = pytest.mark.long
SERVER, HV2 = "172.22.15.101", "172.22.15.102"
SOON_S = 120


def intent(text):
    given = yaml.safe_load(text)
    given["lab"] = {"packages": ["prometheus"]}
    run_gobgp_on_hv2(given)
    given["metrics"] = {"servers": [SERVER], "vrf": "private"}
    return yaml.safe_dump(given, sort_keys=False)


@pytest.fixture(scope="module")
def lab(bring_up):
    return bring_up("l3_hypervisor", *NOT_VERIFIED, name="metrics_gobgp", edit=intent)


def test_queries_about_gobgp_have_data(lab):
    prometheus.start(lab, "hv1", [("hv2", "node", f"{HV2}:9100")])
    asked = [query for query in prometheus.queries() if "routed_hypervisor_gobgp_" in query]
    assert asked
    until_equal(lambda: [query for query in asked if not prometheus.answer(lab, "hv1", query)], [], SOON_S, 2)
    print(f"{len(asked)} queries have data")
    until(lambda: away(lab) == {"0"}, SOON_S, "GoBGP has its sessions", 2)


def away(lab) -> set[str]:
    found = prometheus.answer(lab, "hv1", "routed_hypervisor_gobgp_neighbors_away").splitlines()
    return {line.split("=> ")[1].split()[0] for line in found}


def test_a_session_that_is_down_is_an_alert(lab):
    lab.run("rr1", "birdc", "disable", "all")
    until(
        lambda: "hv2" in prometheus.answer(lab, "hv1", 'ALERTS{alertname="HypervisorGobgpNeighborsAway"}'),
        SOON_S,
        "it",
        2,
    )
    lab.run("rr1", "birdc", "enable", "all")
    until(lambda: away(lab) == {"0"}, SOON_S, "GoBGP has its sessions again", 2)
