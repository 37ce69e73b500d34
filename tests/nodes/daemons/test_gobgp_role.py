"""The roles gobgp and bird on one node, by turns, as Ansible runs them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from support import ansible_runs
from support.modules import PROJECT
from support.waiting import until

REFLECTOR = yaml.safe_load((PROJECT / "tests/golden/data/gobgp_reflector.yml").read_text())
BIRD = {
    "bgp": {**REFLECTOR["bgp"], "daemon": "bird", "instances": [], "sessions": []},
    "bgp_passwords": {},
}


class Host:
    def __init__(self, lab, directory: Path):
        self.lab, self.directory = lab, directory
        lab.nodes("n")
        addresses = [address for instance in REFLECTOR["bgp"]["instances"] for address in instance["listen"]]
        for address in addresses:
            self.run("ip", "addr", "add", address, "dev", "lo", "nodad")

    def run(self, *argv: str) -> str:
        done = self.lab.enter("n", *argv)
        return done.stdout + done.stderr

    def pid(self, instance: str) -> str:
        return self.run("pgrep", "-f", f"gobgpd --config-file=/etc/gobgp/{instance}.toml").strip()

    def role(self, name: str, values: dict) -> str:
        """Runs a role. Returns what it did, a line a change, or "" for nothing."""
        done = ansible_runs.play(self.lab, self.directory, {"routers": {"n": values}}, ansible_runs.play_of(name))
        changes = ansible_runs.services(done)
        assert (ansible_runs.changed(done) == 0) == (not changes), done
        return "\n".join(changes)


@pytest.fixture
def host(lab, tmp_path):
    return Host(lab, tmp_path)


def test_a_host_changes_from_bird_to_gobgp_and_back(host):
    assert "start bird" in host.role("bird", BIRD)

    # Two instances, and BIRD is out of their way.
    done = host.role("gobgp", REFLECTOR)
    assert done.index("stop bird") < done.index("start gobgpd-private") < done.index("start gobgpd-public")
    assert host.run("pidof", "bird") == "" and host.pid("private") and host.pid("public")
    listening = {f"{address}:179" for address in ("172.22.15.226", "198.51.100.226")}
    until(lambda: listening <= set(host.run("ss", "-Htln", "sport = :179").split()), what="both listen")
    for instance in ("private", "public"):
        target = f"unix:///run/routed-hypervisor-gobgp/{instance}.sock"
        ask = ("gobgp", "--target", target, "neighbor")
        until(lambda ask=ask: "Active" in host.run(*ask), what=f"a neighbor of {instance}")
    assert host.role("gobgp", REFLECTOR) == ""

    # One session more is loaded by the running process, and by no other.
    values = copy.deepcopy(REFLECTOR)
    public = next(session for session in values["bgp"]["sessions"] if session["instance"] == "public")
    values["bgp"]["sessions"].append({**public, "name": "hv2_public_ipv4", "neighbor": "198.51.100.202"})
    pids = host.pid("private"), host.pid("public")
    assert host.role("gobgp", values) == "change /etc/gobgp/public.toml\nreload gobgpd-public"
    assert (host.pid("private"), host.pid("public")) == pids
    target = "unix:///run/routed-hypervisor-gobgp/public.sock"
    ask = ("gobgp", "--target", target)
    until(lambda: "198.51.100.202" in host.run(*ask, "neighbor"), what="the neighbor of the new file")

    # What a reload does not load restarts.
    values["bgp"]["router_id"] = "198.51.100.227"
    done = host.role("gobgp", values)
    assert "restart gobgpd-private" in done and "restart gobgpd-public" in done
    until(lambda: "Router-ID: 198.51.100.227" in host.run(*ask, "global"), what="the new router ID")

    # A VRF that is no longer wanted takes its instance with it.
    del values["bgp"]["instances"][0]
    assert "delete /etc/init.d/gobgpd-private" in host.role("gobgp", values)
    assert host.pid("private") == "" and host.pid("public") and "private" not in host.run("ls", "/etc/gobgp")

    # And back.
    done = host.role("bird", BIRD)
    assert done.index("stop gobgpd-public") < done.index("start bird")
    assert host.run("pidof", "gobgpd") == "" and host.run("ls", "/etc/gobgp") == ""
    assert host.role("bird", BIRD) == ""
