"""
What holds for every test.
"""

import pytest


@pytest.fixture(autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Run each test in a folder for temporary files, since trial's C{mktemp}
    makes them in the current one.
    """
    monkeypatch.chdir(tmp_path_factory.getbasetemp())
