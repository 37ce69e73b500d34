"""A BGP speaker without graceful restart that ends its first table with an End-of-RIB all the same, as FRR does.

plain_speaker.py LISTEN AS: answers one neighbor, and prints the prefixes (IPv4) that it is told, one a line.
"""

from __future__ import annotations

import socket
import struct
import sys

OPEN, UPDATE, KEEPALIVE = 1, 2, 4
HEADER = 19


def message(kind: int, body: bytes = b"") -> bytes:
    return b"\xff" * 16 + struct.pack(">HB", HEADER + len(body), kind) + body


def opening(number: int, router_id: str) -> bytes:
    capabilities = bytes([1, 4, 0, 1, 0, 1]) + bytes([65, 4]) + struct.pack(">I", number)
    options = bytes([2, len(capabilities)]) + capabilities
    return struct.pack(">BHH4sB", 4, number, 90, socket.inet_aton(router_id), len(options)) + options


def announced(update: bytes) -> list[str]:
    withdrawn = struct.unpack_from(">H", update)[0]
    attributes = struct.unpack_from(">H", update, 2 + withdrawn)[0]
    rest, found = update[4 + withdrawn + attributes :], []
    while rest:
        size = (rest[0] + 7) // 8
        found.append(f"{socket.inet_ntoa(rest[1 : 1 + size].ljust(4, bytes(1)))}/{rest[0]}")
        rest = rest[1 + size :]
    return found


def main(listen: str, number: int) -> None:
    with socket.create_server((listen, 179)) as server:
        connection, _from = server.accept()
        stream = connection.makefile("rb")
        connection.sendall(message(OPEN, opening(number, listen)))
        while head := stream.read(HEADER):
            size, kind = struct.unpack_from(">HB", head, 16)
            body = stream.read(size - HEADER)
            if kind == OPEN:
                connection.sendall(message(KEEPALIVE) + message(UPDATE, bytes(4)))
            elif kind == UPDATE:
                print(*announced(body), sep="\n", flush=True)
            elif kind == KEEPALIVE:
                connection.sendall(message(KEEPALIVE))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
