"""From an intent to every rendered file, compared with `netlab create`.

Hypervisors with two guests each on two fabrics, two route reflectors and a border. resolve: the inventory plugin's
work. files: playbooks/render.yml, which writes every file of every node. netlab turns a topology with the same number
of routers, two of them route reflectors of all others, with OSPF and iBGP, into its inventory of resolved nodes; it
renders no node files here. Times are of whole processes. A node is a host of the inventory; "a node more" is the time
per added node compared with the previous size, which excludes start-up.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import yaml
from measure import CACHE, PROJECT, Results, arguments, process, version_of

sys.path.extend([str(PROJECT / "tests"), str(PROJECT / "collections")])
from support.intent_samples import many

NETLAB = CACHE / "bench" / "netlab"
WORK = Path(__file__).with_name("intent_work.py")
AIM_MS = 10  # a node
GROWTH = 1.2  # ratio of an added node among many to one among few
GUESTS = 2
NETLAB_LINKS = 1000  # netlab's maximum per node, here a reflector

Contender = tuple[list, dict]  # a command, and how it is started


def write_intent(directory: Path, hypervisors: int) -> int:
    """Writes an inventory; returns the number of its nodes. Real hosts, because a lab also has guests and switches."""
    intent = many(hypervisors, GUESTS)
    del intent["lab"]
    (directory / "group_vars").mkdir(parents=True)
    (directory / "fabric.yml").write_text(yaml.safe_dump(intent, sort_keys=False))
    passwords = {"bgp_passwords": {"private": "a-password", "public": "another-password"}}
    (directory / "group_vars" / "all.yml").write_text(yaml.safe_dump(passwords))
    return sum(len(intent[kind]) for kind in ("hypervisors", "reflectors", "borders"))


def write_topology(directory: Path, nodes: int) -> None:
    """The same number of routers for netlab, with its limits on names and numbers raised accordingly."""
    names = [f"hv{n}" for n in range(1, min(nodes - 1, NETLAB_LINKS + 1))]
    topology = {
        "provider": "clab",
        "defaults": {"device": "frr", "const": {"MAX_NODE_ID": 4000}},
        "addressing": {
            "mgmt": {"ipv4": "192.168.0.0/16"},
            "loopback": {"ipv4": "10.128.0.0/16"},
            "router_id": {"ipv4": "10.144.0.0/16"},
            "p2p": {"ipv4": "10.0.0.0/12"},
        },
        "module": ["ospf", "bgp"],
        "bgp": {"as": 65000},
        "nodes": {"rr1": {"bgp": {"rr": True}}, "rr2": {"bgp": {"rr": True}}, **{name: {} for name in names}},
        "links": [f"{name}-{reflector}" for name in names for reflector in ("rr1", "rr2")],
    }
    directory.mkdir()
    (directory / "topology.yml").write_text(yaml.safe_dump(topology, sort_keys=False))


def contenders(scratch: Path, nodes: int, alone: bool) -> dict[str, Contender]:
    intent = scratch / "intent"
    settings = {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    ours = {"cwd": PROJECT, "env": settings}
    playbook = [sys.executable, "-m", "ansible.cli.playbook", "-i", intent, "playbooks/render.yml"]
    found = {
        "resolve": ([sys.executable, WORK, intent], ours),
        "files": ([*playbook, "-e", json.dumps({"render_directory": str(scratch / "files")})], ours),
    }
    if not alone:
        write_topology(scratch / "netlab", nodes)
        path = {**os.environ, "PATH": f"{NETLAB}/bin:{os.environ['PATH']}"}
        found["netlab"] = ([NETLAB / "bin" / "netlab", "create"], {"cwd": scratch / "netlab", "env": path})
    return found


def measure(hypervisors: int, given, results: Results) -> tuple[int, dict[str, tuple[float, float]]]:
    """The number of nodes; seconds and MB, the medians, by contender."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        nodes = write_intent(scratch / "intent", hypervisors)
        everyone = contenders(scratch, nodes, given.alone)
        seen = []
        for _ in range(given.runs):
            run = {}
            for name, (command, how) in everyone.items():
                shutil.rmtree(scratch / "files", ignore_errors=True)  # every run writes all
                run[name] = process(command, **how)
            seen.append(run)
    results.seen[str(hypervisors)] = seen
    return nodes, {
        name: tuple(statistics.median(run[name][part] for run in seen) for part in (0, 1)) for name in everyone
    }


def add_rows(results: Results, sizes: list[int], measured: list[tuple[int, dict]]) -> None:
    before: tuple[int, dict] | None = None
    more_before: dict[str, float] = {}
    for hypervisors, (nodes, medians) in zip(sizes, measured, strict=True):
        case = f"{hypervisors} hypervisors, {nodes} nodes"
        netlab = medians.get("netlab")
        for name, (seconds, memory) in medians.items():
            if name != "netlab":
                peer = ("netlab create", netlab) if netlab else ("", (None, None))
                results.add(case, name, seconds, peer[0], peer[1][0], 1 if netlab else None)
                results.add(case, f"{name}, memory", memory, peer[0], peer[1][1], unit="MB")
            if name == "files":
                aim = (f"aim of {AIM_MS} ms", AIM_MS, 1)
                results.add(case, "files, each node", seconds / nodes * 1000, *aim, unit="ms")
            if before and name in before[1]:
                more = (seconds - before[1][name][0]) / (nodes - before[0]) * 1000
                few = more_before.get(name)
                peer = ("a node more, before", few, GROWTH if name != "netlab" else None) if few else ()
                results.add(case, f"{name}, a node more", more, *peer, unit="ms")
                more_before[name] = more
        before = (nodes, medians)


def main() -> None:
    given = arguments(__doc__, sizes=[10, 100, 1000], runs=3)
    results = Results(__file__, given)
    measured = [measure(hypervisors, given, results) for hypervisors in given.sizes]
    add_rows(results, given.sizes, measured)
    results.finish(**({} if given.alone else {"netlab": version_of([str(NETLAB / "bin" / "netlab"), "version"])}))


if __name__ == "__main__":
    main()
