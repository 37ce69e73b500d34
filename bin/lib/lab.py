"""The labs on this machine: brings their kernels up, and runs commands in them."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t

import frames
import places
from command_environment import callers_environment
from kernels import KernelFailed, boot_seconds
from memory import NotEnough, kernel_memory
from overview import all_labs, describe, status_of
from relay import Relay

from ansible_collections.routed.hypervisor.plugins.module_utils._lab import exchange as lab_exchange
from ansible_collections.routed.hypervisor.plugins.module_utils._lab import groups as lab_groups
from ansible_collections.routed.hypervisor.plugins.module_utils._lab import node as lab_node
from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client

HERE = os.path.dirname(os.path.realpath(__file__))
FAILURE = 125
CACHE = os.environ.get("ROUTED_HYPERVISOR_CACHE") or f"{os.environ.get('HOME') or '/root'}/.cache/routed-hypervisor"
STOP_S = 30
GRACE_S = 10  # beyond the time that a kernel may take to boot
PROGRESS_S = 2


class Refused(Exception):
    """The command is refused; the message is for the user."""


def refuse_other_owner(status: dict[str, t.Any], owner: str | None) -> None:
    if owner and status["owner"] != owner:
        raise Refused(lab_client.other_owner(status["lab"], status["owner"], owner))


def up(arguments: argparse.Namespace) -> int:
    lab, owner = arguments.lab, os.path.realpath(arguments.owner)
    if arguments.check:
        status = status_of(lab)
        if status:
            refuse_other_owner(status, owner)
            return report(arguments, "up", status)
        return report(arguments, "absent", {"lab": lab, "note": places.end_note(lab)})
    deadline = None
    while True:
        status = status_of(lab)
        if status:
            refuse_other_owner(status, owner)
            return report(arguments, "up", status)
        options = {"owner": owner, **kernel_options()}
        if not places.supervisors(lab) and start(lab, options):
            status = status_of(lab)
            if not status:
                raise Refused(f"lab {lab} ended immediately: {places.end_note(lab)}")
            return report(arguments, "started", status)
        deadline = deadline or time.monotonic() + boot_seconds(options["kind"]) + GRACE_S
        wait_for_others(lab, deadline)


def start(lab: str, options: dict[str, t.Any]) -> bool:
    """Boot the kernel of a lab; False if another command was faster."""
    if note := places.end_note(lab):
        print(f"lab {lab} was up; {note}. Starting it again.", flush=True)
    print(f"starting the kernel of lab {lab}: {options['reason']}", flush=True)
    began = time.monotonic()
    if not start_supervisor(lab, options):
        return False
    print(f"the kernel of lab {lab} is up after {time.monotonic() - began:.1f} s", flush=True)
    return True


def wait_for_others(lab: str, deadline: float) -> None:
    """Wait until the lab is up, or until no other command is bringing it up or down."""
    print(f"another command is bringing lab {lab} up or down: waiting for it", flush=True)
    while places.supervisors(lab) and not status_of(lab):
        if time.monotonic() > deadline:
            process = places.supervisors(lab)[0]
            raise Refused(
                f"the supervisor of lab {lab} (process {process}) does not answer: end it with make down, and try again"
            )
        time.sleep(0.1)


def report(arguments: argparse.Namespace, state: str, status: dict[str, t.Any]) -> int:
    if arguments.json:
        print(json.dumps({"state": state, **status}))
    return 0


def kernel_options() -> dict[str, t.Any]:
    probe = subprocess.run([f"{HERE}/../lab-kernel", "--probe"], capture_output=True, text=True, check=False)
    if probe.returncode:
        raise Refused(probe.stderr.strip().removeprefix("lab-kernel: "))
    kind, _colon, reason = probe.stdout.strip().partition(": ")
    # Inside a lab kernel, that kernel is the machine.
    if "running directly" in reason:
        kind = "host"
    boot_seconds(kind)  # rejected here, before there is anything to clean up
    return {"kind": kind, "reason": reason, "tools": f"{CACHE}/tools", "memory": kernel_memory()}


def start_supervisor(lab: str, options: dict[str, t.Any]) -> bool:
    """Start it in the background and wait until it is ready. False if another one is running."""
    process = subprocess.Popen(
        [sys.executable, "-EsB", f"{HERE}/supervisor.py", f"{places.MARK}{lab}", json.dumps(options)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        cwd="/",
    )
    try:
        return follow(lab, process)
    except BaseException:
        process.terminate()
        raise


def follow(lab: str, process: subprocess.Popen[str]) -> bool:
    """Wait for the result of a supervisor's start, and report progress."""
    assert process.stdout
    last: list[str] = []
    began = time.monotonic()
    while True:
        if not select.select([process.stdout], [], [], PROGRESS_S)[0]:
            print(f"  still booting after {time.monotonic() - began:.0f} s", flush=True)
            continue
        line = process.stdout.readline().strip()
        if line in ("ready", "taken"):
            return line == "ready"
        if line.startswith("failed "):
            raise Refused(f"lab {lab} is not up: {line.removeprefix('failed ')}")
        if not line:
            raise Refused(f"the supervisor of lab {lab} ended: {' '.join(last[-3:]) or 'no message'}")
        last.append(line)


