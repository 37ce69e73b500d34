"""Common code of all benchmarks: timing, running, comparing, printing and saving results."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.append(str(PROJECT / "collections"))
from ansible_collections.routed.hypervisor.plugins.module_utils._engine.printable import counted  # noqa: E402, F401

CACHE = Path(os.environ.get("ROUTED_HYPERVISOR_CACHE", Path.home() / ".cache/routed-hypervisor"))
RESULTS = PROJECT / "artifacts" / "bench"
MODULES = "ansible_collections.routed.hypervisor.plugins.modules"

Times = dict[str, float]  # seconds by step


def arguments(doc: str, sizes: list[int], runs: int) -> argparse.Namespace:
    """The options common to all benchmarks."""

    def numbers(text: str) -> list[int]:
        return [int(word) for word in text.split(",")]

    parser = argparse.ArgumentParser(description=doc.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--sizes", type=numbers, default=sizes, help=f"comma-separated sizes (default: {sizes})")
    parser.add_argument("--runs", type=int, default=runs, help=f"number of runs for the medians (default: {runs})")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"directory of results (default: {RESULTS})")
    parser.add_argument("--alone", action="store_true", help="skip the tool that has to be downloaded")
    return parser.parse_args()


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def python_path() -> str:
    import ansible  # noqa: PLC0415 - other benchmarks do not need it

    return os.pathsep.join([str(PROJECT / "collections"), str(Path(ansible.__file__).parents[1])])


def module(name: str, namespace: str | None = None, **options) -> dict:
    """Runs a module of the collection in a process of its own, as Ansible would; in a namespace of /run/netns."""
    inside = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
    done = subprocess.run(
        [*inside, sys.executable, "-m", f"{MODULES}.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        sys.exit(done.stdout + done.stderr)
    if answer.get("failed"):
        sys.exit(answer["msg"])
    return answer


class Worker:
    """Runs modules of the collection as a worker of a lab does: in a process that has imported them."""

    def __init__(self, *names: str) -> None:
        command = [sys.executable, PROJECT / "bench/worker.py", *names]
        environment = {**os.environ, "PYTHONPATH": python_path()}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process.stdout.readline()

    def module(self, name: str, namespace: str | None = None, **options) -> dict:
        request = {"module": name, "namespace": namespace, "options": options}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        if answer.get("failed"):
            sys.exit(answer["msg"])
        return answer


def unchanged(answer: dict) -> None:
    """Ends the benchmark if a module that had nothing to do changed something."""
    if answer["changed"]:
        sys.exit(f"a second call changed something: {str(answer)[:500]}")


def ip(*arguments: str, batch: Iterable[str]) -> None:
    subprocess.run(["ip", *arguments, "-batch", "-"], input="\n".join(batch), text=True, check=True)


def process(command: list, **options) -> tuple[float, float]:
    """Runs a command; returns seconds and peak memory in MB, of it or of a process that it waited for."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options) as started:
        output = started.stdout.read()
        _pid, status, usage = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if started.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {started.returncode}:\n{output[-4000:]}")
    return seconds, usage.ru_maxrss / 1024


def image(*programs: str) -> Path:
    """The newest image of lab nodes that contains these programs, as paths below its root."""
    images = [path for path in (CACHE / "images").glob("*") if path.is_dir() and not path.name.startswith(".")]
    having = [path for path in images if all((path / program).exists() for program in programs)]
    if not having:
        what = f" with {', '.join(programs)}" if programs else ""
        sys.exit(f"there is no image of lab nodes{what} in {CACHE}/images: run make setup")
    return max(having, key=lambda path: path.stat().st_mtime)


def interleaved(runs: int, contenders: dict[str, Callable[[], Times]]) -> tuple[dict[str, Times], list[dict]]:
    """Runs the contenders in turn, so that noise hits all of them: medians by contender and step; all runs."""
    seen: list[dict[str, Times]] = []
    for number in range(runs):
        seen.append({})
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            times = seen[-1][name] = contenders[name]()
            shown = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in times.items())
            print(f"run {number + 1} of {runs}, {name}: {shown}", file=sys.stderr, flush=True)
    medians = {
        name: {step: statistics.median(run[name][step] for run in seen) for step in seen[0][name]}
        for name in contenders
    }
    return medians, seen


def each_more(times: Times, fewer: Times, difference: int) -> Times:
    """Milliseconds per added object, excluding the start of a process."""
    return {step: (seconds - fewer[step]) / difference * 1000 for step, seconds in times.items()}


@dataclass
class Row:
    """One comparison. aim: the maximum ratio."""

    case: str
    step: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    aim: float | None = None
    unit: str = "s"

    @property
    def ratio(self) -> float | None:
        return self.ours / self.theirs if self.theirs else None

    def cells(self) -> list[str]:
        if self.ratio is None:
            return [self.case, self.step, f"{self.ours:.2f} {self.unit}", self.peer, "", "", ""]
        verdict = "" if self.aim is None else f"<= {self.aim:g} {'met' if self.ratio <= self.aim else 'MISSED'}"
        theirs = f"{self.theirs:.2f} {self.unit}"
        return [self.case, self.step, f"{self.ours:.2f} {self.unit}", self.peer, theirs, f"{self.ratio:.2f}", verdict]


HEADER = ["case", "step", "ours", "next to", "theirs", "ratio", "aim"]
NUMBERS = (2, 4, 5)


def table(rows: list[Row]) -> str:
    """The table as text, which is also Markdown."""
    lines = [HEADER, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * (width - 1) + "-:"[number in NUMBERS] for number, width in enumerate(widths)])

    def shown(line: list[str]) -> str:
        cells = [
            f"{cell:{'>' if number in NUMBERS else '<'}{width}}"
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    return "\n".join(map(shown, lines))


def version_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0]


class Results:
    """The results of one benchmark."""

    def __init__(self, script: str, given: argparse.Namespace):
        self.name = Path(script).stem
        self.rows: list[Row] = []
        self.seen: dict[str, object] = {}
        self.runs, self.directory = given.runs, given.results
        self.load = os.getloadavg()
        # If it differs from the kernel that this program runs on.
        self.kernel: dict[str, str] = {}

    def add(self, *values, **named) -> None:
        self.rows.append(Row(*values, **named))

    def finish(self, **versions: str) -> None:
        """Prints the table, and saves it with the context needed to judge it."""
        found = {
            "benchmark": self.name,
            "ended": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "kernel": {
                "kind": os.environ.get("ROUTED_HYPERVISOR_KERNEL_KIND", "host"),
                "release": platform.release(),
                "processors": os.cpu_count(),
                **self.kernel,
            },
            "load": {"before": self.load, "after": os.getloadavg()},
            "versions": {
                "python": platform.python_version(),
                "iproute2": version_of(["ip", "-Version"]),
                **{name: importlib.metadata.version(name) for name in ("ansible-core", "pyroute2")},
                **versions,
            },
            "runs": self.runs,
            "rows": [{**asdict(row), "ratio": row.ratio} for row in self.rows],
            "all_runs": self.seen,
        }
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{self.name}.json"
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        kernel = found["kernel"]
        print(f"\n{self.name}: medians of {self.runs} runs; {kernel['kind']} kernel {kernel['release']}, ", end="")
        print(f"{kernel['processors']} processors, load {self.load[0]:.1f} before")
        print(table(self.rows))
        print(f"({path})", flush=True)
