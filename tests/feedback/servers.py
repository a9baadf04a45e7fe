"""Scripted IMAP and POP3 servers: they keep mail as real ones do, and fail where a test tells them to."""

import base64
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

USER, PASSWORD, TOKEN = "reports", "geheim € 1", "token-1"


class HangUp(Exception):
    """The server closes the connection here."""


@dataclass
class Stored:
    """A message in a mailbox."""

    body: bytes
    flags: set[str] = field(default_factory=set)


@dataclass
class Script:
    """What a server keeps, and where it fails. `hang_up_at` names a command, or "content": amid a message.

    `refuses` are commands with what is said instead; `unreadable` are messages that it cannot give, and at `deadly`
    ones it always hangs up.
    `hang_ups` is how often it hangs up before it goes on well.
    """

    messages: dict[int, Stored] = field(default_factory=dict)
    folders: dict[str, list[bytes]] = field(default_factory=dict)
    capabilities: str = "UIDPLUS MOVE AUTH=PLAIN"
    refuses: dict[str, str] = field(default_factory=dict)
    hang_up_at: str = ""
    hang_ups: int = 1000
    unreadable: set[int] = field(default_factory=set)
    deadly: set[int] = field(default_factory=set)
    exists: int | None = None
    uid_last: bool = False
    tls: ssl.SSLContext | None = None
    tls_at_once: bool = False
    said: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def bodies(self) -> list[bytes]:
        """What is still there."""
        return [each.body for each in self.messages.values() if r"\Deleted" not in each.flags]

    def put(self, *bodies: bytes) -> None:
        """New mail."""
        for body in bodies:
            self.messages[max(self.messages, default=0) + 1] = Stored(body)

    def breaks(self, stage: str) -> None:
        """Hang up if it is time for it."""
        if stage == self.hang_up_at and self.hang_ups:
            self.hang_ups -= 1
            raise HangUp


