"""The routing manager is a program of its role, and is imported from there. These tests need no kernel and no BGP."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/routing_manager/files"))
