"""Reading replies from a stream of octets, in whatever pieces it comes."""

import re
from typing import NamedTuple

from jlgc_mailer.mail.replies import Reply, read_reply

_CODES = {b"%d" % code: code for code in range(100, 600)}
_CODES_OF_LAST_LINES = {b"%d " % code: code for code in range(100, 600)}
_LINE_LIMIT = 4096  # octets; RFC 5321 4.5.3.1.5 asks for 512, some servers say more
_LINES_LIMIT = 200
_USUAL = re.compile(rb"([245]\.\d{1,3}\.\d{1,3}) ((?:[!-~]+ )*[!-~]+)")


class Answer(NamedTuple):
    """A reply as it came: `text` is without codes, its lines parted by LF. Code 0: this is not SMTP."""

    code: int
    text: bytes

    @property
    def reply(self) -> Reply:
        """The reply, its enhanced status read."""
        usual = _USUAL.fullmatch(self.text) if len(self.text) < 1000 else None
        if usual and usual[1] not in usual[2]:  # what read_reply gives too, at a quarter of its time
            return Reply(self.code, usual[2].decode(), usual[1].decode())
        return read_reply(self.code, self.text.decode("utf-8", "replace"))

    @property
    def shown(self) -> str:
        """The reply as people may see it; in quotes when it is not SMTP."""
        return str(self.reply) if self.code else repr(self.reply.text)


class ReplyReader:
    """Takes octets, gives whole replies. Memory is bounded; after something that is not SMTP it reads no more."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._code = b""
        self._is_broken = False

    def feed(self, data: bytes) -> list[Answer]:
        """The replies that these octets complete."""
        if self._is_broken:
            return []
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        answers: list[Answer] = []
        for line in lines:
            code = _CODES_OF_LAST_LINES.get(line[:4])
            if code and not self._lines and len(line) < _LINE_LIMIT:
                answers.append(Answer(code, line[4:].rstrip(b"\r")))
            elif answer := self._line(line.rstrip(b"\r")):
                answers.append(answer)
                if self._is_broken:
                    return answers
        if len(self._rest) > _LINE_LIMIT:
            answers.append(self._garbage(self._rest))
        return answers

    def _line(self, line: bytes) -> Answer | None:
        """A line of a longer reply, the last line of one, a bare code, or garbage."""
        code, mark = line[:3], line[3:4]
        if self._is_garbage(code, mark, line):
            return self._garbage(line)
        self._code = code
        self._lines.append(line[4:])
        if mark == b"-":
            return None
        text = b"\n".join(self._lines)
        self._lines = []
        return Answer(_CODES[code], text)

    def _is_garbage(self, code: bytes, mark: bytes, line: bytes) -> bool:
        is_other = bool(self._lines) and code != self._code
        too_much = len(line) > _LINE_LIMIT or len(self._lines) >= _LINES_LIMIT
        return code not in _CODES or mark not in {b" ", b"-", b""} or is_other or too_much

    def _garbage(self, line: bytes) -> Answer:
        self._is_broken = True
        self._rest, self._lines = b"", []
        return Answer(0, line[:200])
