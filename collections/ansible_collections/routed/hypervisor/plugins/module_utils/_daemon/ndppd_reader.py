# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Splits the text of an ndppd configuration into statements. Private to this collection."""

from __future__ import annotations

import dataclasses
import typing as t

from .._engine.options import Mistakes

NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@dataclasses.dataclass
class Statement:
    name: str
    value: str
    line: int
    block: list[Statement] | None


class Reader:
    """Parses text into statements, with ndppd's rules for blanks, comments and quotes (conf.cc)."""

    def __init__(self, text: str, mistakes: Mistakes):
        self.text, self.mistakes, self.at = text, mistakes, 0

    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def wrong(self, text: str, line: int | None = None) -> None:
        self.mistakes.at(f"line {line or self.line()}", text)

    def skip(self, newlines: bool) -> None:
        while self.at < len(self.text):
            if self.peek().isspace() and (newlines or self.peek() != "\n"):
                self.at += 1
            elif self.peek() == "#" or self.text.startswith("//", self.at):
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text.startswith("/*", self.at):
                end = self.text.find("*/", self.at + 2)
                if end < 0:
                    self.wrong("this comment is not closed")
                self.at = len(self.text) if end < 0 else end + 2
            else:
                return

    def block(self, opened: int | None) -> list[Statement]:
        statements = []
        while True:
            self.skip(True)
            if not self.peek():
                if opened:
                    self.wrong("this block is not closed", opened)
                return statements
            if self.peek() == "}":
                if opened:
                    self.at += 1
                    return statements
                self.wrong("this closing brace matches no block")
                self.at += 1
            elif self.peek() == "{":
                self.wrong("the opening brace must be on the line of its keyword, or ndppd drops the block")
                line, self.at = self.line(), self.at + 1
                lost = self.block(line)
                if statements and statements[-1].block is None:
                    statements[-1].block = lost  # so that mistakes in it are reported, too
            elif self.peek() not in NAME:
                self.wrong(f"a keyword cannot begin with {self.peek()!r}")
                self.at = self._end_of_line()
            else:
                statements.append(self.statement())

    def _end_of_line(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def _while(self, good: t.Callable[[str], bool]) -> str:
        start = self.at
        while self.peek() and good(self.peek()):
            self.at += 1
        return self.text[start : self.at]

    def statement(self) -> Statement:
        line = self.line()
        name = self._while(lambda character: character in NAME)
        self.skip(False)
        if self.peek() == "=":
            self.at += 1
            self.skip(False)
        value = self._value()
        self.skip(False)
        block = None
        if self.peek() == "{":
            self.at += 1
            block = self.block(line)
        return Statement(name, value, line, block)

    def _value(self) -> str:
        quote = self.peek()
        if quote not in ("'", '"'):
            return self._while(lambda character: not character.isspace() and character not in "{}")
        self.at += 1
        value = self._while(lambda character: character not in (quote, "\n"))
        if self.peek() != quote:
            self.wrong("this quote is not closed on its line")
        else:
            # ndppd does not consume the closing quote, and reads it as a statement without a name.
            self.wrong("ndppd does not support quotes; write the value without them")
            self.at += 1
        return value
