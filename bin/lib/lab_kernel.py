"""Boots a kernel for one command, which ends with it. bin/lab-kernel runs this after choosing a kind of kernel.

    lab_kernel.py KIND TOOLS COMMAND [ARGUMENT…]

Nothing outlives this process, not even after SIGKILL: see kernels.py.
"""

from __future__ import annotations

import os
import sys

from command_environment import callers_environment
from kernels import Kernel, KernelFailed
from memory import NotEnough, kernel_memory
from relay import Relay

FAILURE = 125


def say(sentence: str) -> None:
    print(f"lab-kernel: {sentence}", file=sys.stderr, flush=True)


def run(kernel: Kernel, relay: Relay, command: list[str]) -> None:
    kernel.boot()
    if relay.over.is_set():  # by a signal
        return
    kernel.wait()
    head = {
        "kind": "exec",
        "command": command,
        "directory": os.getcwd(),
        "environment": callers_environment(),
        **relay.request(),
    }
    job = kernel.submit(head, b"", relay.deliver)
    relay.start(lambda kind, data: kernel.send(job, kind, data))
    relay.over.wait()


def main() -> int:
    kind, tools, *command = sys.argv[1:]
    relay = Relay()
    try:
        kernel = Kernel(kind, tools, kernel_memory())
    except NotEnough as error:
        say(str(error))
        return FAILURE
    relay.take_signals(lambda _number: kernel.kill())
    try:
        run(kernel, relay, command)
    except (KernelFailed, OSError) as error:
        relay.conclude({"error": str(error)})
    finally:
        relay.restore()
    kernel.shut_down()
    if "error" in relay.end:
        say(kernel.verdict("the command did") if relay.end.get("gone") else relay.end["error"])
        return FAILURE
    if sentence := kernel.out_of_memory():
        say(sentence)
        return int(relay.end["code"]) or FAILURE
    return int(relay.end["code"])


if __name__ == "__main__":
    sys.exit(main())
