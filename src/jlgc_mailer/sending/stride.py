"""How many recipients are drawn at a time."""

import time

_SMALLEST = 20
_LARGEST = 512  # one cycle costs some milliseconds: shared by so many it is a small part of sending them
_QUICK, _SLOW = 0.15, 0.6  # seconds that a stride lasts


class Stride:
    """Larger while the wire is quick, small while it is slow: if the machine dies, it is what is uncertain."""

    def __init__(self) -> None:
        self.size = _SMALLEST
        self._drawn_at = 0.0

    @property
    def enough(self) -> int:
        """While more than these wait, there is no need to draw."""
        return self.size // 2

    def next(self) -> int:
        """The size of the stride that is drawn now."""
        pause, self._drawn_at = time.monotonic() - self._drawn_at, time.monotonic()
        if pause < _QUICK:
            self.size = min(self.size * 2, _LARGEST)
        elif pause > _SLOW:
            self.size = max(self.size // 2, _SMALLEST)
        return self.size
