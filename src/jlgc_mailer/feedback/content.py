"""The content of messages that are being received, and how much of it there may be: of one, at once, and in a day."""

import logging
from dataclasses import dataclass
from datetime import date

from jlgc_mailer.feedback.message import LIMIT

SMALL = 64 * 1024  # octets that need no room: nearly all reports are smaller, and connections are counted
UNSIGNED = 256 * 1024  # octets of a message without a token: a letter to postmaster, or a complaint, is shorter
_A_DAY = 50 * 1024 * 1024  # octets of such messages: whoever writes them for ever needs a year for 18 GB
NO_ROOM = "452 4.3.1 There is no room for a message of this size now, please try again"
_A_ROW = 1024  # octets that each takes in the database besides its content, the indexes and its event included
SPENT = "452 4.3.1 There is no room today for more messages to this address, please try again"
log = logging.getLogger("jlgc_mailer.listener")


@dataclass
class Room:
    """Octets that messages which are not small may hold at once."""

    free: int = 20 * LIMIT


@dataclass
class Allowance:
    """Octets that messages without a token of ours may bring in a day: anybody may write them, and for ever."""

    left: int = _A_DAY
    day: date | None = None
    is_told: bool = False

    def take(self, size: int, copies: int, today: date) -> bool:
        """Whether a message of this size may still be stored so often; that there is no room is logged once a day."""
        if today != self.day:
            self.left, self.day, self.is_told = _A_DAY, today, False
        needed = copies * (size + _A_ROW)
        if needed > self.left:
            self._tell()
            return False
        self.left -= needed
        return True

    def _tell(self) -> None:
        if not self.is_told:
            log.warning("messages without a token have brought %s octets today: others have to wait", _A_DAY)
        self.is_told = True


class Content:
    """What has come of one message; nothing is kept any more once it has a `refusal`."""

    def __init__(self, room: Room, limit: int = LIMIT) -> None:
        self.refusal: str | None = None
        self._limit = limit
        self._room = room
        self._taken = self._size = 0
        self._kept = bytearray()

    def add(self, piece: bytes) -> None:
        """Keep a piece, if the message is not too large and there is room."""
        self._size += len(piece)
        if self._size > self._limit:
            self._refuse(too_large(self._limit))
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


def too_large(limit: int) -> str:
    """The reply to what is longer than that."""
    return f"552 5.3.4 This message may have at most {limit} octets"
