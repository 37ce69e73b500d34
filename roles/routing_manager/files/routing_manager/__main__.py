# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command routed-hypervisor-routes."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys

from . import config, once
from .daemon import Daemon

DEFAULT = "/etc/routed-hypervisor/routing_manager.json"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="routed-hypervisor-routes",
        description="Keeps GoBGP and the kernel's routing tables in step, both ways.",
        epilog="Exit code: 0 success; 1 something is out of step or failed; 2 wrong configuration.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="correct both sides, and keep them in step until stopped")
    run.add_argument("--once", action="store_true", help="correct both sides once and exit")
    run.add_argument("--dry-run", action="store_true", help="show what --once would do, change nothing")
    status = commands.add_parser("status", help="list what is out of step")
    status.add_argument("--json", action="store_true", help="print JSON")
    for command in (run, status):
        command.add_argument("--config", default=DEFAULT, metavar="FILE", help=f"default: {DEFAULT}")
    return parser.parse_args()


def main() -> int:
    # Blocked until there is a handler: the default action would end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    options = arguments()
    # A journal adds the time of each line; a log file does not.
    time = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(format=f"{time}%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        settings = config.load(options.config)
    except config.ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if options.command == "status":
        return once.status(settings, options.json)
    if options.once or options.dry_run:
        return once.once(settings, dry=options.dry_run)
    asyncio.run(Daemon(settings).run(options.config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
