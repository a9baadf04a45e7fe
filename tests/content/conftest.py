"""Folders of issues, as staff write them."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests import factories

WriteIssue = Callable[..., Path]


def picture(kind: str = "PNG", size: tuple[int, int] = (12, 8), colour: str = "red") -> bytes:
    """A picture's octets."""
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, kind)
    return data.getvalue()


@pytest.fixture
def write_issue(tmp_path: Path) -> WriteIssue:
    """Writes a folder with en.md and other files, text or octets by name; gives the folder."""

    def write(en: str | bytes | None = factories.ENGLISH, slug: str = "summer-2024", **files: str | bytes) -> Path:
        folder = tmp_path / slug
        folder.mkdir(exist_ok=True)
        for name, content in (({"en.md": en} if en is not None else {}) | files).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return write
