# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rolls back by itself: a timer of systemd, and a unit that also runs at boot. Private to this collection."""

from __future__ import annotations

import contextlib
import os

from ..._daemon.service import ServiceError, has_systemd, run
from ..._engine import atomic
from ..units import DAEMONS, EARLIER, ENGINES, LIMIT_S, SERVICE
from .record import ARMED, PROGRAM, ArmingError

NAME = f"{SERVICE}-rollback"
AT_BOOT = f"{NAME}-at-boot"
BOOT_UNIT = f"/etc/systemd/system/{AT_BOOT}.service"
ENABLED = f"/etc/systemd/system/multi-user.target.wants/{AT_BOOT}.service"
# Gone after a boot, where the other unit rolls back
UNIT = f"/run/systemd/system/{NAME}.service"
TIMER = f"/run/systemd/system/{NAME}.timer"
SYSTEMCTL_S = 30.0
HEADER = "# Managed by Routed Hypervisor (an armed change): removed when it is confirmed or rolled back."


# The interpreter by name: /var may be mounted without the right to execute.
SECTION = f"""[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I {PROGRAM} rollback --expired
TimeoutStartSec={LIMIT_S}
"""


def unit() -> str:
    """Without an order: it starts daemons, and one that came after it would wait for it, as it waits for the daemon."""
    return f"""{HEADER}
[Unit]
Description=Roll back a change of this hypervisor that was not confirmed
StartLimitIntervalSec=0

{SECTION}Restart=on-failure
RestartSec=3
"""


def boot_unit() -> str:
    before = " ".join(f"{name}.service" for name in (SERVICE, *DAEMONS, *ENGINES))
    return f"""{HEADER}
[Unit]
Description=Roll back a change of this hypervisor that was not confirmed before it was rebooted
ConditionPathExists={ARMED}
After={" ".join(EARLIER)}
Before={before}

{SECTION}
[Install]
WantedBy=multi-user.target
"""


def timer(seconds: float) -> str:
    return f"""{HEADER}
[Unit]
Description=The end of the time in which a change must be confirmed

[Timer]
OnActiveSec={seconds:g}s
AccuracySec=100ms
Unit={NAME}.service
"""


def start(seconds: float) -> None:
    atomic.replace(BOOT_UNIT, boot_unit().encode(), 0o644)
    os.makedirs(os.path.dirname(ENABLED), exist_ok=True)  # systemctl removes it with the last service in it
    with contextlib.suppress(FileExistsError):
        os.symlink(BOOT_UNIT, ENABLED)
    restart(seconds)


def restart(seconds: float) -> None:
    os.makedirs(os.path.dirname(TIMER), exist_ok=True)
    atomic.replace(UNIT, unit().encode(), 0o644)
    atomic.replace(TIMER, timer(seconds).encode(), 0o644)
    _systemctl("daemon-reload")
    _systemctl("restart", f"{NAME}.timer")


def stop() -> None:
    """Not the unit, which may be what runs this."""
    if os.path.lexists(TIMER):
        with contextlib.suppress(ArmingError):
            _systemctl("stop", f"{NAME}.timer")
    for path in (TIMER, UNIT, ENABLED, BOOT_UNIT):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    if has_systemd():
        with contextlib.suppress(ArmingError):
            _systemctl("daemon-reload")
        with contextlib.suppress(ArmingError):  # it may have waited for its next attempt
            _systemctl("reset-failed", f"{NAME}.service")


def _systemctl(*words: str) -> None:
    try:
        result = run(["systemctl", *words], SYSTEMCTL_S)
    except ServiceError as error:
        raise ArmingError(str(error)) from error
    if result.code:
        raise ArmingError(f"systemctl {' '.join(words)} failed: {' '.join(result.short().split())}")