class Talk:
    """One connection to a server."""

    def __init__(self, script: Script, connection: socket.socket) -> None:
        self.script = script
        self.socket = connection
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file: BinaryIO = connection.makefile("rb")

    def send(self, data: str | bytes) -> None:
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def secure(self) -> None:
        assert self.script.tls
        self.socket = self.script.tls.wrap_socket(self.socket, server_side=True)
        self.file = self.socket.makefile("rb")

    def line(self) -> str:
        line = self.file.readline()
        if not line:
            raise HangUp
        self.script.said.append(line.decode().strip())
        return self.script.said[-1]

    def content(self, data: bytes) -> None:
        """Send a message, or half of it."""
        if self.script.hang_up_at == "content" and self.script.hang_ups:
            self.send(data[: len(data) // 2])
        self.script.breaks("content")
        self.send(data)


@contextmanager
def _serving(script: Script, talk: Callable[[Talk], None]) -> Iterator[Script]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script.port = server.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        def serve(connection: socket.socket) -> None:
            with suppress(HangUp, OSError), connection:
                begun = Talk(script, connection)
                try:
                    if script.tls_at_once:
                        begun.secure()
                    talk(begun)
                finally:
                    begun.file.close()
                    begun.socket.close()

        threading.Thread(target=accept, daemon=True).start()
        yield script
        server.shutdown(socket.SHUT_RDWR)


def pop3(script: Script) -> Any:
    """A POP3 server (RFC 1939)."""
    return _serving(script, _pop3)


def _pop3(talk: Talk) -> None:  # noqa: C901, PLR0912
    script, deleted = talk.script, set[int]()
    script.breaks("greeting")
    talk.send("+OK ready\r\n")
    while True:
        command, _, argument = talk.line().partition(" ")
        script.breaks(command)
        if command in script.refuses:
            talk.send(f"-ERR {script.refuses[command]}\r\n")
        elif command == "STLS":
            talk.send("+OK begin\r\n+OK forged before TLS\r\n")
            talk.secure()
        elif command == "AUTH":
            talk.send("+ \r\n")
            said = base64.b64decode(talk.line()).decode()
            good = said in {f"\0{USER}\0{PASSWORD}", f"user={USER}\1auth=Bearer {TOKEN}\1\1"}
            talk.send("+OK\r\n" if good else "-ERR no\r\n")
        elif command == "PASS":
            talk.send("+OK\r\n" if argument == PASSWORD else "-ERR [AUTH] wrong\r\n")
        elif command == "LIST":
            sizes = [f"{number} {len(each.body)}\r\n" for number, each in script.messages.items()]
            sizes += [f"{script.exists} 10\r\n"] if script.exists else []
            talk.send(f"+OK\r\n{''.join(sizes)}.\r\n")
        elif command == "UIDL":
            names = [f"{number} name-{number}\r\n" for number in script.messages]
            talk.send(f"+OK\r\n{''.join(names)}.\r\n")
        elif command == "RETR":
            if int(argument) in script.deadly:
                raise HangUp
            if int(argument) not in script.messages or int(argument) in script.unreadable:
                talk.send("-ERR no such message\r\n")
            else:
                body = re.sub(rb"^\.", b"..", script.messages[int(argument)].body, flags=re.MULTILINE)
                talk.send("+OK\r\n")
                talk.content((body if body.endswith(b"\r\n") else body + b"\r\n") + b".\r\n")
        elif command == "DELE":
            deleted.add(int(argument))
            talk.send("+OK\r\n")
        elif command == "QUIT":
            for number in deleted:
                del script.messages[number]
            talk.send("+OK bye\r\n")
            return
        else:
            talk.send("+OK\r\n")


def imap(script: Script) -> Any:
    """An IMAP server (RFC 3501) with what clients of its kind use."""
    return _serving(script, _imap)


def _imap(talk: Talk) -> None:
    talk.script.breaks("greeting")
    talk.send("* OK ready\r\n")
    while True:
        tag, _, rest = talk.line().partition(" ")
        words = rest.split(" ")
        command = " ".join(words[:2]) if words[0] == "UID" else words[0]
        arguments = words[2:] if words[0] == "UID" else words[1:]
        talk.script.breaks(command)
        if command in talk.script.refuses:
            talk.send(f"{tag} {talk.script.refuses[command]}\r\n")
            continue
        answer = _imap_answer(talk, tag, command, arguments)
        talk.send(f"{tag} {answer}\r\n")
        if command == "STARTTLS":
            talk.secure()
        if command == "LOGOUT":
            return


def _imap_answer(talk: Talk, tag: str, command: str, arguments: list[str]) -> str:  # noqa: C901, PLR0912
    script = talk.script
    uids = [int(uid) for uid in arguments[0].split(",")] if command in _BY_UID else []
    found = {uid: script.messages[uid] for uid in uids if uid in script.messages}
    if command == "CAPABILITY":
        talk.send(f"* CAPABILITY IMAP4rev1 STARTTLS {script.capabilities}\r\n")
    elif command == "AUTHENTICATE":
        return _authenticated(talk, arguments[0])
    elif command == "LOGIN":
        return "OK in" if arguments == [f'"{USER}"', '"simple"'] else "NO wrong"
    elif command == "SELECT":
        talk.send(f"* {len(script.messages) if script.exists is None else script.exists} EXISTS\r\n")
    elif command == "UID SEARCH":
        talk.send(f"* SEARCH {' '.join(map(str, _searched(script, *arguments)))}\r\n")
    elif command == "UID FETCH":
        return _fetched(talk, found, arguments[1])
    elif command == "UID STORE":
        for each in found.values():
            each.flags.add(arguments[2].strip("()"))
    elif command in {"UID MOVE", "UID COPY"}:
        folder = " ".join(arguments[1:]).strip('"')
        if folder not in script.folders:
            return "NO [TRYCREATE] no such folder"
        script.folders[folder] += [each.body for each in found.values()]
        if command == "UID MOVE":
            _remove(script, uids)
    elif command == "CREATE":
        script.folders.setdefault(" ".join(arguments).strip('"'), [])
    elif command in {"UID EXPUNGE", "EXPUNGE"}:
        _remove(script, [uid for uid, each in script.messages.items() if r"\Deleted" in each.flags])
    elif command == "LOGOUT":
        talk.send("* BYE\r\n")
    return "OK done"


_BY_UID = {"UID FETCH", "UID STORE", "UID MOVE", "UID COPY", "UID EXPUNGE"}


def _authenticated(talk: Talk, mechanism: str) -> str:
    talk.send("+ \r\n")
    said = base64.b64decode(talk.line()).decode()
    good = {"PLAIN": f"\0{USER}\0{PASSWORD}", "XOAUTH2": f"user={USER}\1auth=Bearer {TOKEN}\1\1"}[mechanism]
    if said != good and mechanism == "XOAUTH2":
        talk.send(f"+ {base64.b64encode(b'status 401').decode()}\r\n")
        assert talk.line() == ""
    return "OK in" if said == good else "NO [AUTHENTICATIONFAILED] wrong"


def _searched(script: Script, numbers: str, wanted: str) -> list[int]:
    first, last = map(int, numbers.split(":"))
    window = list(script.messages.items())[first - 1 : last]
    return [uid for uid, each in window if wanted == "ALL" or r"\Seen" not in each.flags]


def _fetched(talk: Talk, found: dict[int, Stored], what: str) -> str:
    for number, (uid, each) in enumerate(found.items(), start=1):
        if what == "(RFC822.SIZE)":
            talk.send(f"* {number} FETCH (UID {uid} RFC822.SIZE {len(each.body)})\r\n")
            continue
        if uid in talk.script.deadly:
            raise HangUp
        if uid in talk.script.unreadable:
            return "NO [SERVERBUG] cannot read it"
        limit = re.search(r"<0\.(\d+)>", what)
        assert limit
        body = each.body[: int(limit[1])]
        before, after = ("", f" UID {uid}") if talk.script.uid_last else (f"UID {uid} ", "")
        talk.send(f"* {number} FETCH ({before}BODY[]<0> {{{len(body)}}}\r\n")
        talk.content(body)
        talk.send(f"{after})\r\n")
    return "OK done"


def _remove(script: Script, uids: list[int]) -> None:
    for uid in uids:
        script.messages.pop(uid, None)
