# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a verification and of drills: from what is known of them to a page, Markdown, JUnit XML and a drawing.

    host variables ─┐
    verify.json ────┼─ model ─┬─ layout ─ svg ─┐
    drills.json ────┘         ├─ plot ─────────┴─ page   report.html
                              ├─ markdown, mermaid       report.md
                              └─ junit                   report.xml

Private to this collection. Everything here is a pure function, except reading and writing in `document` and `files`.
"""
