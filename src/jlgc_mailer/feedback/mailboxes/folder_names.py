"""Names of IMAP folders on the wire: modified UTF-7 (RFC 3501 5.1.3), between quotation marks."""

import re
from base64 import b64encode

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+")


def quoted(folder: str) -> str:
    """The name as an argument of a command."""
    name = _NOT_PRINTABLE.sub(lambda run: _shifted(run[0]), folder.replace("&", "&-"))
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _shifted(run: str) -> str:
    return "&" + b64encode(run.encode("utf-16-be"), b"+,").decode().rstrip("=") + "-"
