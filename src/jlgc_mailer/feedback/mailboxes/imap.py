"""Mailboxes reached by IMAP (RFC 9051 and 3501): messages are named by UID, and fetching does not mark them as seen."""

import imaplib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from jlgc_mailer.feedback.mailboxes import A_VISIT, AT_ONCE, Fetched, least_stumbled, told_as_trouble
from jlgc_mailer.feedback.mailboxes.folder_names import quoted
from jlgc_mailer.feedback.mailboxes.server import Server, words_of
from jlgc_mailer.feedback.message import LIMIT
from jlgc_mailer.sending.transports.smtp.relay import Auth, Security

_A_SEARCH = 1000  # messages looked through at once: imaplib takes no line above a million octets
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")


@dataclass(frozen=True)
class ImapMailbox:
    """A folder; `after` says what becomes of a message that is stored: delete, keep (marked as seen) or move:FOLDER.

    `stumbles` counts how often the connection broke at a message.
    """

    name: str
    every: timedelta
    server: Server
    folder: str = "INBOX"
    after: str = "delete"
    stumbles: Counter[str] = field(default_factory=Counter, compare=False)

    @contextmanager
    def visit(self) -> Iterator["_Visit"]:
        """Log in and open the folder."""
        with told_as_trouble(self.server, (OSError, ValueError, imaplib.IMAP4.error), words_of):
            client = _connected(self.server)
            try:
                _log_in(client, self.server)
                answer, found = client.select(quoted(self.folder))
                _require(answer, found)
                yield _Visit(client, int(found[0] or 0), self.after, self.stumbles)
                with suppress(OSError, imaplib.IMAP4.error):
                    client.logout()  # all is settled: whether it says goodbye matters to nobody
            finally:
                with suppress(OSError):
                    client.shutdown()


class _Capped:
    """A client that does not believe a server which announces more than was asked for."""

    def read(self, size: int) -> bytes:
        """As of imaplib, which says that it may be overridden."""
        if size > LIMIT + 1:
            raise imaplib.IMAP4.abort(f"it sends {size} octets where at most {LIMIT + 1} were asked for")
        data: bytes = super().read(size)  # type: ignore[misc]
        if len(data) < size:
            raise imaplib.IMAP4.abort("it hung up in the middle of a message")
        return data


class _Client(_Capped, imaplib.IMAP4):
    pass


class _TlsClient(_Capped, imaplib.IMAP4_SSL):
    pass


def _connected(server: Server) -> imaplib.IMAP4:
    if server.security is Security.TLS:
        return _TlsClient(server.host, server.port, ssl_context=server.tls(), timeout=server.patience)
    client = _Client(server.host, server.port, timeout=server.patience)
    if server.security is Security.STARTTLS:
        try:
            client.starttls(server.tls())
        except BaseException:
            with suppress(OSError):
                client.shutdown()
            raise
    return client


def _log_in(client: imaplib.IMAP4, server: Server) -> None:
    """With a SASL mechanism where there is one: LOGIN cannot say a password that is not ASCII."""
    offered = {name.upper() for name in client.capabilities}
    if server.auth is Auth.XOAUTH2:
        # Refused, the server tells why and waits for an empty line.
        responses = iter([server.sasl(Auth.XOAUTH2)])
        client.authenticate("XOAUTH2", lambda _: next(responses, b""))
    elif server.auth is Auth.PLAIN or (server.auth is Auth.AUTO and "AUTH=PLAIN" in offered):
        client.authenticate("PLAIN", lambda _: server.sasl(Auth.PLAIN))
    else:
        client.login(_quoted_user(server.user), server.password())


def _quoted_user(user: str) -> str:
    return '"' + user.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _require(answer: str, said: Sequence[object]) -> None:
    if answer != "OK":
        raise imaplib.IMAP4.error(said[0] if said else "it refuses")


