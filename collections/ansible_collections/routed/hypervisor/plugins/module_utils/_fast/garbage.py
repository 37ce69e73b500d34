# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs without Python's cyclic garbage collector. Private to this collection."""

from __future__ import annotations

import contextlib
import gc
import typing as t


@contextlib.contextmanager
def no_collections() -> t.Iterator[None]:
    """A collection looks at all objects, and a run of a module keeps nearly all of its objects until it ends.

    1,000 routes: 135 ms of processor time with collections, 105 ms without. In a forked child, a collection also copies
    the memory of its parent page by page.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
