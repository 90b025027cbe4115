"""
What holds for every test.
"""

import resource

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """
    Take all the file descriptors that there are: tests with hundreds of
    connections have both ends of them.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Run each test in a folder for temporary files, since trial's C{mktemp}
    makes them in the current one.
    """
    monkeypatch.chdir(tmp_path_factory.getbasetemp())
