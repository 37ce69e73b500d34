"""Two hypervisors on two fabrics, of which hv1 boots systemd; a host with GoBGP and a leaf with FRR, which do, too."""

from __future__ import annotations

import pytest
import yaml

DROP_IN = "/etc/systemd/system/routed-hypervisor.service.d/wait.conf"
SHORT_WAIT = """[Service]
ExecStart=
ExecStart=/usr/local/sbin/routed-hypervisor apply --boot --wait 2
"""


def smaller(text):
    intent = yaml.safe_load(text)
    intent["lab"] = {"nodes": {"hv1": {"init": "systemd"}}}
    del intent["hypervisors"]["hv3"], intent["borders"]
    return yaml.safe_dump(intent, sort_keys=False)


@pytest.fixture(scope="session")
def lab(bring_up):
    lab = bring_up("l3_hypervisor", name="reboots", edit=smaller)
    lab.run("hv1", "mkdir", "-p", DROP_IN.rpartition("/")[0])
    lab.run("hv1", "sh", "-ec", 'printf %s "$1" >"$2"', "write", SHORT_WAIT, DROP_IN)
    lab.run("hv1", "systemctl", "daemon-reload")
    return lab


@pytest.fixture(scope="session")
def leaf_lab(bring_up):
    nodes = "{nodes: {contiv1: {init: systemd}, switch1: {init: systemd}}}"
    return bring_up(
        "contiv_leaf",
        name="rebooted_leaf",
        edit=lambda text: text.replace("lab: {}\n", f"lab: {nodes}\n"),
    )
