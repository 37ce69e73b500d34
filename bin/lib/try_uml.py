"""Inside a new user-mode Linux: fails unless the lab can run there, and prints whether nftables' inet family works.

The argument is the path of bin/lab-kernel.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys

NETLINK_NETFILTER = 12
NLMSG_ERROR, NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE = 2, 1, 4, 0x400
NFNL_SUBSYS_NFTABLES, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 10, 16, 17
NFT_MSG_NEWTABLE, NFTA_TABLE_NAME, NFPROTO_INET = 0, 1, 1


def message(kind: int, flags: int, family: int, resource: int, attributes: bytes = b"") -> bytes:
    body = struct.pack("!BBH", family, 0, resource) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body


def has_nftables_inet() -> bool:
    """Add a table of that family, without the program nft, which the machine may lack."""
    name = struct.pack("=HH", 4 + 4, NFTA_TABLE_NAME) + b"try\0"
    batch = (
        message(NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES)
        + message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_ACK | NLM_F_CREATE, NFPROTO_INET, 0, name)
        + message(NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES)
    )
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
            netlink.settimeout(5)
            netlink.send(batch)
            answer = netlink.recv(4096)
    except OSError:
        return False
    kind, error = struct.unpack_from("=4xH10xi", answer)
    return bool(kind == NLMSG_ERROR and error == 0)


def main() -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROUTED_HYPERVISOR_KERNEL")}
    probe = subprocess.run([sys.argv[1], "--probe"], env=environment, capture_output=True, text=True, check=False)
    if not probe.stdout.startswith("host:"):
        print((probe.stdout + probe.stderr).strip())
        return errno.ENOSYS
    print("true" if has_nftables_inet() else "false")
    return 0


if __name__ == "__main__":
    sys.exit(main())
