"""What all pages have in common, and serving them."""

import io
import json
import logging
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask.testing import FlaskClient

from jlgc_mailer import web
from jlgc_mailer.bootstrap import Mailer, templates_folder
from jlgc_mailer.errors import SettingError
from jlgc_mailer.web import public
from jlgc_mailer.web.app import create_app
from jlgc_mailer.web.faults import FAULTS
from jlgc_mailer.web.server import serving
from tests.web.conftest import Scene, make_scene, soup, unreachable


@pytest.fixture
def local(make_mailer: Callable[..., Mailer]) -> Mailer:
    return make_mailer(public_url="http://127.0.0.1:8025")


def addresses(scene: Scene) -> list[str]:
    link, send = scene.link(scene.english_id), f"/sends/{scene.send_id}"
    return ["/", "/issues", "/unsubscribe", link, "/u/broken", "/sends", send, "/no"]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_page_is_built_so_that_everybody_can_use_it(local: Mailer, language: str) -> None:
    """L8: language, title, one h1, landmarks, a skip link, labelled tables, headings without gaps."""
    client, scene = create_app(local).test_client(), make_scene(local)
    for address in addresses(scene):
        page = soup(client.get(f"{address}?lang={language}"))
        assert page.html["lang"] == language, address
        assert page.title.text.strip(" |")
        assert len(page.find_all("h1")) == len(page.find_all("main")) == 1
        assert page.body.a["href"] == f"#{page.main['id']}"
        assert page.header
        assert page.footer
        levels = [int(heading.name[1]) for heading in page.find_all(re.compile("^h[1-6]$"))]
        assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False))
        for table in page.find_all("table"):
            assert table.caption
            assert all(heading.get("scope") for heading in table.find_all("th"))
        ids = [each["id"] for each in page.find_all(id=True)]
        assert len(ids) == len(set(ids))


def test_every_page_offers_each_language_in_itself(local: Mailer) -> None:
    """L8: and the choice stays when a link is followed."""
    client, scene = create_app(local).test_client(), make_scene(local)
    for address in addresses(scene):
        page = soup(client.get(f"{address}?lang=en"))
        link = page.select_one(".languages a")
        assert (link.text, link["lang"], link["href"]) == ("日本語", "ja", "?lang=ja")
        assert page.select_one(".imprint p > a[href^='/']")["href"] == "/issues?lang=en"


@pytest.mark.parametrize(
    ("header", "language"),
    [("ja-JP,ja;q=0.9,en;q=0.8", "ja"), ("en-GB", "en"), ("fr", "en"), ("", "en"), ("fr,ja;q=0.1", "ja")],
)
def test_the_browsers_language_is_used(client: FlaskClient, header: str, language: str) -> None:
    """L8."""
    response = client.get("/unsubscribe", headers={"Accept-Language": header})
    assert soup(response).html["lang"] == response.headers["Content-Language"] == language
    assert "Accept-Language" in response.headers["Vary"]


def test_an_unknown_language_is_ignored(client: FlaskClient) -> None:
    assert client.get("/?lang=xx").status_code == 200


def test_every_page_is_protected(local: Mailer) -> None:
    """M11: and none sets a cookie."""
    client, scene = create_app(local).test_client(), make_scene(local)
    for address in [*addresses(scene), "/health", "/issues/summer-2024/en", "/static/style.css"]:
        with client.get(address) as response:
            headers = response.headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], address
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"
        assert "Set-Cookie" not in headers


def test_no_page_has_code_or_styles_inside(local: Mailer) -> None:
    client, scene = create_app(local).test_client(), make_scene(local)
    for address in addresses(scene):
        page = soup(client.get(address))
        assert not page.find_all("style")
        assert not page.find_all(style=True)
        assert not [script for script in page.find_all("script") if script.text]


def test_health_tells_machines_whether_the_database_answers(
    mailer: Mailer, client: FlaskClient, tmp_path: Path
) -> None:
    response = client.get("/health")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})
    assert create_app(unreachable(mailer, tmp_path)).test_client().get("/health").status_code == 503


