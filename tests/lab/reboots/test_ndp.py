"""The agent takes over from ndppd, and ndppd from the agent, while a guest looks for its neighbors."""

from __future__ import annotations

import pytest
from support.host_state import changes, mispredicted
from support.waiting import until, until_equal
from test_reboots import wait_for_stored

VM3_6 = "2001:db8:cb00:7100:0:cbff:fe00:7103"  # on hv2
STAGES = ("--limit", "hv1", "--tags", "network,services,agent")
# A neighbor that is not known is looked for anew. It is solicited once, and answered at any time before the next.
RETRANSMIT = "net.ipv6.neigh.eth0.retrans_time_ms"
LOOKING = f"while sleep 0.1; do ip -6 neighbor flush dev eth0; ping -6 -c 1 -W 4.5 {VM3_6} || echo lost; done"
CHOSEN = "ndp: ndppd"


def chosen(lab, text):
    """A run with another choice, as predicted; the next one changes nothing."""
    lab.intent.write_text(text)
    predicted = lab.play("--check", *STAGES)
    assert predicted.code == 0, predicted.output
    run = lab.play(*STAGES)
    assert run.code == 0, run.output
    assert mispredicted(predicted, run) == {}
    again = lab.play(*STAGES)
    assert again.changed == set(), changes(again)
    return changes(run)["hv1"]


def entries(lab):
    return lab.run("hv1", "ip", "-6", "neighbor", "show", "proxy").count("\n")


@pytest.mark.long
def test_one_takes_over_from_the_other_and_no_neighbor_is_missed(lab):
    text = lab.intent.read_text()
    assert CHOSEN not in text
    lab.run("vm1", "sysctl", "-w", f"{RETRANSMIT}=5000")
    looking = lab.spawn("vm1", "sh", "-c", LOOKING)
    try:
        done = chosen(lab, text.replace("\n  hv1:\n", f"\n  hv1:\n    {CHOSEN}\n"))
        assert {"files: create /etc/ndppd.conf", "services: start ndppd", "services: enable ndppd"} <= set(done)
        until(lambda: entries(lab) == 0, 20, "the agent answers no longer")
        done = chosen(lab, text)
        assert {"files: delete /etc/ndppd.conf", "services: stop ndppd", "services: disable ndppd"} <= set(done)
        until_equal(lambda: entries(lab), 4, 20)
        wait_for_stored(lab)
    finally:
        lab.intent.write_text(text)
        lab.run("vm1", "pkill", "-f", "[n]eighbor flush")  # and not the command that runs pkill
        lab.run("vm1", "sysctl", "-w", f"{RETRANSMIT}=1000")
    output, _errors = looking.communicate(timeout=20)
    looked, lost = output.count("ping statistics"), output.count("lost\n")
    print(f"{looked} neighbors were looked for, and {lost} not found")
    assert looked > 50 and not lost, output[-2000:]
