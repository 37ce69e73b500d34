"""Kernel objects, a thousand of each kind, compared with the fastest plain commands that create the same.

These are one `ip -batch` and, for sysctls, which ip cannot write, one shell with its builtin `echo` (sysctl(8) takes
longer). Both sides mark their objects, and give each VRF its unreachable default routes. A module reads the kernel
before and after its changes. It runs in a worker, as in a lab, where Python and Ansible are loaded once; "own process"
is a run as on any other host, including that start-up. "Each more" is the time per added object compared with the
previous size.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from measure import Results, Times, Worker, arguments, counted, each_more, interleaved, ip, module, timed, unchanged

HOST = "bench-host"
SLOWER, AGAIN = 2.0, 0.5  # aims, in a worker
OTHERS, BESIDE = 40_000, 1.3  # routes of others, and the aim for one route beside them
LAST = "metric 4278198272"
MARK = "alias routed.hypervisor"
OURS = "proto 82"
DEFAULTS = ("0.0.0.0/0", "::/0")


@dataclass
class Case:
    """ip: lines for `ip -batch`; sysctl: values by path below /proc/sys/net. Each is a pair: create, delete."""

    title: str
    module: str
    config: list | dict
    create: list[str] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    write: dict[str, int] = field(default_factory=dict)
    reset: dict[str, int] = field(default_factory=dict)
    prepare: list[str] = field(default_factory=list)
    deleting: dict = field(default_factory=dict)


def prefix(number: int) -> str:
    return f"10.{number // 250}.{number % 250}.0/24"


def vrfs(count: int) -> Case:
    tables = {f"vrf{n}": 1000 + n for n in range(count)}
    create, delete = [], []
    for name, table in tables.items():
        create += [f"link add {name} up type vrf table {table}", f"link set {name} {MARK}"]
        create += [f"route add unreachable {default} {LAST} table {table} {OURS}" for default in DEFAULTS]
        delete += [f"link delete {name}"]
        delete += [f"route delete unreachable {default} {LAST} table {table}" for default in DEFAULTS]
    config = [{"name": name, "table": table} for name, table in tables.items()]
    return Case(counted(count, "VRF(s)"), "vrfs", config, create, delete)


def interfaces(count: int) -> Case:
    create = []
    for n in range(count):
        create += [f"link add port{n} up master vrf{n} type dummy", f"link set port{n} {MARK}"]
    return Case(
        counted(count, "interface(s) in VRFs"),
        "interfaces",
        [{"name": f"port{n}", "type": "dummy", "vrf": f"vrf{n}"} for n in range(count)],
        create,
        [f"link delete port{n}" for n in range(count)],
        prepare=[f"link add vrf{n} up type vrf table {1000 + n}" for n in range(count)],
    )


def routes(count: int) -> Case:
    return Case(
        counted(count, "route(s)"),
        "routes",
        [{"prefix": prefix(n), "gateway": "192.0.2.2"} for n in range(count)],
        [f"route add {prefix(n)} via 192.0.2.2 {OURS}" for n in range(count)],
        [f"route delete {prefix(n)} via 192.0.2.2" for n in range(count)],
        prepare=["link add uplink up type dummy", "address add 192.0.2.1/24 dev uplink"],
    )


def one_route(others: int) -> Case:
    """A router's table holds many routes of its daemons."""
    case = routes(1)
    lines = [f"route add 100.{64 + n // 65536}.{n // 256 % 256}.{n % 256}/32 via 192.0.2.2" for n in range(others)]
    case.title = f"1 route beside {others:,} of others"
    case.prepare += lines
    return case


def ports(count: int) -> list[str]:
    return [f"link add port{n} up type dummy" for n in range(count)]


def settings(count: int, proxy: int, delay: int) -> dict[str, int]:
    found = {}
    for n in range(count):
        found |= {f"ipv4/conf/port{n}/proxy_arp": proxy, f"ipv4/neigh/port{n}/proxy_delay": delay}
    return found


def proxy_arp(count: int) -> Case:
    config = [{"interface": f"port{n}", "proxy_arp": True, "delay": 0} for n in range(count)]
    return Case(
        counted(count, "proxy ARP port(s)"),
        "proxy_arp",
        config,
        write=settings(count, 1, 0),
        reset=settings(count, 0, 80),
        prepare=ports(count),
        deleting={"config": [{"interface": f"port{n}"} for n in range(count)]},
    )


