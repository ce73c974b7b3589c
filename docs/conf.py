"""How Sphinx builds the documentation: ``sphinx-build -W docs FOLDER``, without a network."""

from __future__ import annotations

from nhagent.version import __version__

project = "nhagent"
author = "The nhagent developers"
copyright = "2026, the nhagent developers"  # noqa: A001 - Sphinx calls it so
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["generated"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
default_role = "code"

html_theme = "furo"
html_title = f"nhagent {__version__}"
html_copy_source = False
