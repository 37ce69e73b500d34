"""What the verification reports about container networks of runtimes."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import Link
from ansible_collections.routed.hypervisor.plugins.module_utils._runtimes.slaves import Slave, Survey
from ansible_collections.routed.hypervisor.plugins.module_utils._verify import runtimes

EXPECTED = {"network": "web", "vrf": "main", "master": "web", "mode": "l2", "cni": True} | dict.fromkeys(
    ("podman", "docker", "dhcp"), False
)
HOST = Slave("", "host-web", "ipvlan", "l2", ("10.0.0.1",))
ONE = Slave("c1", "eth0", "ipvlan", "l2", ("10.0.0.5", "2001:db8::5"))


@pytest.fixture
def verified(monkeypatch, tmp_path):
    """A function that verifies a host with these links; `leased` are addresses that the plugin has recorded."""
    (tmp_path / "net.d").mkdir()
    (tmp_path / "leases/web").mkdir(parents=True)
    ranges = '[[{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.6", "rangeEnd": "10.0.0.9"}]]'
    ipam = f'{{"dataDir": "{tmp_path}/leases", "ranges": {ranges}}}'
    plugin = f'{{"type": "ipvlan", "master": "web", "mode": "l2", "ipam": {ipam}}}'
    content = f'"name": "web", "cniVersion": "1.0.0", "plugins": [{plugin}]}}'
    (tmp_path / "net.d/90-web.conflist").write_text('{"comment": "Managed by Routed Hypervisor",\n' + content)
    monkeypatch.setattr(runtimes, "DIRECTORY", str(tmp_path / "net.d"))
    monkeypatch.setattr(runtimes.calls, "installed", lambda plugin: plugin)
    monkeypatch.setattr(runtimes.cni, "supported", lambda _plugin, _directories: ["0.4.0", "1.0.0"])
    dpkg = {"--search": "plugins: /usr/lib/cni/ipvlan", "--show": "plugins\t1.1.1+ds1-3"}
    monkeypatch.setattr(runtimes, "run", lambda words: (0, dpkg[words[1]], ""))
    monkeypatch.setattr(runtimes.calls, "RESULTS", str(tmp_path / "results"))
    tried = []
    monkeypatch.setattr(runtimes.calls, "probe", lambda _network, addresses: tried.append(addresses))

    def verify(*slaves, leased=(), elsewhere=(), **expected):
        for address in leased:
            path = tmp_path / "leases/web" / address
            path.write_text("0123456789abcdef\neth0")
            os.utime(path, (time.time() - 120,) * 2)
        found = Survey({"web": Link(7, "web", mtu=1500)}, {"web": list(slaves), "edge": list(elsewhere)})
        monkeypatch.setattr(runtimes.slaves, "survey", lambda: found)
        if expected.get("kind") == "probe":
            return runtimes.verify_probe(EXPECTED), tried
        passed, seen, facts = runtimes.verify_runtimes({**EXPECTED, **expected})
        assert facts["containers"]["vrf"] == "main"
        return passed, seen

    return verify


def test_containers_as_they_should_be(verified):
    assert verified(HOST, ONE, leased=ONE.addresses) == (True, "1 container; plugins 1.1.1+ds1-3; CNI 1.0.0")


def test_a_file_that_was_edited_is_reported(verified):
    passed, seen = verified(HOST._replace(mode="l3"), mode="l3")
    assert not passed and seen.endswith("net.d/90-web.conflist has mode l2 on web, not l3 on web")


def test_a_network_that_podman_does_not_have_is_reported(verified, monkeypatch):
    """Although its file is there: another file decides that podman uses netavark."""
    monkeypatch.setattr(runtimes, "run", lambda _words: (125, "", 'Error: could not find "netavark"\n'))
    assert verified(HOST, podman=True) == (False, 'podman does not have the network (Error: could not find "netavark")')


def test_plugins_that_do_not_support_the_version_of_the_file_are_reported(verified, monkeypatch):
    """As after another package of them."""
    monkeypatch.setattr(runtimes.cni, "supported", lambda plugin, _directories: ["0.4.0"])
    wrong = "the CNI plugins ipvlan do not support version 1.0.0 of the specification"
    assert verified(HOST, ONE, leased=ONE.addresses) == (False, wrong)


@pytest.mark.parametrize(
    ("slaves", "more", "seen"),
    [
        ([HOST, ONE._replace(mode="l3")], {}, "links in another mode: eth0 in c1 (l3)"),
        ([ONE, Slave("c2", "veth1", "ipvlan", "l2")], {}, "links without an address: veth1 in c2"),
        (
            [ONE],
            {"elsewhere": [Slave("c9", "eth0", "ipvlan", "l3", ("10.0.0.5",))]},
            "addresses of several containers: 10.0.0.5 (eth0 in c1, eth0 in c9)",
        ),
        (
            [ONE._replace(where="/run/docker/netns/1a2b", has_process=False)],
            {},
            "addresses without a process: eth0 in /run/docker/netns/1a2b (10.0.0.5, 2001:db8::5)",
        ),
        ([ONE], {"leased": ["10.0.0.6"]}, "addresses of containers that have gone: 0123456789ab (10.0.0.6)"),
        (
            [ONE._replace(addresses=("10.0.0.5", "10.0.0.7"))],
            {},
            "addresses that the plugin would give to others, too: 10.0.0.7 (eth0 in c1)",
        ),
    ],
)
def test_what_is_wrong_is_reported(verified, slaves, more, seen):
    passed, found = verified(*slaves, **more)
    assert (passed, found) == (False, seen)


def test_a_namespace_without_a_process_is_only_a_fault_if_an_engine_made_it(verified):
    engines = "netns-0123abcd-0123-4567-89ab-0123456789ab"
    assert verified(ONE._replace(has_process=False))[0]
    assert not verified(ONE._replace(where=engines, has_process=False))[0]
    assert verified(ONE._replace(where=engines))[0]


def test_a_network_that_is_not_declared_is_reported(verified):
    passed, seen = verified(ONE, network="other")
    assert not passed and "no file of ours" in seen


def test_a_missing_plugin_is_reported(verified, monkeypatch):
    monkeypatch.setattr(runtimes.calls, "installed", lambda _plugin: None)
    assert verified(HOST, ONE) == (False, "the CNI plugins ipvlan are missing")


def test_a_probe_has_the_last_address_that_nobody_has(verified):
    container = ONE._replace(addresses=("10.0.0.9",))
    assert verified(container, leased=["10.0.0.9", "10.0.0.8"], kind="probe") == (
        (True, "added with 10.0.0.7, found and removed"),
        [["10.0.0.7"]],
    )


def test_a_probe_that_would_change_the_mode_of_links_is_not_tried(verified):
    wrong = "not tried: a container in mode l2 would change the mode of the links that web has: eth0 in c1 (l3)"
    assert verified(ONE._replace(mode="l3"), kind="probe") == ((False, wrong), [])


def test_a_probe_without_a_free_address_is_not_tried(verified):
    leased = [f"10.0.0.{number}" for number in range(6, 10)]
    assert verified(ONE, leased=leased, kind="probe") == ((False, "not tried: no address is left"), [])