def down(arguments: argparse.Namespace) -> int:
    """Take a lab down completely, in whatever state it is."""
    lab = arguments.lab
    if arguments.owner and (status := status_of(lab)):
        refuse_other_owner(status, os.path.realpath(arguments.owner))
    nodes = lab_node.gather_nodes(lab)
    something = bool(
        places.supervisors(lab)
        or os.path.isdir(places.directory(lab))
        or nodes
        or lab_exchange.exists(lab)
        or lab_groups.exist(lab)
    )
    if arguments.check:
        print(f"lab {lab} {'would be taken down' if something else 'is not up'}", flush=True)
        return 0
    end_supervisors(lab)
    places.remove(lab)
    # On the machine's own kernel nodes are processes of the machine.
    if failures := lab_node.stop_nodes(lab, nodes, STOP_S):
        raise Refused("; ".join(failures))
    lab_groups.remove(lab)
    lab_exchange.remove(lab)
    print(f"lab {lab} is down" if something else f"lab {lab} was not up", flush=True)
    return 0


def end_supervisors(lab: str) -> None:
    deadline = time.monotonic() + STOP_S
    for process in places.supervisors(lab):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    while processes := places.supervisors(lab):
        if time.monotonic() > deadline - STOP_S + 8:
            # Its kernel and everything in it end, too.
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise Refused(f"the supervisor of lab {lab} (process {processes[0]}) does not end")
        time.sleep(0.02)


def status(arguments: argparse.Namespace) -> int:
    """Print which labs are up, since when, where their kernel is, and their memory usage; refuse one that is not up."""
    lab = arguments.lab
    found = [lab_client.ask(lab, "status", owner=arguments.inventory)] if lab else all_labs()
    if arguments.json:
        print(json.dumps(found))
        return 0
    if not found:
        print("no lab is up; make lab brings one up")
    for status in found:
        print(describe(status))
    return 0


def execute(arguments: argparse.Namespace) -> int:
    lab = arguments.lab
    node = arguments.node
    command = arguments.command or ["/bin/bash", "-l"]
    relay = Relay()
    environment = {"TERM": os.environ.get("TERM", "dumb")} if node else callers_environment()
    head = {"kind": "exec", "lab": lab, "node": node, "command": command, **relay.request()}
    head |= {"environment": environment, "directory": "/root" if node else os.getcwd()}
    if arguments.owner:
        head["owner"] = os.path.realpath(arguments.owner)
    connection = lab_client.connect(lab, head.get("owner", ""))
    connection.sendall(frames.pack(0, frames.OPEN, json.dumps(head).encode() + b"\n"))
    lock = threading.Lock()

    def give(kind: bytes, data: bytes) -> None:
        with lock, contextlib.suppress(OSError):
            connection.sendall(frames.pack(0, kind, data))

    # The kernel outlives a command: this process exits, and the supervisor ends the command.
    relay.take_signals(lambda _number: None)
    threading.Thread(target=receive, args=(connection, relay), daemon=True).start()
    try:
        relay.start(give)
        relay.over.wait()
    finally:
        relay.restore()
    if "error" in relay.end:
        raise Refused(relay.end["error"])
    if "note" in relay.end:
        print(f"lab: {relay.end['note']}", file=sys.stderr)
    return int(relay.end["code"])


def receive(connection: socket.socket, relay: Relay) -> None:
    # A supervisor that is killed with unread data resets the connection.
    with contextlib.suppress(OSError):
        for frame in frames.frames_of(connection):
            relay.deliver(frame.kind, frame.data)
    relay.conclude({"error": "the lab ended meanwhile"})


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/lab", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    action = actions.add_parser("up", help="boot the kernel of a lab, if it is not up; site.yml does the rest")
    action.add_argument("lab")
    action.add_argument("--owner", required=True, help="the inventory's directory")
    action.add_argument("--check", action="store_true", help="only report whether it is up")
    action.add_argument("--json", action="store_true", help="the last line is a JSON object")
    action.set_defaults(run=up)
    action = actions.add_parser("down", help="take a lab down, in whatever state it is")
    action.add_argument("lab")
    action.add_argument("--owner", help="refuse a lab of another inventory")
    action.add_argument("--check", action="store_true", help="only report whether there is anything to take down")
    action.set_defaults(run=down)
    action = actions.add_parser("status", help="which labs are up, or whether one is")
    action.add_argument("lab", nargs="?")
    action.add_argument("--inventory", default="", help="its directory, for the advice if the lab is not up")
    action.add_argument("--json", action="store_true")
    action.set_defaults(run=status)
    action = actions.add_parser("exec", help="run a command, or a shell, in a node or (node '') in the lab's kernel")
    action.add_argument("--owner", help="refuse a lab of another inventory")
    action.add_argument("lab")
    action.add_argument("node")
    action.add_argument("command", nargs=argparse.REMAINDER)
    action.set_defaults(run=execute)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise Refused("must be root, because a lab consists of network namespaces: try again with sudo")
    name = getattr(arguments, "lab", None)
    if name is not None and (mistakes := lab_node.name_mistakes(name, [])):
        raise Refused(mistakes[0].removeprefix("lab: "))
    return int(arguments.run(arguments))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Refused, NotEnough, KernelFailed, lab_client.LabDown) as refused:
        print(f"lab: {refused}", file=sys.stderr)
        sys.exit(FAILURE)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
