"""Pictures: only what mail programs show, kept once under the digest of their octets."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select

from jlgc_mailer.bootstrap import Mailer
from jlgc_mailer.content.media import PictureFile, read_picture, store_pictures
from jlgc_mailer.db.issues import Media
from jlgc_mailer.errors import InvalidFile
from tests.conftest import Clock
from tests.content.conftest import picture

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif"}


def stored_as(folder: Path, data: bytes) -> PictureFile:
    (folder / "hall").write_bytes(data)
    return read_picture(folder, "hall", "en.md:7")


def refusal(folder: Path, data: bytes) -> str:
    with pytest.raises(InvalidFile) as caught:
        stored_as(folder, data)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_measured_and_known_by_its_octets(kind: str, tmp_path: Path) -> None:
    data = picture(kind, (30, 20))
    found = stored_as(tmp_path, data)
    assert (found.content_type, found.data) == (KINDS[kind], data)
    assert (found.picture.width, found.picture.height, found.picture.name) == (30, 20, "hall")
    assert found.picture.digest == sha256(data).hexdigest()


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", picture("BMP"), picture("WEBP"), picture("TIFF")])
def test_what_mail_programs_do_not_show_is_refused(data: bytes, tmp_path: Path) -> None:
    assert refusal(tmp_path, data).startswith(
        "en.md:7: picture hall is no PNG, JPEG or GIF that can be read to its end."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_picture_is_refused(kind: str, tmp_path: Path) -> None:
    data = picture(kind, (300, 200))
    assert "is no PNG, JPEG or GIF" in refusal(tmp_path, data[: len(data) // 2])


def test_a_picture_of_too_many_octets_is_refused_with_their_number(tmp_path: Path) -> None:
    data = picture() + bytes(3 * 1024 * 1024)
    assert refusal(tmp_path, data) == "en.md:7: picture hall has 3072 KiB. Make it smaller than 2 MiB."


@pytest.mark.parametrize("size", [(6000, 5000), (10000, 9000)])
def test_a_small_file_of_too_many_pixels_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    """A compressed picture may need gigabytes when it is shown."""
    data = bytearray(picture("GIF", (1, 1)))
    data[6:10] = size[0].to_bytes(2, "little") + size[1].to_bytes(2, "little")
    assert refusal(tmp_path, bytes(data)).startswith("en.md:7: picture hall ")


@given(st.sampled_from(sorted(KINDS)), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=5))
@example("PNG", [(19, 255)])
def test_a_damaged_picture_is_read_or_refused(tmp_path: Path, kind: str, damage: list[tuple[int, int]]) -> None:
    data = bytearray(picture(kind))
    for at, octet in damage:
        data[at % len(data)] = octet
    try:
        found = stored_as(tmp_path, bytes(data))
    except InvalidFile as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert found.picture.width * found.picture.height <= 25_000_000


def test_a_picture_is_stored_once(mailer: Mailer, clock: Clock, tmp_path: Path) -> None:
    red, blue = stored_as(tmp_path, picture()), stored_as(tmp_path, picture(colour="blue"))
    with mailer.database.transaction() as session:
        store_pictures(session, [red, blue], clock())
    clock.forward(days=1)
    with mailer.database.transaction() as session:
        store_pictures(session, [blue, red], clock())
        kept = {each.digest: each for each in session.scalars(select(Media))}
    assert {digest: each.data for digest, each in kept.items()} == {
        red.picture.digest: red.data,
        blue.picture.digest: blue.data,
    }
    assert all(each.created_at < clock() for each in kept.values())
