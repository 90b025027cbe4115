"""
Folders for tests that need a file.
"""

import tempfile
from pathlib import Path
from unittest import TestCase


def temporaryFolder(test: TestCase) -> Path:
    """
    Make a folder that is gone after the test.
    """
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return Path(folder.name)
