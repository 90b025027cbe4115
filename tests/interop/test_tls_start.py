"""
C{tcp+tls:} listeners that cannot be had.
"""

from pathlib import Path

import pytest

from tests.daemon import run
from tests.interop.tlslistener import Certificates


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """
    Make certificates.
    """
    return Certificates(tmp_path)


class TestStart:
    """
    What cannot work is said in one line.
    """

    def refused(self, listener: str) -> str:
        """
        Fail unless the daemon does not start.

        @return: What it says.
        """
        ended = run("-n", "--pidfile=", "socksproxy", "--listen", listener)
        said = ended.stderr.decode()
        assert ended.returncode == 1, ended
        assert said.count("\n") == 1, said
        return said

    def test_files(self, certificates: Certificates, tmp_path: Path) -> None:
        """
        Files that are not there are named.
        """
        nowhere = str(tmp_path / "nowhere.pem")
        for name in ("certificate", "privateKey", "clientCA"):
            said = self.refused(certificates.listener(**{name: nowhere}))
            assert f"{nowhere}: No such file or directory" in said

    def test_wrongKey(self, certificates: Certificates) -> None:
        """
        So is a key that is another's, without anything of it.
        """
        said = self.refused(certificates.listener(privateKey=certificates.client.key))
        assert "does not belong to the certificate" in said

    def test_parameters(self, certificates: Certificates) -> None:
        """
        So are parameters that mean nothing.
        """
        assert "colour means nothing" in self.refused(certificates.listener(colour="red"))

    def test_openRelay(self, certificates: Certificates) -> None:
        """
        Who listens for everybody has to say so, as without TLS.
        """
        said = self.refused(certificates.listener(interface="0.0.0.0"))
        assert "would let anybody use this proxy" in said
