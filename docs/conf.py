"""How Sphinx makes web pages of the guides and of the collection's documentation; bin/docs runs it."""

project = "Routed Hypervisor"
extensions = ["sphinx_antsibull_ext", "myst_parser"]
html_theme = "alabaster"
html_theme_options = {"fixed_sidebar": True, "page_width": "72em"}
highlight_language = "text"
myst_heading_anchors = 3
exclude_patterns = ["roles/*/templates", "roles/*/files"]
# Labels of Ansible's own documentation, which only a network would find. References within this collection and to
# ansible.builtin are checked by antsibull-docs lint-collection-docs.
suppress_warnings = ["ref.ref"]
