# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Sphinx: the Markdown pages as they are, and the Python interface from docstrings (``tox -e docs``).

Nothing is fetched while it builds; a warning, such as a link that leads nowhere, ends the build.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent

project = "ovmf-acceptance"
author = "The ovmf-acceptance developers"
extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
root_doc = "contents"
exclude_patterns = ["_build", "requirements.lock"]
html_theme = "furo"
html_title = "ovmf-acceptance"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
suppress_warnings = ["ref.python"]
"""Annotations name classes as their module imports them, and several rooms have a Problem."""
default_role = "code"
myst_heading_anchors = 3
myst_links_external_new_tab = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
autodoc_default_options = {"no-value": True}

apidoc_modules = [
    {
        "path": str(PROJECT / "harness"),
        "destination": "reference/api",
        "max_depth": 2,
        "module_first": True,
        "automodule_options": {"members", "show-inheritance"},
    }
]
