# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything is in the drawing: rows of routers and fabrics, hypervisors below, guests inside their hypervisor.

This is not left to graphviz, which would be a program that the controller needs for one drawing: the rows are given by
what nodes are, so only the order within a row is computed. The same intent always gives the same drawing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from .model import Link, Node, Report

GAP, ROW_GAP, MARGIN = 28, 64, 24
WIDEST = 2600  # of a row; a longer one continues below
ROUTER = (188, 50)
FABRIC_WIDTH, FABRIC_LINE = 232, 13
CARD_WIDTH, CARD_HEAD = 160, 44
CHIP = (66, 19)
FRAMED = 12  # more hypervisors than this are drawn in frames, one per set of fabrics
CHIPS = 6  # more guests than this are drawn as dots
FRAME_HEAD, INSIDE = 34, 10


@dataclass
class Box:
    name: str
    width: float
    height: float
    x: float = 0
    y: float = 0

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass
class Guest:
    node: Node
    x: float
    y: float
    width: float
    height: float
    is_dot: bool


@dataclass
class Card(Box):
    guests: list[Guest] = field(default_factory=list)


@dataclass
class Frame(Box):
    """Hypervisors on the same fabrics."""

    fabrics: tuple[str, ...] = ()
    cards: list[Card] = field(default_factory=list)


@dataclass
class Line:
    """Between a fabric and a router, or a frame of routers (NODE is empty)."""

    node: str
    fabric: str
    links: list[Link]
    path: str


@dataclass
class Layout:
    width: float = 0
    height: float = 0
    routers: list[Card] = field(default_factory=list)
    fabrics: list[Box] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    places: dict[str, Box] = field(default_factory=dict)  # of routers and hypervisors


def layout(report: Report) -> Layout:
    hypervisors = [node for node in report.nodes.values() if node.kind == "hypervisor"]
    routers = [node for node in report.nodes.values() if node.kind in ("reflector", "border", "leaf")]
    access = {fabric for node in hypervisors for fabric in node.fabrics} or set(report.fabrics)
    order = {fabric: number for number, fabric in enumerate(report.fabrics)}
    below = defaultdict(list)
    for node in report.nodes.values():
        if node.parent:
            below[node.parent].append(node)

    def position(fabrics: tuple[str, ...] | dict[str, str]) -> float:
        places = [order[fabric] for fabric in fabrics]
        return sum(places) / len(places) if places else 0

    core = [node for node in routers if access.isdisjoint(node.fabrics)]
    others = [node for node in routers if node not in core]
    made = Layout()
    frames = _frames(hypervisors, below)
    made.frames = sorted(frames, key=lambda frame: position(frame.fabrics))
    rows: list[list[Box]] = [
        [Card(node.name, *ROUTER) for node in sorted(core, key=lambda node: position(node.fabrics))],
        [_fabric(report, fabric) for fabric in report.fabrics if fabric not in access],
        [Card(node.name, *ROUTER) for node in sorted(others, key=lambda node: position(node.fabrics))],
        [_fabric(report, fabric) for fabric in report.fabrics if fabric in access],
        list(made.frames),
    ]
    made.routers = [box for row in (rows[0], rows[2]) for box in row if isinstance(box, Card)]
    made.fabrics = [*rows[1], *rows[3]]
    _place(made, [row for row in rows if row])
    for frame in made.frames:
        _move_cards(frame)
    made.places = {box.name: box for box in made.routers}
    made.places |= {card.name: card for frame in made.frames for card in frame.cards}
    made.lines = _lines(report, made)
    return made


def _fabric(report: Report, name: str) -> Box:
    return Box(name, FABRIC_WIDTH, 30 + FABRIC_LINE * max(1, len(report.fabrics[name].prefixes)))


def _frames(hypervisors: list[Node], below: dict[str, list[Node]]) -> list[Frame]:
    """Without a frame around it, a hypervisor is one of its own."""
    is_framed = len(hypervisors) > FRAMED
    groups = defaultdict(list)
    for node in hypervisors:
        groups[tuple(node.fabrics), "" if is_framed else node.name].append(_card(node, below[node.name]))
    frames = []
    for (fabrics, name), cards in groups.items():
        height = max(card.height for card in cards)
        if not is_framed:
            frames.append(Frame(name, CARD_WIDTH, height, fabrics=fabrics, cards=cards))
            continue
        # Twice as wide as high.
        columns = min(len(cards), max(4, round(math.sqrt(2 * len(cards) * (height + INSIDE) / CARD_WIDTH))))
        lines = math.ceil(len(cards) / columns)
        for number, card in enumerate(cards):
            card.x = INSIDE + number % columns * (CARD_WIDTH + INSIDE)
            card.y = FRAME_HEAD + number // columns * (height + INSIDE)
        width = INSIDE + columns * (CARD_WIDTH + INSIDE)
        frames.append(Frame("", width, FRAME_HEAD + lines * (height + INSIDE), fabrics=fabrics, cards=cards))
    return frames


