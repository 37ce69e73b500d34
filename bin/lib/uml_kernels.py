"""The user-mode Linux kernels in the cache, each described by TOOLS/uml/KIND/kernel.json, and the choice among them.

`uml_kernels.py TOOLS` prints the kind and the version of the one to boot; exit code 1 if there is none.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from pathlib import Path

CHOICE = "ROUTED_HYPERVISOR_UML"


class NoKernelError(Exception):
    """There is no kernel to boot."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Paths are absolute here; in kernel.json they are relative to its directory, so that the cache can be moved."""

    kind: str
    version: str
    origin: str
    linux: str
    parameters: list[str]
    # The dynamic loader and its libraries, for a kernel that needs newer ones than the machine's.
    loader: str | None
    libraries: str | None
    # The directory for modprobe -d; None if everything is built in.
    modules: str | None
    nftables_inet: bool


def read(description: Path) -> Kernel:
    fields = json.loads(description.read_text(encoding="utf-8"))
    for name in ("linux", "loader", "libraries", "modules"):
        if fields[name] is not None:
            fields[name] = os.path.abspath(description.parent / fields[name])
    names = {field.name for field in dataclasses.fields(Kernel)} - {"kind"}
    return Kernel(kind=description.parent.name, **{name: fields[name] for name in names})


def available(tools: str) -> list[Kernel]:
    """Best first: a kernel built for the lab has everything, and newer ones are faster."""
    kernels = []
    for description in Path(tools, "uml").glob("[a-z]*/kernel.json"):
        kernel = read(description)
        if os.access(kernel.linux, os.X_OK):
            kernels.append(kernel)
    return sorted(kernels, key=rank, reverse=True)


def rank(kernel: Kernel) -> tuple[bool, list[int]]:
    return kernel.kind == "built", [int(number) for number in re.findall(r"\d+", kernel.version)]


def choose(tools: str, kind: str | None = None) -> Kernel:
    """The kernel of KIND, else of the kind in the environment, else the best."""
    kind = kind or os.environ.get(CHOICE)
    kernels = available(tools)
    for kernel in kernels:
        if kind in (None, "", kernel.kind):
            return kernel
    if kernels:
        kinds = ", ".join(kernel.kind for kernel in kernels)
        raise NoKernelError(f"there is no user-mode Linux '{kind}' in {tools}/uml, only {kinds}.")
    raise NoKernelError(f"user-mode Linux is not in {tools}: run 'make setup'.")


def main() -> int:
    try:
        kernel = choose(sys.argv[1])
    except NoKernelError as error:
        print(error)
        return 1
    print(kernel.kind, kernel.version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