def test_a_fault_of_ours_is_logged_and_shows_no_trace(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """M10: and the log has no token."""

    def fail(*_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(public, "read_link", fail)
    response = client.post("/u/secrettoken")
    assert response.status_code == 500
    assert "Something went wrong on our side" in response.text
    assert "secret" not in response.text
    assert "POST /u/<token> failed" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "secrettoken" not in caplog.text


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_wrong_method_is_told_with_the_right_ones(client: FlaskClient, language: str) -> None:
    response = client.delete(f"/u/x?lang={language}")
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
    assert soup(response).html["lang"] == language


def test_every_text_of_the_pages_is_in_the_catalogue() -> None:
    """L8: each page exists in Japanese, with the same places for values."""
    folder = templates_folder()
    with (folder / "web" / "ja.po").open("rb") as file:
        japanese = {message.id: message.string for message in read_po(file) if message.id}
    said = {str(message) for _, _, message, _, _ in _extracted(folder / "web", "jinja2")}
    said |= {str(message) for _, _, message, _, _ in _extracted(Path(web.__path__[0]), "python")}
    said |= {text for pair in FAULTS.values() for text in pair}
    assert len(said) > 60
    for text in said:
        assert japanese.get(text), text
        assert Counter(re.findall(r"{\w+}", text)) == Counter(re.findall(r"{\w+}", japanese[text])), text


def test_the_catalogue_has_each_text_once() -> None:
    lines = (templates_folder() / "web" / "ja.po").read_text(encoding="utf-8").splitlines()
    twice = [line for line, number in Counter(line for line in lines if line.startswith("msgid")).items() if number > 1]
    assert not twice


def _extracted(folder: Path, method: str) -> list[tuple[str, int, object, list[str], str | None]]:
    keywords = {"t": None, "words.say": None, "say": None}
    return list(
        extract_from_dir(str(folder), [("**.html" if method == "jinja2" else "**.py", method)], keywords=keywords)
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_pair_of_colours_can_be_read(theme: str) -> None:
    """L8: 4.5:1 in light and dark."""
    css = (templates_folder() / "web" / "static" / "style.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root {(.*?)}", css, re.DOTALL)
    )
    colours = light | (dark if theme == "dark" else {})
    on_paper = [(ink, ground) for ink in ("ink", "quiet", "indigo", "accent") for ground in ("paper", "card")]
    for ink, ground in [*on_paper, ("on-band", "band"), ("on-button", "button"), ("card", "indigo")]:
        assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert _contrast(colours["indigo"], colours["track"]) >= 3


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_pages_are_served_on_a_free_port_and_stop_with_the_block(scene: Scene) -> None:
    """M11: over a real connection, without Origin or cookie."""
    with serving(scene.mailer, "127.0.0.1", 0) as place:
        with urlopen(f"{place.url}/health", timeout=10) as response:
            assert json.load(response) == {"status": "ok"}
        body = b"List-Unsubscribe=One-Click"
        with urlopen(Request(place.url + scene.link(scene.english_id), body, method="POST"), timeout=10) as response:
            assert response.status == 200
            assert "unsubscribed" in response.read().decode()
    with pytest.raises(OSError):
        urlopen(f"{place.url}/health", timeout=1)


def test_a_port_in_use_is_told_with_what_to_do(mailer: Mailer) -> None:
    with (
        serving(mailer, "127.0.0.1", 0) as place,
        pytest.raises(SettingError, match="JLGC_MAILER_WEB_PORT"),
        serving(mailer, "127.0.0.1", place.port),
    ):
        pass


def test_the_pages_may_stand_below_a_path(make_mailer: Callable[..., Mailer]) -> None:
    """M10: whether the proxy before them keeps the path or strips it."""
    mailer = make_mailer(public_url="https://example.org/news")
    with serving(mailer, "127.0.0.1", 0) as place:
        for address in ("/news/issues", "/issues"):
            with urlopen(place.url + address, timeout=10) as response:
                assert 'href="/news/static/style.css"' in response.read().decode()


def test_the_servers_log_hides_tokens(mailer: Mailer) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("waitress")
    logger.addHandler(handler)
    with serving(mailer, "127.0.0.1", 0):
        logger.error("Exception while serving %s", "/u/secrettoken")
        logger.error("Client disconnected while serving /preview/secrettoken/en")
    logger.removeHandler(handler)
    assert "secrettoken" not in stream.getvalue()
    assert "/u/..." in stream.getvalue()
