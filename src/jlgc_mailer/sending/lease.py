"""Keeping a claimed batch ours while it is worked on, and noticing within a moment that we should stop."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import select

from jlgc_mailer.db.base import Database
from jlgc_mailer.db.sending import Send
from jlgc_mailer.errors import Unreachable
from jlgc_mailer.sending.claim import Claim, renew
from jlgc_mailer.states import SendStatus

_LOOK_EVERY = 0.25  # seconds; pause has to be felt within one (promise 7)


class Lease:
    """While entered, a thread renews the lease and looks at the send; `goes_on` tells whether to take another."""

    def __init__(self, database: Database, claim: Claim, length: timedelta, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._claim = claim
        self._length = length
        self._clock = clock
        self._renew_at = clock() + length / 3
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"lease of batch {claim.batch_id}", daemon=True)

    @property
    def goes_on(self) -> bool:
        """False once the send is paused or cancelled, or the batch is no longer ours."""
        return not self._stop.is_set()

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        try:
            while not self._ended.wait(_LOOK_EVERY):
                self._look()
        except Unreachable:
            pass
        finally:
            self._stop.set()  # whatever ended the watch: who cannot see a pause must not go on

    def _look(self) -> None:
        with self._database.reading() as session:
            status = session.scalar(select(Send.status).where(Send.id == self._claim.send_id))
        if status is not SendStatus.SENDING:
            self._stop.set()
        now = self._clock()
        if now >= self._renew_at:
            self._renew_at = now + self._length / 3
            with self._database.transaction() as session:
                if not renew(session, self._claim, now, self._length):
                    self._stop.set()
