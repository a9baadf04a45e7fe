"""Octets to text when the label is missing, unknown or wrong (STANDARDS M3)."""

import codecs
import re

# What mail calls a charset, where Python's codec of that name is narrower than what is meant.
_MEANT = {
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "x-euc-jp": "euc_jp",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-8-i": "iso-8859-8",
    "unicode-1-1-utf-7": "utf-7",
    "tis-620": "cp874",
    "iso-2022-jp-ms": "iso2022_jp_ext",
}
_OF_MAIL = re.compile(r"iso|cp|koi8|mac|utf|euc|gb|big5|shift|johab|tis|kz|ptcp|hz")  # Python has slow and odd ones too
_ANY_OCTETS = frozenset({"cp1252", "cp1254", "iso8859-15"})  # labels that fit all octets, so they prove nothing

# Characters that text in a charset is full of. The charset that makes most of the text out of its own is the one.
_FREQUENT = {
    "cp932": "のはをにがでとしたてすまいんるっらりれなかこさせメールエランスアドトー送信宛先配不着存在件名",
    "euc_jp": "のはをにがでとしたてすまいんるっらりれなかこさせメールエランスアドトー送信宛先配不着存在件名",
    "gb18030": "的不在是有为了户邮件信箱收人址地无法送达退错误系统用您对方因已拒绝发",
    "big5": "的不在是有為了戶郵件信箱收人址地無法送達退錯誤系統用您對方因已拒絕發",
    "cp949": "이다는을를의에메일수없습니하지않음사용자주소존재편송신전달패실받된로기",
    "koi8_r": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфё ",
    "cp1251": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфё ",
    "cp1252": "éèêàâçäöüßñóíáúãõåøæìòùëïîô’‘“”«» ",
    "cp1250": "ąęłńśźżćčřšžěůýťďňőűáéíóúöü„”",
    "cp1254": "ışğçöüİŞâ",
    "cp1253": "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώ",
}
_ALPHABETS = frozenset({"koi8_r", "cp1251", "cp1253"})  # whose words are foreign letters throughout, unlike café
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_WORDS = re.compile(r"[^\x00-\x7f]{2,}")
_GUESSED_FROM = 4_000  # octets that tell a charset as well as all of them
_ESCAPED_JAPANESE = re.compile(rb"\x1b\$[@BA(]")
_ESCAPED_RUN = re.compile(rb"(\x1b\$[@BA(][^\n\x80-\xff]{0,1000}?\x1b\([BJ])")
_STRIPPED_JAPANESE = re.compile(rb"\$B((?:[\x21-\x7e]{2}){2,400}?)\(([BJ])")  # relays that ate every ESC


def decode(data: bytes, label: str | None = None) -> str:
    """The text of `data`, whose charset is said to be `label`; never fails."""
    label = (label or "").strip().strip("\"'").lower()
    if _ESCAPED_JAPANESE.search(data) and not data.isascii():
        return _decode_mixed(data, label)
    if b"\x1b" in data or label.startswith("iso-2022-jp"):
        return _decode_escaped(data)
    if data.isascii() and label not in {"utf-7", "unicode-1-1-utf-7"}:
        return data.decode("ascii")
    for name in ("utf-8", _codec(label)):
        text = _strictly(data, name) if name else None
        if text is not None:
            return text
    return data.decode(_guess(data[:_GUESSED_FROM]), "replace")


def _decode_escaped(data: bytes) -> str:
    """Text in one of ISO 2022's seven-bit charsets."""
    if b"\x1b" not in data:
        data = _STRIPPED_JAPANESE.sub(b"\x1b$B\\1\x1b(\\2", data)
    if b"\x1b$)C" in data:
        return data.decode("iso2022_kr", "replace")
    if not data.isascii():
        return data.decode(_guess(data[:_GUESSED_FROM]), "replace")
    return data.decode("iso2022_jp_ext", "replace")


def _decode_mixed(data: bytes, label: str) -> str:
    """A report in eight bits that returns a letter in seven: only what stands between escapes is in seven."""
    pieces = _ESCAPED_RUN.split(data)
    return "".join(
        piece.decode("iso2022_jp_ext", "replace") if number % 2 else decode(piece.replace(b"\x1b", b""), label)
        for number, piece in enumerate(pieces)
    )


def _codec(label: str) -> str | None:
    """The codec for a label, None when it is unknown or proves nothing."""
    try:
        name = codecs.lookup(_MEANT.get(label, label)).name
    except (LookupError, ValueError):
        return None
    return name if name not in _ANY_OCTETS and _OF_MAIL.match(name) else None


def _strictly(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except (UnicodeError, ValueError):
        return None


def _guess(data: bytes) -> str:
    """The charset in which most of the octets above ASCII mean something frequent."""
    return max(_FREQUENT, key=lambda codec: _plausibility(data, codec))


def _plausibility(data: bytes, codec: str) -> float:
    text = data.decode(codec, "replace")
    foreign = "".join(_WORDS.findall(text) if codec in _ALPHABETS else _FOREIGN.findall(text))
    frequent = set(_FREQUENT[codec])
    hits = sum(1 if character in frequent else -2 if character == "\ufffd" else 0 for character in foreign)
    return hits / max(len(_FOREIGN.findall(text)), 1)
