"""
The salts of streams that a server of 2022 has taken, from one run to the next.

They are written when it stops and taken away when it starts, so that a run that
ends in another way leaves none, and the next one knows that it does not know.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from socksproxy.errors import ConfigurationError
from socksproxy.events import log
from socksproxy.shadowsocks._replay import POOL, SaltPool

_LONGEST = 64 + POOL * 64


def takeSalts(path: str, pool: SaltPool, now: float) -> bool:
    """
    Read the salts that the last run has left, and leave none.

    @param pool: Where they belong.
    @param now: Seconds since 1970.
    @return: Whether there was a file of them.
    @raise ConfigurationError: It is a file of something else, which is left as
        it is, or cannot be read or taken away.
    """
    try:
        with open(path, "rb") as file:
            saved = file.read(_LONGEST)
        pool.load(saved, now)
        os.remove(path)
    except FileNotFoundError:
        return False
    except OSError as e:
        raise ConfigurationError(f"{path}: {e.strerror}") from e
    except ConfigurationError as e:
        raise ConfigurationError(f"{path}: {e}") from None
    return True


def leaveSalts(path: str, pool: SaltPool, now: float) -> None:
    """
    Write the salts for the next run. Where that is impossible it is not too
    late to say so, but too late to do anything about it.

    @param pool: Where they are.
    @param now: Seconds since 1970.
    """
    folder, name = os.path.split(path)
    try:
        # Nobody else may read it, and nobody ever sees half of it.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder or ".")
        try:
            with open(descriptor, "wb") as file:
                file.write(pool.save(now))
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                os.remove(temporary)
            raise
    except OSError as e:
        log.error("The salts of Shadowsocks are lost: {path}: {error}", path=path, error=e.strerror)