def proxy_entries(count: int) -> Case:
    entries = {f"port{n}": f"192.0.{2 + n // 250}.{n % 250 + 1}" for n in range(count)}
    return Case(
        counted(count, "proxy neighbour(s)"),
        "proxy_arp",
        [{"interface": name, "entries": [address]} for name, address in entries.items()],
        [f"neighbor add proxy {address} dev {name} {OURS}" for name, address in entries.items()],
        [f"neighbor delete proxy {address} dev {name}" for name, address in entries.items()],
        prepare=ports(count),
    )


def network(count: int) -> Case:
    """All together: VRFs, an interface in each, a route through it, proxy ARP on it."""
    pairs, links, proxies = vrfs(count), interfaces(count), proxy_arp(count)
    ways = [{"prefix": prefix(n), "vrf": f"vrf{n}", "interface": f"port{n}", "scope": "link"} for n in range(count)]
    return Case(
        f"{count} of each, network",
        "network",
        {"vrfs": pairs.config, "interfaces": links.config, "routes": ways, "proxy_arp": proxies.config},
        [
            *pairs.create,
            *links.create,
            *(f"route add {prefix(n)} dev port{n} scope link table {1000 + n} {OURS}" for n in range(count)),
        ],
        [*links.delete, *pairs.delete],  # the kernel removes routes and settings with their interfaces
        proxies.write,
    )


@contextlib.contextmanager
def namespace(case: Case):
    try:
        ip(batch=[f"netns add {HOST}"])
        ip("-n", HOST, batch=case.prepare)
        yield
    finally:
        ip("-force", batch=[f"netns delete {HOST}"])


def with_module(case: Case, run: Callable[..., dict]) -> Times:
    wanted = {"config": case.config, "state": "overridden"}
    if case.module == "proxy_arp":
        wanted["state"] = "merged"  # its ports are someone else's
    with namespace(case):
        return {
            "first run": timed(lambda: run(case.module, HOST, **wanted)),
            "no-op run": timed(lambda: unchanged(run(case.module, HOST, **wanted))),
            "delete": timed(lambda: run(case.module, HOST, state="deleted", **case.deleting)),
        }


def with_plain_commands(case: Case) -> Times:
    def carry_out(lines: list[str], sysctls: dict[str, int]) -> None:
        if lines:
            ip("-n", HOST, batch=lines)
        if sysctls:
            text = "\n".join(f"echo {value} >/proc/sys/net/{path}" for path, value in sysctls.items())
            inside = ["nsenter", f"--net=/run/netns/{HOST}", "/bin/sh", "-e", "/dev/stdin"]
            subprocess.run(inside, input=text, text=True, check=True)

    with namespace(case):
        return {
            "first run": timed(lambda: carry_out(case.create, case.write)),
            "delete": timed(lambda: carry_out(case.delete, case.reset)),
        }


def main() -> None:
    given = arguments(__doc__, sizes=[100, 1000], runs=3)
    results = Results(__file__, given)
    worker = Worker("vrfs", "interfaces", "routes", "proxy_arp", "network")
    for make in (vrfs, interfaces, routes, proxy_arp, proxy_entries, network):
        fewer: tuple[int, Times, Times] | None = None
        for count in sorted(given.sizes):
            case = make(count)
            all_three = {
                "ours": lambda case=case: with_module(case, worker.module),
                "own process": lambda case=case: with_module(case, module),
                "plain": lambda case=case: with_plain_commands(case),
            }
            medians, results.seen[case.title] = interleaved(given.runs, all_three)
            ours, plain = medians["ours"], medians["plain"]
            show(results, case, ours, plain)
            for step, seconds in medians["own process"].items():
                results.add(case.title, f"{step}, own process", seconds, "in a worker", ours[step])
            if fewer:
                less, ours_less, plain_less = fewer
                more = each_more(ours, ours_less, count - less), each_more(plain, plain_less, count - less)
                show(results, case, *more, ", each more", unit="ms")
            fewer = (count, ours, plain)
    beside = {others: one_route(others) for others in (0, OTHERS)}
    medians, results.seen["1 route"] = interleaved(
        given.runs, {f"{n}": lambda case=case: with_module(case, worker.module) for n, case in beside.items()}
    )
    for step, seconds in medians[f"{OTHERS}"].items():
        results.add(beside[OTHERS].title, step, seconds, "no others", medians["0"][step], BESIDE)
    results.finish()


def show(results: Results, case: Case, ours: Times, plain: Times, suffix: str = "", **unit: str) -> None:
    peer = " and ".join(name for name, used in (("ip -batch", case.create), ("echo", case.write)) if used)
    for step in ("first run", "delete"):
        results.add(case.title, step + suffix, ours[step], peer, plain[step], SLOWER, **unit)
    results.add(case.title, "no-op run" + suffix, ours["no-op run"], "first run", ours["first run"], AGAIN, **unit)


if __name__ == "__main__":
    main()
