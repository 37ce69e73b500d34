# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Third-party libraries of the inventory plugin, imported in one place so that a missing one gives a clear error."""

from __future__ import annotations

import traceback

__all__ = ["IMPORT_ERRORS", "jsonschema", "netaddr"]

IMPORT_ERRORS: dict[str, str] = {}

try:
    import netaddr
except ImportError:
    netaddr = None  # type: ignore[assignment] # users check IMPORT_ERRORS first
    IMPORT_ERRORS["netaddr"] = traceback.format_exc()

try:
    import jsonschema
except ImportError:
    jsonschema = None  # type: ignore[assignment]
    IMPORT_ERRORS["jsonschema"] = traceback.format_exc()
