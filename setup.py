"""
Which packages are installed; everything else is in pyproject.toml.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["socksproxy", "socksproxy.*"]), "twisted.plugins"],
    # With it an editable install puts this folder itself on the path; without
    # it setuptools writes an import hook, which Twisted's plugin search, a
    # walk over sys.path, cannot see through.
    package_dir={"": "."},
)