class _Visit:
    def __init__(self, client: imaplib.IMAP4, exists: int, after: str, stumbles: Counter[str]) -> None:
        _, offered = client.capability()  # asked again: many servers tell all only after the login
        self._capabilities = {name.upper() for line in offered if line for name in line.split()}
        self._client = client
        self._stumbles = stumbles
        self._after, _, self._target = after.partition(":")
        self._uids = self._search(exists)
        self.waiting = len(self._uids) if self._after == "keep" else exists
        self.problems: list[str] = []

    def batches(self) -> Iterator[Sequence[Fetched]]:
        """Several messages with one FETCH, as the sizes that the server tells let them."""
        for group in _grouped(self._uids, self._sizes(), self._stumbles):
            self._stumbles.update(group)  # if the connection breaks now, others come first
            batch = self._fetched(group)
            for uid in group:
                del self._stumbles[uid]
            if batch:
                yield batch

    def settle(self, batch: Sequence[Fetched]) -> None:
        """Mark them as seen, or move or delete them."""
        uids = ",".join(message.key for message in batch)
        if self._after == "keep":
            self._store(uids, r"(\Seen)")
            return
        if self._target and self._moved(uids):
            return
        self._store(uids, r"(\Deleted)")
        if b"UIDPLUS" in self._capabilities:
            self._client.uid("EXPUNGE", uids)  # only these (RFC 4315)
        else:
            self._client.expunge()

    def _search(self, exists: int) -> list[str]:
        """The UIDs to read: all, also those that an earlier visit marked as deleted and no more; but not those kept."""
        wanted = "UNSEEN" if self._after == "keep" else "ALL"
        uids: list[str] = []
        for first in range(1, exists + 1, _A_SEARCH):
            answer, found = self._client.uid("SEARCH", f"{first}:{min(first + _A_SEARCH - 1, exists)} {wanted}")
            _require(answer, found)
            uids += [uid.decode() for line in found if line for uid in line.split()]
            if len(uids) >= A_VISIT:
                break
        return least_stumbled(uids[:A_VISIT], self._stumbles)

    def _sizes(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for first in range(0, len(self._uids), AT_ONCE):
            _, found = self._client.uid("FETCH", ",".join(self._uids[first : first + AT_ONCE]), "(RFC822.SIZE)")
            for line in found:
                if isinstance(line, bytes) and (uid := _UID.search(line)) and (size := _SIZE.search(line)):
                    sizes[uid[1].decode()] = int(size[1])
        return sizes

    def _fetched(self, uids: Sequence[str]) -> list[Fetched]:
        """The messages; where the server fails at one of several, the others by themselves."""
        answer, found = self._client.uid("FETCH", ",".join(uids), f"(BODY.PEEK[]<0.{LIMIT + 1}>)")
        self._client.response("FETCH")  # what came before a refusal is not to be taken for the next answer
        if answer == "OK":
            return [message for message in _messages(found) if message.key in uids]
        if len(uids) > 1:
            return [message for uid in uids for message in self._fetched([uid])]
        self.problems.append(f"message {uids[0]} is not given: {_text(found)}")
        return []

    def _moved(self, uids: str) -> bool:
        """Whether they left this folder; without MOVE (RFC 6851) they are copied, and have still to be deleted."""
        can_move = b"MOVE" in self._capabilities
        command = "MOVE" if can_move else "COPY"
        answer, said = self._client.uid(command, uids, quoted(self._target))
        if answer == "NO":
            self._client.create(quoted(self._target))
            answer, said = self._client.uid(command, uids, quoted(self._target))
        _require(answer, said)
        return can_move

    def _store(self, uids: str, flag: str) -> None:
        answer, said = self._client.uid("STORE", uids, "+FLAGS.SILENT", flag)
        _require(answer, said)


def _grouped(uids: Sequence[str], sizes: dict[str, int], stumbles: Counter[str]) -> Iterator[list[str]]:
    """At most as many as fit into memory together; one at which the connection broke before is by itself."""
    group: list[str] = []
    room = LIMIT
    for uid in uids:
        size = LIMIT if stumbles[uid] else min(sizes.get(uid, 0), LIMIT)
        if group and (size > room or len(group) == AT_ONCE):
            yield group
            group, room = [], LIMIT
        group.append(uid)
        room -= size
    if group:
        yield group


def _messages(found: Sequence[object]) -> Iterator[Fetched]:
    """Read what imaplib gives for FETCH: the UID may stand before the message or after it."""
    for index, item in enumerate(found):
        if isinstance(item, tuple):
            head, body = item[0], item[1]
            after = found[index + 1] if index + 1 < len(found) else b""
            uid = _UID.search(head) or _UID.search(after if isinstance(after, bytes) else b"")
            if uid:
                yield Fetched(uid[1].decode(), body)


def _text(found: Sequence[object]) -> str:
    said = found[0] if found else b""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else "it refuses"
