"""A hypervisor's network at boot: `routed-hypervisor apply --boot` compared with the fastest plain commands.

These are one `ip -batch` and one shell with its builtin `echo` for sysctls. The uplinks and the guests' ports exist, as
at boot. The agent plans against what it reads, and verifies the result; the plain commands do neither. Its start-up is
the same command with an empty network, and is listed apart.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import PROJECT, Results, Times, arguments, interleaved, ip, timed

sys.path.insert(0, str(PROJECT / "collections"))
from ansible_collections.routed.hypervisor.plugins.module_utils._agent import stored as states
from ansible_collections.routed.hypervisor.plugins.plugin_utils import zipapp

HOST = "bench-host"
SLOWER = 2.0  # the aim for the work
OURS = "proto 82"
MARK = "alias routed.hypervisor"
TABLES = {"private": 20, "public": 90}
UPLINKS = ("eno1", "eno2")
ON_PORTS = {"ipv4/conf": {"forwarding": 1, "rp_filter": 1, "send_redirects": 0}, "ipv6/conf": {"accept_ra": 0}}


def address(guest: int) -> str:
    return f"203.0.{guest // 250}.{guest % 250 + 1}/32"


def hypervisor(guests: int) -> dict:
    """The option `config` of the module `network`."""
    vlans = [
        {
            "name": f"{uplink}.{table}",
            "type": "vlan",
            "parent": uplink,
            "vlan_id": table,
            "vrf": vrf,
            "addresses": [{"address": f"10.{number}.{table}.1/24"}],
        }
        for number, uplink in enumerate(UPLINKS)
        for vrf, table in TABLES.items()
    ]
    ports = [
        {
            "name": f"vm{n}",
            "vrf": "public",
            "addresses": [{"address": "203.0.255.254/32", "scope": "link"}, {"address": "fe80::1/64", "nodad": True}],
            "sysctls": {"ipv4": ON_PORTS["ipv4/conf"], "ipv6": ON_PORTS["ipv6/conf"]},
        }
        for n in range(guests)
    ]
    return {
        "sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}],
        "vrfs": [{"name": name, "table": table} for name, table in TABLES.items()],
        "interfaces": [*({"name": name} for name in UPLINKS), *vlans, *ports],
        "proxy_arp": [{"interface": f"vm{n}", "proxy_arp": True, "delay": 0} for n in range(guests)],
        "routes": [
            {"prefix": address(n), "vrf": "public", "interface": f"vm{n}", "scope": "link"} for n in range(guests)
        ],
    }


def plain(guests: int) -> tuple[list[str], dict[str, int]]:
    """The same as lines for `ip -batch`, and sysctls by their paths."""
    lines, sysctls = [], {"ipv4/ip_forward": 1}
    for vrf, table in TABLES.items():
        lines += [f"link add {vrf} up type vrf table {table}", f"link set {vrf} {MARK}"]
        for default in ("0.0.0.0/0", "::/0"):
            lines += [f"route add unreachable {default} metric 4278198272 table {table} {OURS}"]
    for number, uplink in enumerate(UPLINKS):
        for vrf, table in TABLES.items():
            name = f"{uplink}.{table}"
            lines += [f"link add {name} link {uplink} type vlan id {table}", f"link set {name} {MARK}"]
            lines += [f"link set {name} master {vrf} up", f"address add 10.{number}.{table}.1/24 dev {name}"]
    for n in range(guests):
        lines += [f"link set vm{n} master public", f"address add 203.0.255.254/32 dev vm{n} scope link"]
        lines += [f"address add fe80::1/64 dev vm{n} nodad"]
        lines += [f"route add {address(n)} dev vm{n} scope link table 90 {OURS}"]
        for place, values in ON_PORTS.items():
            sysctls |= {f"{place}/vm{n}/{name}": value for name, value in values.items()}
        sysctls |= {f"ipv4/conf/vm{n}/proxy_arp": 1, f"ipv4/neigh/vm{n}/proxy_delay": 0}
    return lines, sysctls


@contextlib.contextmanager
def booted(guests: int):
    """A host whose kernel has only what is there without us."""
    try:
        ip(batch=[f"netns add {HOST}"])
        ip("-n", HOST, batch=[f"link add {name} up type dummy" for name in UPLINKS])
        ip("-n", HOST, batch=[f"link add vm{n} up type dummy" for n in range(guests)])
        yield
    finally:
        ip("-force", batch=[f"netns delete {HOST}"])


def inside(*command: object, **options: object) -> None:
    subprocess.run(["nsenter", f"--net=/run/netns/{HOST}", *map(str, command)], check=True, **options)


def with_agent(guests: int, scratch: Path) -> Times:
    program = scratch / "routed-hypervisor"
    program.write_bytes(zipapp.build().with_byte_code().encode())
    directory = scratch / "states"

    def apply(config: dict) -> float:
        states.write(str(directory), states.Stored("bench", states.this_machine(), config, []))
        command = [sys.executable, "-I", program, "--directory", directory, "apply", "--boot"]
        return timed(lambda: inside(*command, stdout=subprocess.DEVNULL))

    with booted(guests):
        start = apply({})
        whole = apply(hypervisor(guests))
        return {"start-up": start, "boot": whole, "work": whole - start, "again": apply(hypervisor(guests))}


def with_plain_commands(guests: int) -> Times:
    lines, sysctls = plain(guests)
    text = "\n".join(f"echo {value} >/proc/sys/net/{path}" for path, value in sysctls.items())

    def carry_out() -> None:
        ip("-n", HOST, batch=lines)
        inside("/bin/sh", "-e", "/dev/stdin", input=text, text=True)

    with booted(guests):
        return {"boot": timed(carry_out)}


def main() -> None:
    given = arguments(__doc__, sizes=[200], runs=3)
    results = Results(__file__, given)
    os.umask(0o077)
    for guests in given.sizes:
        title = f"hypervisor with {guests} guests"
        with tempfile.TemporaryDirectory() as scratch:
            medians, results.seen[title] = interleaved(
                given.runs,
                {
                    "agent": lambda guests=guests, scratch=scratch: with_agent(guests, Path(scratch)),
                    "plain": lambda guests=guests: with_plain_commands(guests),
                },
            )
        ours, other = medians["agent"], medians["plain"]["boot"]
        results.add(title, "work", ours["work"], "ip -batch and echo", other, SLOWER)
        results.add(title, "boot, with start-up", ours["boot"], "ip -batch and echo", other)
        results.add(title, "start-up", ours["start-up"], "boot", ours["boot"])
        results.add(title, "again", ours["again"], "boot", ours["boot"])
    results.finish()


if __name__ == "__main__":
    main()
