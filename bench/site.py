"""site.yml of the default lab, first and second run, compared with a shell script that builds the same lab.

Each boots a lab kernel of its own, of the same kind. The script (plain_lab.sh) is written for this one lab, with
`ip -batch`, sysctl and the daemons; it uses the same rendered files, and ends when all routes and addresses are present
and every guest reaches all others and the outside world. site.yml checks the inventory, builds the lab, and verifies it
from every node. Both must have the same result: all addresses, routes and rules of all nodes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import PROJECT, Results, Times, arguments, image, interleaved

NAME, PLAIN_NAME = "bench_site", "bench_plain"
LAB = PROJECT / "bin" / "lab"
PLAIN = Path(__file__).with_name("plain_lab.sh")
PROGRAMS = ("usr/sbin/bird", "usr/sbin/ndppd", "usr/sbin/radvd", "usr/sbin/dnsmasq", "usr/sbin/dhcpcd", "usr/sbin/nft")
NODES = ("switch-A", "switch-B", "rr1", "rr2", "internet", "hv1", "hv2", "hv3", "vm1", "vm2", "vm3", "vm4")
SLOWER, AGAIN = 1.5, 0.5  # aims
STAGE = re.compile(r"^ +([0-9.]+) s +(.+)$", re.MULTILINE)


def run(command: list) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout[-6000:]}")
    return time.perf_counter() - start, done.stdout


def addresses(entries: list[dict]) -> list:
    """By interface, without link-local addresses that the kernel derives from random MAC addresses."""
    return sorted(
        (link["ifname"], found["local"], found["prefixlen"])
        for link in entries
        for found in link.get("addr_info", [])
        if found["scope"] != "link" or found["local"] in ("203.0.113.254", "fe80::1")
    )


def routes(entries: list[dict]) -> list:
    found = set()
    for route in entries:
        if route.get("type") in ("local", "broadcast", "multicast", "anycast") or route["dst"][:4] in ("fe80", "ff00"):
            continue
        hops = route.get("nexthops", [route])
        ways = tuple(sorted((hop.get("gateway", ""), hop.get("dev", "")) for hop in hops))
        found.add((str(route.get("table", "main")), route["dst"], route.get("type", "unicast"), ways))
    return sorted(found)


def rules(entries: list[dict]) -> list:
    return sorted((rule["priority"], str(rule.get("table")), rule.get("dst", "")) for rule in entries)


def everything(enter: Callable[[str], list[str]]) -> dict[str, dict]:
    """The state of the lab by node."""

    def ask(node: str, *question: str) -> list[dict]:
        done = subprocess.run([*enter(node), "-json", *question], check=True, capture_output=True, text=True)
        return [entry for entry in json.loads(done.stdout or "[]") if entry]

    return {
        node: {
            "addresses": addresses(ask(node, "address")),
            "routes": routes(ask(node, "-4", "route", "show", "table", "all")),
            "routes6": routes(ask(node, "-6", "route", "show", "table", "all")),
            "rules": rules(ask(node, "rule")) + rules(ask(node, "-6", "rule")),
        }
        for node in NODES
    }


class Labs:
    def __init__(self, scratch: Path):
        self.scratch = scratch
        self.inventory = scratch / NAME
        self.seen: dict[str, dict] = {}
        self.kernel: dict[str, str] = {}
        shutil.copytree(PROJECT / "inventories" / "l3_hypervisor", self.inventory)
        intent = self.inventory / "fabric.yml"
        intent.write_text(intent.read_text().replace("name: l3_hypervisor\n", f"name: {NAME}\n"))
        where = json.dumps({"render_directory": f"{scratch}/files"})
        self.play("playbooks/render.yml", "-e", where)
        # Switches have no files.
        for node in NODES:
            (scratch / "files" / node).mkdir(exist_ok=True)

    def play(self, playbook: str, *options: str) -> tuple[float, str]:
        return run(["ansible-playbook", "-i", self.inventory, playbook, *options])

    def site(self) -> Times:
        run([LAB, "down", NAME])
        try:
            first, output = self.play("site.yml")
            self.seen["site.yml"] = everything(lambda node: [LAB, "exec", NAME, node, "ip"])
            second, again = self.play("site.yml")
            if "changed=0" not in again or re.search(r"changed=[1-9]", again):
                sys.exit(f"a second run changed something:\n{again}")
            stages = {
                f"{prefix}stage: {name}": float(seconds)
                for prefix, text in (("", output), ("second run, ", again))
                for seconds, name in STAGE.findall(text)
            }
            return {"first run": first, "second run": second, **stages}
        finally:
            run([LAB, "down", NAME])

    def plain(self) -> Times:
        run([LAB, "down", PLAIN_NAME])
        inside = [LAB, "exec", PLAIN_NAME, ""]
        try:
            booting, said = run([LAB, "up", PLAIN_NAME, "--owner", self.scratch, "--json"])
            self.kernel = json.loads(said.splitlines()[-1])
            seconds, output = run([*inside, PLAIN, "up", self.scratch / "files", image(*PROGRAMS)])
            self.seen["plain"] = everything(lambda node: [*inside, "ip", "-n", f"plain-{node}"])
        finally:
            run([LAB, "down", PLAIN_NAME])
        parts = (line.split() for line in output.splitlines() if re.fullmatch(r"\w+ \d+", line))
        made = {f"part: {name}": int(number) / 1e6 for name, number in parts}
        return {"first run": booting + seconds, "part: kernel": booting, **made}

    def must_agree(self) -> None:
        for node in NODES:
            for what, ours in self.seen["site.yml"][node].items():
                theirs = self.seen["plain"][node][what]
                if ours != theirs:
                    only = [
                        [entry for entry in one if entry not in two] for one, two in ((ours, theirs), (theirs, ours))
                    ]
                    sys.exit(f"the labs differ, {what} of {node}: only by site.yml {only[0]}, only plain {only[1]}")


def main() -> None:
    given = arguments(__doc__, sizes=[], runs=3)
    results = Results(__file__, given)
    with tempfile.TemporaryDirectory() as directory:
        labs = Labs(Path(directory))
        medians, results.seen["default lab"] = interleaved(given.runs, {"site.yml": labs.site, "plain": labs.plain})
        labs.must_agree()
        results.kernel = {name: labs.kernel[name] for name in ("kind", "release")}
    ours, plain = medians["site.yml"], medians["plain"]
    results.add("default lab", "first run", ours["first run"], "shell script", plain["first run"], SLOWER)
    results.add("default lab", "second run", ours["second run"], "first run", ours["first run"], AGAIN)
    for step, seconds in ours.items():
        if "stage: " in step and seconds:
            results.add("default lab", step, seconds)
    for step, seconds in plain.items():
        if step.startswith("part"):
            results.add("shell script", step, seconds)
    results.finish()


if __name__ == "__main__":
    main()
