"""Marks and deletes links of all kinds. Private to this collection."""

from __future__ import annotations

import typing as t
from errno import EEXIST, EOPNOTSUPP

from .._engine.apply import Phase, Step
from .._netlink.codec import LINK
from .._netlink.kernel import DOOMED, Kernel
from .._netlink.marks import MARK


def set_link(kernel: Kernel, name: str, attributes: list[tuple[str, t.Any]], **fields: int) -> None:
    kernel.new(LINK, fields, [("IFLA_IFNAME", name), *attributes], flags=0)


def mark_link(text: str, name: str) -> Step:
    """Marks a link as ours and complete; until then its group shows that it is being created."""
    attributes = [("IFLA_IFALIAS", MARK), ("IFLA_GROUP", 0)]
    return Step(Phase.MARKS, f"mark {text}", lambda kernel: set_link(kernel, name, attributes))


def delete_link(kernel: Kernel, name: str) -> None:
    """A missing link is not an error: the kernel deletes a link with its parent, its peer or its namespace."""
    kernel.delete(LINK, {}, [("IFLA_IFNAME", name)], missing_ok=True)


def creation_remedies(kind: str) -> dict[int, str]:
    return {
        EOPNOTSUPP: f"this kernel has no links of type {kind}: load or install the kernel module for them",
        EEXIST: "another link has this name, VLAN or table now; run this again",
    }


def deletion(text: str, name: str, where: str = "") -> list[Step]:
    """Deletes a link together with all others that are to be deleted in its namespace."""

    def doom(kernel: Kernel) -> None:
        kernel.new(LINK, {}, [("IFLA_IFNAME", name), ("IFLA_GROUP", DOOMED)], flags=0, missing_ok=True)

    return [
        Step(Phase.DOOM_LINKS, f"delete {text}", doom, where),
        Step(Phase.REMOVE_LINKS, f"delete {text}", lambda kernel: kernel.delete_doomed(), where),
    ]
