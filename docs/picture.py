"""Draws docs/newsletter.png: the sample issue as it is mailed, English beside Japanese.

    .venv/bin/python docs/picture.py

Both editions go through the program's own importing, compiling and merging; Chromium only photographs the result.
It needs Chromium and a Japanese font (on Debian: chromium and fonts-noto-cjk).
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from jlgc_mailer.bootstrap import examples_folder, templates_folder
from jlgc_mailer.content.importing import IssueFiles, read_issue
from jlgc_mailer.render.compile import compile_edition
from jlgc_mailer.render.merge import fill_html
from jlgc_mailer.render.source import EditionSource, Site
from jlgc_mailer.states import Language

PICTURE = Path(__file__).with_name("newsletter.png")
_WIDTH, _HEIGHT, _GAP, _FADE = 640, 1400, 24, 150
_BETWEEN = (214, 219, 227)
_BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip
_READERS = {Language.ENGLISH: "Eleanor Hughes", Language.JAPANESE: "山本 さくら"}
_LISTS = {Language.ENGLISH: "JLGC London Office News", Language.JAPANESE: "クレアロンドン事務所ニュース"}
_ORGANISATION = {
    Language.ENGLISH: "Japan Local Government Centre, London",
    Language.JAPANESE: "自治体国際化協会ロンドン事務所",
}


def main() -> None:
    """Write the picture."""
    files = read_issue(examples_folder() / "summer-2024")
    with tempfile.TemporaryDirectory(prefix="picture-") as name:
        folder = Path(name)
        _lay_out_pictures(files, folder)
        shots = [_photograph(_page(edition, folder), folder) for edition in files.editions]
        _side_by_side(shots).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1024} KiB")


def _lay_out_pictures(files: IssueFiles, folder: Path) -> None:
    """Pictures where the mail looks for them, under this folder instead of a web address."""
    for file in files.pictures.values():
        place = folder / "media" / file.picture.digest / file.picture.name
        place.parent.mkdir(parents=True)
        place.write_bytes(file.data)


def _page(edition: EditionSource, folder: Path) -> Path:
    site = Site(folder.as_uri(), _ORGANISATION, "15 Whitehall, London SW1A 2DD", "newsletter@jlgc.example")
    compiled = compile_edition(edition, site, templates_folder())
    values = {
        "name": _READERS[edition.language],
        "address": "reader@council.example",
        "list_title": _LISTS[edition.language],
        "unsubscribe_url": "https://news.example.org/u/token",
    }
    page = folder / f"{edition.language}.html"
    page.write_text(fill_html(compiled.html, compiled.slots, values), encoding="utf-8")
    return page


def _photograph(page: Path, folder: Path) -> Image.Image:
    shot, profile = page.with_suffix(".png"), folder / f"profile-{page.stem}"
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Install Chromium to draw this picture; nothing else needs it.")
    size = f"--window-size={_WIDTH},{_HEIGHT}"
    command = [browser, *_BROWSER, f"--user-data-dir={profile}", size, f"--screenshot={shot}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603  (our own page)
    with Image.open(shot) as image:
        return _fading(image.convert("RGB").crop((0, 0, _WIDTH, _HEIGHT)))


def _fading(shot: Image.Image) -> Image.Image:
    """The letter goes on below: its last lines fade into the ground."""
    ground = Image.new("RGB", (_WIDTH, _FADE), _BETWEEN)
    strength = Image.linear_gradient("L").resize((_WIDTH, _FADE))
    shot.paste(ground, (0, _HEIGHT - _FADE), strength)
    return shot


def _side_by_side(shots: list[Image.Image]) -> Image.Image:
    """All shots in a row on one ground, in 256 colours."""
    row = Image.new("RGB", (len(shots) * (_WIDTH + _GAP) + _GAP, _HEIGHT + _GAP), _BETWEEN)
    for number, shot in enumerate(shots):
        row.paste(shot, (_GAP + number * (_WIDTH + _GAP), _GAP))
    return row.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)


if __name__ == "__main__":
    main()
