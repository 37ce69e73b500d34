"""The line between the guest program and the supervisor."""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import typing as t

import frames
from terminals import open_line


class Link:
    """Delivers each frame that arrives, and sends frames as fast as the supervisor reads them."""

    def __init__(
        self, ends: dict[str, t.Any], selector: selectors.BaseSelector, on_frame: t.Callable[[frames.Frame], None]
    ) -> None:
        if "path" in ends:
            self.source = self.target = open_line(ends["path"])
        else:
            self.source, self.target = ends["fds"]
        os.set_blocking(self.source, False)
        os.set_blocking(self.target, False)
        self.selector, self.on_frame = selector, on_frame
        self.parser = frames.Parser()
        self.to_send = bytearray()
        selector.register(self.source, selectors.EVENT_READ, self.on_event)

    def send(self, number: int, kind: bytes, data: bytes = b"") -> None:
        self.to_send += frames.pack(number, kind, data)  # sent before the next wait

    def flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.to_send:
                del self.to_send[: os.write(self.target, self.to_send[: frames.CHUNK])]
        # A serial line has one descriptor for both directions: it is already registered for reading.
        events = selectors.EVENT_WRITE if self.to_send else 0
        if self.source == self.target:
            self.selector.modify(self.source, selectors.EVENT_READ | events, self.on_event)
        elif events and self.target not in self.selector.get_map():
            self.selector.register(self.target, events, lambda _: self.flush())
        elif not events and self.target in self.selector.get_map():
            self.selector.unregister(self.target)

    def on_event(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self.flush()
        if not events & selectors.EVENT_READ:
            return
        try:
            data = os.read(self.source, 1 << 18)
        except BlockingIOError:
            return
        if not data:
            sys.exit()  # the supervisor is gone
        for frame in self.parser.feed(data):
            self.on_frame(frame)
