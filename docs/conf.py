"""
How Sphinx makes the manual.
"""

from socksproxy import __version__

project = "socksproxy"
author = "the socksproxy developers"
copyright = f"2026, {author}"
version = release = __version__
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"socksproxy {__version__}"
