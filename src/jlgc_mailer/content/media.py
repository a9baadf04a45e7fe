"""Pictures: checked when they come in, kept under the digest of their bytes."""

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from PIL import Image
from sqlalchemy.orm import Session

from jlgc_mailer.db.issues import Media
from jlgc_mailer.errors import InvalidFile
from jlgc_mailer.render.source import Picture

_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif"}
_OCTETS_LIMIT = 2 * 1024 * 1024
_PIXELS_LIMIT = 25_000_000


@dataclass(frozen=True)
class PictureFile:
    """A picture that was read and checked."""

    picture: Picture
    content_type: str
    data: bytes


def read_picture(folder: Path, address: str, place: str) -> PictureFile:
    """The picture at `address`, relative to `folder` and inside it; raises InvalidFile at `place`.

    PNG, JPEG and GIF are what mail programs show; 2 MiB is a long wait on a telephone.
    """
    try:
        file = (folder / address).resolve()
        if not file.is_relative_to(folder.resolve()):
            problem = f"picture {address} lies outside the folder of the issue"
            raise InvalidFile(place=place, problem=problem, remedy="Move it inside.")
        data = file.read_bytes()
    except (OSError, ValueError, RuntimeError):  # no such file, a NUL in its name, links that run in a circle
        remedy = "Add the file, or correct its name here."
        raise InvalidFile(place=place, problem=f"there is no picture {address!r}", remedy=remedy) from None
    if len(data) > _OCTETS_LIMIT:
        problem = f"picture {address} has {len(data) // 1024} KiB"
        raise InvalidFile(place=place, problem=problem, remedy="Make it smaller than 2 MiB.")
    return _checked(data, address, file.name, place)


def _checked(data: bytes, address: str, name: str, place: str) -> PictureFile:
    bombs = warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning)
    try:
        with bombs, Image.open(io.BytesIO(data), formats=tuple(_TYPES)) as image:
            kind, (width, height) = image.format or "", image.size
            if width * height <= _PIXELS_LIMIT:
                image.load()
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        problem = f"picture {address} is no PNG, JPEG or GIF that can be read to its end"
        raise InvalidFile(place=place, problem=problem, remedy="Export it again.") from None
    if width * height > _PIXELS_LIMIT:
        problem = f"picture {address} has {width} x {height} pixels"
        raise InvalidFile(place=place, problem=problem, remedy="Make it smaller: 1200 across are plenty in mail.")
    return PictureFile(Picture(sha256(data).hexdigest(), name, width, height), _TYPES[kind], data)


def store_pictures(session: Session, files: Iterable[PictureFile], now: datetime) -> None:
    """Keep pictures that are not kept yet."""
    for file in files:
        if session.get(Media, file.picture.digest) is None:
            session.add(
                Media(
                    digest=file.picture.digest,
                    content_type=file.content_type,
                    width=file.picture.width,
                    height=file.picture.height,
                    data=file.data,
                    created_at=now,
                )
            )