def _card(node: Node, guests: list[Node]) -> Card:
    """A hypervisor with its guests and containers; their places are relative to the card."""
    is_dot = len(guests) > CHIPS
    width, height, columns, gap = (9, 9, 12, 3) if is_dot else (*CHIP, 2, 6)
    card = Card(node.name, CARD_WIDTH, CARD_HEAD + math.ceil(len(guests) / columns) * (height + gap) + 4)
    for number, guest in enumerate(guests):
        x, y = 11 + number % columns * (width + gap), CARD_HEAD + number // columns * (height + gap)
        card.guests.append(Guest(guest, x, y, width, height, is_dot))
    return card


def _place(made: Layout, rows: list[list[Box]]) -> None:
    """Rows one below the other, each in the middle, wrapped where it would be too wide."""
    wrapped = [line for row in rows for line in _wrapped(row)]
    made.width = max((_width(line) for line in wrapped), default=0) + 2 * MARGIN
    y = float(MARGIN)
    for row in rows:
        for line in _wrapped(row):
            x = (made.width - _width(line)) / 2
            for box in line:
                box.x, box.y = x, y
                x += box.width + GAP
            y += max(box.height for box in line) + GAP
        y += ROW_GAP - GAP
    made.height = max(y - ROW_GAP, 0) + MARGIN


def _wrapped(row: list[Box]) -> list[list[Box]]:
    lines: list[list[Box]] = [[]]
    for box in row:
        if lines[-1] and _width(lines[-1]) + GAP + box.width > WIDEST:
            lines.append([])
        lines[-1].append(box)
    return lines


def _width(line: list[Box]) -> float:
    return sum(box.width for box in line) + GAP * (len(line) - 1)


def _move_cards(frame: Frame) -> None:
    """From places relative to the frame, and guests' relative to their card, to places in the drawing."""
    for card in frame.cards:
        card.x, card.y = card.x + frame.x, card.y + frame.y
        for guest in card.guests:
            guest.x, guest.y = guest.x + card.x, guest.y + card.y


def _lines(report: Report, made: Layout) -> list[Line]:
    fabrics = {box.name: box for box in made.fabrics}
    by_node = defaultdict(list)
    for link in report.links:
        by_node[link.node].append(link)
    ends: list[tuple[Box, str, dict[str, list[Link]]]] = [
        (box, box.name, {link.fabric: [link] for link in by_node[box.name]}) for box in made.routers
    ]
    for frame in made.frames:
        links: dict[str, list[Link]] = {fabric: [] for fabric in frame.fabrics}
        for card in frame.cards:
            for link in by_node[card.name]:
                links[link.fabric].append(link)
        ends.append((frame, frame.name, links))
    uses: dict[tuple[str, bool], list[Box]] = defaultdict(list)
    for box, _name, links in ends:
        for fabric in links:
            uses[fabric, box.y > fabrics[fabric].y].append(box)
    for boxes in uses.values():
        boxes.sort(key=lambda box: box.middle)
    found = []
    for box, name, links in ends:
        by_place = sorted(links, key=lambda fabric: fabrics[fabric].middle)
        for number, fabric in enumerate(by_place):
            target = fabrics[fabric]
            is_below = box.y > target.y
            others = uses[fabric, is_below]
            x = box.x + box.width * (number + 1) / (len(by_place) + 1)
            to_x = target.x + target.width * (others.index(box) + 1) / (len(others) + 1)
            y, to_y = (box.y, target.bottom) if is_below else (box.bottom, target.y)
            half = (y + to_y) / 2
            path = f"M{x:.0f} {y:.0f}C{x:.0f} {half:.0f} {to_x:.0f} {half:.0f} {to_x:.0f} {to_y:.0f}"
            found.append(Line(name, fabric, links[fabric], path))
    return found
