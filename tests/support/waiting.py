"""Waiting for what will be true in a moment: never longer than it takes, and never for a fixed time."""

from __future__ import annotations

import difflib
import pprint
import time
import typing as t

Found = t.TypeVar("Found")


def until(holds: t.Callable[[], Found], seconds: float = 30, what: str = "the condition", pause: float = 0.02) -> Found:
    """What `holds` returns as soon as that is true."""
    deadline = time.monotonic() + seconds
    while True:
        last = time.monotonic() >= deadline  # asked once after the deadline: the machine may have stalled before it
        if found := holds():
            return found
        assert not last, f"not within {seconds:g} s: {what}"
        time.sleep(pause)


def until_equal(ask: t.Callable[[], object], expected: object, seconds: float = 30, pause: float = 0.02) -> None:
    """Wait for an answer; if it never comes, the test shows how the last one differs."""
    deadline = time.monotonic() + seconds
    last = False
    while (found := ask()) != expected and not last:
        time.sleep(pause)
        last = time.monotonic() >= deadline
    lines = [pprint.pformat(value, width=160).splitlines() for value in (expected, found)]
    assert found == expected, "\n".join(difflib.unified_diff(*lines, "expected", "found", n=1, lineterm=""))


def seconds_until(holds: t.Callable[[], object], seconds: float, what: str, pause: float = 0.02) -> float:
    start = time.monotonic()
    until(holds, seconds, what, pause)
    return time.monotonic() - start


def stays(holds: t.Callable[[], object], seconds: float, what: str = "the condition", pause: float = 0.05) -> None:
    """Something remains true: for what must not happen, there is no event to wait for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert holds(), f"not for {seconds:g} s: {what}"
        time.sleep(pause)
