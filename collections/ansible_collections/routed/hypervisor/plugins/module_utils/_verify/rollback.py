# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifies that this host has not rolled back its last change. Private to this collection."""

from __future__ import annotations

from .._agent.arming import record


def verify_rollback():
    noted = record.rolled_back()
    return (True, "no change was rolled back") if noted is None else (False, record.said(noted))
