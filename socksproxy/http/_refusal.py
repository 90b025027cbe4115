"""
What is wrong with a message, and how to say so in a status code.
"""

from socksproxy.errors import RemoteProtocolError


class Refusal(RemoteProtocolError):
    """
    A message that will not be understood. The text is ours and quotes nothing.

    @ivar status: The status code for it.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
