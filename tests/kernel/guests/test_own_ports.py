"""The agent answers neighbor solicitations on ports of a hypervisor's own guests, which a run configures."""

from __future__ import annotations

import pytest
from support.following import GATEWAYS, GuestMachine
from support.soliciting import SOON_S, accepts, address, answers, entries, mac
from support.waiting import stays, until

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.ports import release
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.release import release_all
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.kernel import Kernel

pytestmark = pytest.mark.parametrize("vrf", ["public"], indirect=True)
ELSEWHERE = 9  # a guest of another hypervisor


def own(ports: int, guests: int = ELSEWHERE) -> dict:
    neighbors = [address(number) for number in range(1, guests + 1)]
    return {
        "segments": {"guests": {"gateway": GATEWAYS[1], "neighbors": neighbors}},
        "ports": {f"vm{number}": {"segment": "guests", "own": [address(number)]} for number in range(1, ports + 1)},
    }


class Own:
    """Ports as a run leaves them, and guests behind them."""

    def __init__(self, host) -> None:
        self.host = host
        self.machines: list[GuestMachine] = []

    def add(self, number: int) -> GuestMachine:
        port = f"vm{number}"
        made = GuestMachine(self.host, f"guest{number}", port, mac(number))
        self.machines.append(made)
        self.configure(port)
        made.runs((f"203.0.113.{number}", address(number)))
        return made

    def configure(self, port: str) -> None:
        space = self.host.space
        if self.host.vrf:
            space.ip(f"link set {port} vrf {self.host.vrf}")
        space.ip(f"link set {port} up")
        space.ip(f"-6 address add {GATEWAYS[1]}/64 dev {port} nodad")
        space.changed("proxy_arp", config=self.config(port))

    def config(self, port: str) -> list[dict]:
        return [{"interface": port, "proxy_ndp": True, "ndp_delay": 0, "entries": []}]


@pytest.fixture
def ports(host):
    made = Own(host)
    yield made
    for machine in made.machines:
        machine.remove()


def test_a_port_answers_for_all_guests_but_its_own_and_a_run_leaves_that_alone(host, ports):
    first, second = ports.add(1), ports.add(2)
    host.store_table({}, proxy_ndp=own(2))
    host.start()
    until(lambda: entries(host) == 2 * (ELSEWHERE - 1), SOON_S, host.said())
    until(lambda: answers(first, 1, ELSEWHERE) and answers(first, 1, 2) and answers(second, 2, 1), SOON_S)
    assert not answers(first, 1, 1), "its own address is its own"
    assert not answers(first, 1, ELSEWHERE + 1), "no such guest"
    # Detection of duplicates: its own address is free, and another guest's is not.
    first.space.ip(f"-6 address delete {address(1)}/64 dev eth0")
    assert accepts(first, 1)
    assert not accepts(first, ELSEWHERE, solicitations=10)
    assert host.space.changed("proxy_arp", config=ports.config("vm1"), state="replaced") == []
    host.end()
    until(lambda: answers(second, 2, ELSEWHERE), SOON_S, "the kernel answers without the agent")


def test_what_the_kernel_drops_with_a_link_or_somebody_deletes_is_added_again(host, ports):
    first = ports.add(1)
    host.store_table({}, proxy_ndp=own(1))
    host.start()
    until(lambda: answers(first, 1, ELSEWHERE), SOON_S, host.said())
    for command in ("link set vm1 down", "link set vm1 up"):
        host.space.ip(command)
    until(lambda: entries(host) == ELSEWHERE - 1, SOON_S, "after the link was down")
    host.space.ip(f"-6 neighbor delete proxy {address(ELSEWHERE)} dev vm1")
    until(lambda: entries(host) == ELSEWHERE - 1, SOON_S, "after somebody has deleted one")
    host.space.ip("link set vm1 down")
    until(lambda: entries(host) == 0, SOON_S, "a link that is down has none")
    host.space.ip("link set vm1 name other")
    host.space.ip("link set other up")
    stays(lambda: entries(host) == 0, 0.2, "it has another name")
    for command in ("link set other down", "link set other name vm1", "link set vm1 up"):
        host.space.ip(command)
    until(lambda: entries(host) == ELSEWHERE - 1, SOON_S, "it is up")
    until(lambda: not host.report()["problems"], SOON_S)


def test_ports_come_later_go_and_are_forgotten(host, ports):
    host.store_table({}, proxy_ndp=own(2))
    host.start()
    first = ports.add(1)
    until(lambda: answers(first, 1, ELSEWHERE), SOON_S, host.said())
    ports.add(2)
    until(lambda: entries(host) == 2 * (ELSEWHERE - 1), SOON_S, "another port appears")
    host.space.ip("neighbor add proxy 2001:db8::77 dev vm2")  # an administrator's
    host.store_table({}, proxy_ndp=own(1))
    until(lambda: entries(host) == ELSEWHERE, SOON_S, "the second one is somebody else's now")
    host.end()
    host.store_table({}, proxy_ndp=own(1, guests=3))  # while it does not run
    host.start()
    until(lambda: entries(host) == 3, SOON_S, "there are fewer guests")
    until(lambda: answers(first, 1, 3), SOON_S)
    assert not answers(first, 1, 4)
    host.end()
    host.space.ip("link add ours type veth peer name theirs")
    host.space.ip("link set ours alias routed.hypervisor")  # of a run
    with host.space.inside():
        predicted = release_all(Kernel(), check_mode=True)
        assert release_all(Kernel(), check_mode=False) == predicted
        assert release_all(Kernel(), check_mode=True) == []
        assert release(Kernel(), ["gone"]) == (0, [])
    assert [link["ifname"] for link in host.space.show("link show ours")] == ["ours"]
    assert [(change.kind, change.op, change.name) for change in predicted] == [("proxy_arp", "change", "vm1")]
    assert host.space.ip("-6 neighbor show proxy").split()[0] == "2001:db8::77"


def test_above_many_entries_the_agent_answers_itself_there(host, ports):
    first, _second, third = ports.add(1), ports.add(2), ports.add(3)
    host.store_table({}, proxy_ndp=own(3, guests=8000))
    host.start()
    until(lambda: "by the agent" in host.said() and answers(first, 1, 8000), SOON_S, host.said())
    assert entries(host) == 0
    until(lambda: answers(third, 3, 1), SOON_S)
    stays(lambda: not answers(first, 1, 1), 0.2, "its own address is its own")
    host.store_table({}, proxy_ndp=own(3, guests=ELSEWHERE))
    until(lambda: entries(host) == 3 * (ELSEWHERE - 1), SOON_S, host.said())
    until(lambda: answers(first, 1, ELSEWHERE), SOON_S)
