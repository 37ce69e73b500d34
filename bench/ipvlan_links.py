"""ipvlan links with addresses, compared with `ip -batch`.

Links on one dummy, each with an address, up and marked: all on the host; all in one other namespace; and each in a
namespace of its own. Times are of whole processes: a module call includes the start of Python, and `ip -batch` needs
one process for each namespace to set links up in. A thousand namespaces are done once, whatever the number of runs.
"""

from __future__ import annotations

from measure import Results, Times, arguments, counted, interleaved, ip, module, timed, unchanged

HOST = "bench-host"
MASTER = "bench-master"
FEW_NAMESPACES = 100  # with more, ip takes minutes to start its processes in user-mode Linux: one run is enough


def address(number: int) -> str:
    return f"10.{number // 60000}.{number // 250 % 240}.{number % 250 + 1}/8"


def place(where: str, number: int) -> str | None:
    return {"host": None, "one namespace": "bench-c0", "a namespace each": f"bench-c{number}"}[where]


def with_module(where: str, count: int) -> Times:
    config = []
    for number in range(count):
        entry = {"name": f"link{number}", "master": MASTER, "mode": "l2", "addresses": [{"address": address(number)}]}
        namespace = place(where, number)
        config.append({**entry, "namespace": namespace} if namespace else entry)
    wanted = {"config": config, "state": "overridden"}
    return {
        "create": timed(lambda: module("ipvlan_links", HOST, **wanted)),
        "again": timed(lambda: unchanged(module("ipvlan_links", HOST, **wanted))),
        "delete": timed(lambda: module("ipvlan_links", HOST, state="deleted")),
    }


def with_ip(where: str, count: int) -> Times:
    by_namespace: dict[str, list[int]] = {}
    for number in range(count):
        by_namespace.setdefault(place(where, number) or HOST, []).append(number)

    def create() -> None:
        lines = []
        for namespace, numbers in by_namespace.items():
            there = "" if namespace == HOST else f"netns {namespace} "
            lines += [f"link add link {MASTER} name link{n} {there}type ipvlan mode l2" for n in numbers]
        ip("-n", HOST, batch=lines)
        for namespace, numbers in by_namespace.items():
            lines = [f"link set link{n} alias routed.hypervisor up" for n in numbers]
            ip("-n", namespace, batch=[*lines, *(f"address add {address(n)} dev link{n}" for n in numbers)])

    def delete() -> None:
        for namespace, numbers in by_namespace.items():
            ip("-n", namespace, batch=[f"link delete link{n}" for n in numbers])

    return {"create": timed(create), "delete": timed(delete)}


def compare(results: Results, where: str, count: int) -> None:
    containers = sorted({place(where, number) for number in range(count)} - {None})
    try:
        ip(batch=[f"netns add {name}" for name in (HOST, *containers)])
        ip("-n", HOST, batch=[f"link add {MASTER} type dummy", f"link set {MASTER} up"])
        both = {"module": lambda: with_module(where, count), "ip -batch": lambda: with_ip(where, count)}
        runs = 1 if len(containers) > FEW_NAMESPACES else results.runs
        medians, results.seen[f"{count}, {where}"] = interleaved(runs, both)
    finally:
        ip("-force", batch=[f"netns delete {name}" for name in (HOST, *containers)])
    ours, theirs = medians["module"], medians["ip -batch"]
    case = f"{counted(count, 'link(s)')}, {where}"
    for step in theirs:
        results.add(case, step, ours[step], "ip -batch", theirs[step])
    results.add(case, "again", ours["again"], "create", ours["create"], 0.3)


def main() -> None:
    given = arguments(__doc__, sizes=[100, 1000], runs=3)
    results = Results(__file__, given)
    for count in given.sizes:
        for where in ("host", "one namespace", "a namespace each"):
            compare(results, where, count)
    results.finish()


if __name__ == "__main__":
    main()
