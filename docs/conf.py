"""How Sphinx makes web pages of the guides and of the collection's documentation; bin/docs runs it."""

from pathlib import Path

import yaml

GALAXY = Path(__file__).parents[1] / "collections/ansible_collections/routed/hypervisor/galaxy.yml"

project = "Routed Hypervisor"
version = release = yaml.safe_load(GALAXY.read_text(encoding="utf-8"))["version"]
extensions = ["sphinx_antsibull_ext", "myst_parser"]
html_theme = "alabaster"
html_theme_options = {"description": f"Version {release}", "fixed_sidebar": True, "page_width": "72em"}
highlight_language = "text"
myst_heading_anchors = 3
# The contents are put at the end of the README, which is the first page.
exclude_patterns = ["docs/contents.md", "roles/*/templates", "roles/*/files"]
# Labels of Ansible's own documentation, which only a network would find. References within this collection and to
# ansible.builtin are checked by antsibull-docs lint-collection-docs.
suppress_warnings = ["ref.ref"]
