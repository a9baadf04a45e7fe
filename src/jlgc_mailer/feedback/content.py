"""The content of messages that are being received, and the memory that all of them may have together."""

from dataclasses import dataclass

from jlgc_mailer.feedback.message import LIMIT

SMALL = 64 * 1024  # octets that need no room: nearly all reports are smaller, and connections are counted
TOO_LARGE = f"552 5.3.4 A report has at most {LIMIT} octets"
NO_ROOM = "452 4.3.1 There is no room for a message of this size now, please try again"


@dataclass
class Room:
    """Octets that messages which are not small may hold at once."""

    free: int = 20 * LIMIT


class Content:
    """What has come of one message; nothing is kept any more once it has a `refusal`."""

    def __init__(self, room: Room) -> None:
        self.refusal: str | None = None
        self._room = room
        self._taken = self._size = 0
        self._kept = bytearray()

    def add(self, piece: bytes) -> None:
        """Keep a piece, if the message is not too large and there is room."""
        self._size += len(piece)
        if self._size > LIMIT:
            self._refuse(TOO_LARGE)
        elif self.refusal is None and self._has_room():
            self._kept += piece
        else:
            self._refuse(NO_ROOM)

    def octets(self) -> bytes:
        """All of it."""
        return bytes(self._kept)

    def release(self) -> None:
        """Give its room to others."""
        self._room.free += self._taken
        self._taken = 0

    def _has_room(self) -> bool:
        needed = max(0, self._size - SMALL) - self._taken
        if needed > self._room.free:
            return False
        self._room.free -= needed
        self._taken += needed
        return True

    def _refuse(self, reply: str) -> None:
        self.refusal = reply
        self._kept.clear()
        self.release()
