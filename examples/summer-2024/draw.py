"""Draw the four pictures of the Summer 2024 issue.

Flat shapes in one small palette, no fonts and no downloads, so that every run
writes the same files. Each picture is drawn at three times its size and then
averaged down, which is what makes the edges smooth.

Run it as ``python examples/summer-2024/draw.py``.
"""

from __future__ import annotations

from math import cos, pi, sin
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 1200, 520
SCALE = 3
COLOURS = 96  # in the palette of a saved file: flat tones and their edges
IMAGES = Path(__file__).resolve().parent / "images"

INDIGO, INDIGO_MID = "#22335a", "#4b5f8c"
INDIGO_SOFT, INDIGO_PALE = "#93a4c4", "#a6b4cf"
VERMILION, VERMILION_DEEP, BLUSH = "#c8452d", "#9f3320", "#eab49e"
CREAM, STONE, STONE_SHADE = "#f6f1e7", "#ebe1cd", "#d6c8ac"
SAGE, SAGE_DEEP, SAGE_SOFT = "#8fa98a", "#64836a", "#c3d2bb"
SKY, SKY_SOFT, SKY_PALE = "#a9cbd9", "#cbe0e6", "#e0ecee"
TIMBER, TIMBER_DEEP = "#c99b66", "#a2764a"
LEAVES, BLOSSOM = (SAGE_DEEP, SAGE), ("#dd9a82", BLUSH)
SKINS = ("#f0c9a8", "#96623f", "#e3b08a", "#7d4f37", "#d29a70")

Point = tuple[float, float]


class Pen:
    """Draws shapes on a picture, in the coordinates of the finished size."""

    def __init__(self, background: str) -> None:
        """Start a picture in one plain colour."""
        self.image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), background)
        self._draw = ImageDraw.Draw(self.image)

    def box(self, x: float, y: float, w: float, h: float, colour: str, radius: float = 0) -> None:
        """Fill a rectangle, with round corners if a radius is given."""
        left, top, right, bottom = (round(v * SCALE) for v in (x, y, x + w, y + h))
        edges = (left, top, max(left, right - 1), max(top, bottom - 1))
        self._draw.rounded_rectangle(edges, radius * SCALE, fill=colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: str) -> None:
        """Fill an ellipse around a centre."""
        edges = ((x - rx) * SCALE, (y - ry) * SCALE, (x + rx) * SCALE, (y + ry) * SCALE)
        self._draw.ellipse(edges, fill=colour)

    def disc(self, x: float, y: float, r: float, colour: str) -> None:
        """Fill a circle around a centre."""
        self.oval(x, y, r, r, colour)

    def slice(self, x: float, y: float, r: float, angles: Point, colour: str) -> None:
        """Fill the part of a circle between two angles, clockwise from the right."""
        edges = ((x - r) * SCALE, (y - r) * SCALE, (x + r) * SCALE, (y + r) * SCALE)
        self._draw.pieslice(edges, *angles, fill=colour)

    def shape(self, points: list[Point], colour: str) -> None:
        """Fill a polygon."""
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=colour)

    def line(self, points: list[Point], colour: str, width: float) -> None:
        """Draw a line with round joints and ends."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._draw.line(scaled, fill=colour, width=round(width * SCALE), joint="curve")
        for x, y in (points[0], points[-1]):
            self.disc(x, y, width / 2, colour)

    def save(self, name: str) -> None:
        """Average down, reduce to a palette and write the file."""
        small = self.image.reduce(SCALE)
        flat = small.quantize(COLOURS, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE)
        flat.save(IMAGES / name, optimize=True)


def bend(start: Point, pull: Point, end: Point, steps: int = 24) -> list[Point]:
    """Return points along a curve from start to end, drawn towards a third point."""
    points = []
    for i in range(steps + 1):
        t = i / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        x, y = (a * start[k] + b * pull[k] + c * end[k] for k in (0, 1))
        points.append((x, y))
    return points


def cloud(pen: Pen, x: float, y: float, size: float) -> None:
    """Draw three puffs on a flat base."""
    pen.slice(x - size * 0.48, y, size * 0.36, (180, 360), CREAM)
    pen.slice(x, y, size * 0.62, (180, 360), CREAM)
    pen.slice(x + size * 0.56, y, size * 0.4, (180, 360), CREAM)
    pen.box(x - size * 1.1, y - size * 0.1, size * 2.3, size * 0.2, CREAM, size * 0.1)


def tree(pen: Pen, x: float, base: float, size: float, tones: tuple[str, str] = LEAVES) -> None:
    """Draw a round tree, lit from the left."""
    pen.box(x - size * 0.05, base - size, size * 0.1, size, INDIGO)
    pen.oval(x, base - size * 1.1, size * 0.5, size * 0.64, tones[0])
    pen.oval(x - size * 0.08, base - size * 1.14, size * 0.4, size * 0.53, tones[1])


# --- Whitehall -------------------------------------------------------------


def sash(pen: Pen, x: float, y: float, w: float, h: float, *, hood: bool) -> None:
    """Draw one sash window in its stone frame, with or without a small pediment."""
    pen.box(x - 6, y - 6, w + 12, h + 12, STONE_SHADE)
    pen.box(x, y, w, h, INDIGO)
    pen.shape([(x, y), (x + w, y), (x, y + h * 0.75)], INDIGO_MID)
    pen.box(x + w / 2 - 1, y, 2, h, STONE)
    pen.box(x, y + h / 2 - 1, w, 2, STONE)
    pen.box(x - 10, y + h + 6, w + 20, 5, CREAM)
    if hood:
        pen.shape([(x - 13, y - 8), (x + w / 2, y - 24), (x + w + 13, y - 8)], CREAM)
        pen.shape([(x - 1, y - 11), (x + w / 2, y - 19), (x + w + 1, y - 11)], STONE_SHADE)


def wing(pen: Pen, left: float) -> None:
    """Draw one wing of the building: five bays of windows under a balustrade."""
    pen.box(left, 214, 300, 226, STONE)
    for row in range(4):
        pen.box(left, 352 + row * 22, 300, 2, STONE_SHADE)
    for bay in range(5):
        x = left + 22 + bay * 56
        sash(pen, x, 252, 30, 58, hood=True)
        sash(pen, x, 362, 30, 52, hood=False)
    pen.box(left - 4, 330, 308, 8, CREAM)
    pen.box(left - 10, 204, 320, 12, CREAM)
    pen.box(left, 216, 300, 5, STONE_SHADE)
    pen.box(left, 182, 300, 5, CREAM)
    for post in range(31):
        pen.box(left + post * 9.9, 187, 4, 17, STONE)


def portico(pen: Pen) -> None:
    """Draw the centre: steps, a red door, six columns and a pediment."""
    pen.box(424, 214, 352, 226, INDIGO_MID)
    pen.box(424, 214, 352, 26, INDIGO)
    for x in (460, 524, 652, 716):
        pen.box(x, 262, 24, 56, INDIGO)
        pen.box(x, 356, 24, 50, INDIGO)
    pen.slice(600, 318, 22, (180, 360), SKY_SOFT)
    pen.box(578, 322, 44, 114, VERMILION)
    pen.box(599, 322, 2, 114, VERMILION_DEEP)
    for i in range(6):
        column(pen, 440 + i * 64)
    pen.box(412, 196, 376, 26, STONE)
    pen.box(404, 188, 392, 10, CREAM)
    pen.shape([(398, 188), (600, 106), (802, 188)], CREAM)
    pen.shape([(440, 182), (600, 118), (760, 182)], STONE_SHADE)
    pen.disc(600, 158, 17, CREAM)
    pen.disc(600, 158, 11, INDIGO)
    for i, tone in enumerate((CREAM, STONE, STONE_SHADE)):
        pen.box(424 - i * 12, 436 + i * 9, 352 + i * 24, 9, tone)


def column(pen: Pen, x: float) -> None:
    """Draw a column with capital and foot, shaded on its right."""
    pen.box(x - 12, 226, 24, 210, CREAM)
    pen.box(x + 3, 226, 9, 210, STONE_SHADE)
    pen.box(x - 15, 220, 30, 9, STONE)
    pen.box(x - 15, 428, 30, 9, STONE)


def bus(pen: Pen, x: float, road: float) -> None:
    """Draw a red double-decker."""
    pen.box(x, road - 98, 178, 88, VERMILION, 9)
    pen.box(x, road - 58, 178, 5, CREAM)
    for i in range(5):
        pen.box(x + 10 + i * 33, road - 89, 27, 22, SKY_PALE, 3)
    for i in range(4):
        pen.box(x + 10 + i * 33, road - 46, 27, 20, SKY_PALE, 3)
    pen.box(x + 144, road - 48, 22, 38, INDIGO, 3)
    for wheel in (40, 134):
        pen.disc(x + wheel, road - 9, 15, INDIGO)
        pen.disc(x + wheel, road - 9, 6, STONE_SHADE)


def whitehall() -> Pen:
    """Draw a Whitehall front with a red sun rising behind its pediment."""
    pen = Pen(SKY_SOFT)
    pen.disc(600, 176, 150, VERMILION)
    cloud(pen, 190, 112, 62)
    cloud(pen, 1010, 84, 50)
    cloud(pen, 330, 60, 30)
    for x in (170, 330, 836, 996):
        pen.box(x, 148, 34, 40, STONE_SHADE)
        pen.box(x - 4, 142, 42, 8, STONE)
    wing(pen, 124)
    wing(pen, 776)
    portico(pen)
    pen.box(0, 440, 412, 24, STONE_SHADE)
    pen.box(788, 440, 412, 24, STONE_SHADE)
    pen.box(0, 462, 1200, 58, INDIGO)
    for x in range(20, 1200, 120):
        pen.box(x, 492, 56, 4, INDIGO_SOFT)
    for x in (64, 1136):
        tree(pen, x, 462, 104)
    bus(pen, 842, 486)
    return pen


# --- Exchange --------------------------------------------------------------


def bubble(pen: Pen, x: float, y: float, colour: str, lean: float) -> None:
    """Draw a round speech bubble whose tail leans to the left (-1) or right (1)."""
    pen.disc(x, y, 62, colour)
    tip = (x + lean * 8, y + 90)
    root = bend((x + lean * 28, y + 50), (x + lean * 14, y + 68), tip)
    pen.shape([*root, *bend(tip, (x - lean * 6, y + 80), (x - lean * 20, y + 54))], colour)


def house(pen: Pen, x: float, y: float) -> None:
    """Draw a home."""
    pen.shape([(x - 38, y + 2), (x, y - 32), (x + 38, y + 2)], CREAM)
    pen.box(x - 26, y - 2, 52, 34, CREAM)
    pen.box(x - 8, y + 8, 16, 24, VERMILION)


def heart(pen: Pen, x: float, y: float) -> None:
    """Draw a heart."""
    pen.disc(x - 16, y - 9, 18, VERMILION)
    pen.disc(x + 16, y - 9, 18, VERMILION)
    pen.shape([(x - 29, y + 3), (x, y - 14), (x + 29, y + 3), (x, y + 34)], VERMILION)


def book(pen: Pen, x: float, y: float) -> None:
    """Draw an open book."""
    for side, colour in ((-1, CREAM), (1, STONE)):
        top = bend((x, y - 16), (x + side * 18, y - 30), (x + side * 38, y - 20))
        foot = bend((x + side * 38, y + 20), (x + side * 18, y + 10), (x, y + 24))
        pen.shape([*top, *foot], colour)
        for row in (-6, 5):
            pen.line([(x + side * 9, y + row), (x + side * 29, y + row - 4)], INDIGO_SOFT, 3)


def sprout(pen: Pen, x: float, y: float) -> None:
    """Draw two leaves on a stem."""
    pen.line([(x, y + 34), (x, y)], SAGE_DEEP, 5)
    for side, lift in ((-1, 0), (1, -10)):
        tip = (x + side * 34, y - 22 + lift)
        under = bend((x, y + 6), (x + side * 34, y + 8), tip)
        pen.shape([*under, *bend(tip, (x + side * 2, y - 24), (x, y + 6))], SAGE_DEEP)


def sun(pen: Pen, x: float, y: float) -> None:
    """Draw a sun with eight rays."""
    pen.disc(x, y, 17, CREAM)
    for i in range(8):
        dx, dy = cos(i * pi / 4), sin(i * pi / 4)
        pen.line([(x + dx * 27, y + dy * 27), (x + dx * 37, y + dy * 37)], CREAM, 5)


def hair(pen: Pen, x: float, top: float, style: str) -> None:
    """Draw the hair; the face then covers its middle."""
    if style == "bun":
        pen.disc(x, top - 8, 22, INDIGO)
        pen.oval(x, top + 50, 47, 50, INDIGO)
    elif style == "curls":
        for i in range(10):
            angle = pi * (0.95 + 1.1 * i / 9)
            pen.disc(x + 44 * cos(angle), top + 52 + 44 * sin(angle), 22, INDIGO)
        pen.disc(x, top + 50, 46, INDIGO)
    elif style == "crop":
        pen.oval(x - 4, top + 44, 46, 42, TIMBER_DEEP)
    elif style == "bob":
        pen.box(x - 53, top, 106, 126, INDIGO, 53)


def scarf(pen: Pen, x: float, top: float) -> None:
    """Draw a headscarf, with a fold of shadow around the face."""
    pen.box(x - 48, top + 70, 96, 104, VERMILION, 44)
    pen.oval(x, top + 58, 53, 62, VERMILION)
    pen.oval(x, top + 67, 42, 53, VERMILION_DEEP)


def face(pen: Pen, x: float, y: float, skin: str) -> None:
    """Draw a friendly face."""
    pen.oval(x, y, 38, 48, skin)
    for side in (-1, 1):
        pen.disc(x + side * 14, y, 3.5, INDIGO)
    pen.line(bend((x - 11, y + 21), (x, y + 32), (x + 11, y + 21)), INDIGO, 3)


def person(pen: Pen, x: float, top: float, tones: tuple[str, str], style: str) -> None:
    """Draw head and shoulders; the tones are those of skin and coat."""
    skin, coat = tones
    hair(pen, x, top, style)
    pen.box(x - 112, top + 132, 224, 500, coat, 84)
    pen.slice(x, top + 132, 34, (0, 180), skin)
    pen.box(x - 18, top + 90, 36, 56, skin, 18)
    if style == "scarf":
        scarf(pen, x, top)
    elif style in {"bun", "crop"}:
        pen.disc(x - 38, top + 68, 9, skin)
        pen.disc(x + 38, top + 68, 9, skin)
    face(pen, x, top + 66, skin)


def exchange() -> Pen:
    """Draw five people, each with something to share."""
    pen = Pen(CREAM)
    for x, y, r, colour in (
        (190, 380, 300, SKY_PALE),
        (1010, 380, 300, SKY_PALE),
        (600, 420, 290, STONE),
    ):
        pen.disc(x, y, r, colour)
    back = ((400, 226, SKINS[1], SKY, "curls"), (800, 226, SKINS[3], BLUSH, "bun"))
    front = (
        (200, 270, SKINS[0], SAGE_DEEP, "bob"),
        (600, 270, SKINS[2], INDIGO, "scarf"),
        (1000, 270, SKINS[4], SAGE, "crop"),
    )
    for x, top, skin, coat, style in (*back, *front):
        person(pen, x, top, (skin, coat), style)
    signs = (
        (200, 122, INDIGO, house),
        (400, 84, BLUSH, heart),
        (600, 122, SAGE, book),
        (800, 84, SAGE_SOFT, sprout),
        (1000, 122, VERMILION, sun),
    )
    for x, y, colour, sign in signs:
        bubble(pen, x, y, colour, -1 if x > WIDTH / 2 else 1)
        sign(pen, x, y)
    return pen


# --- Osaka -----------------------------------------------------------------


def skyline(pen: Pen) -> None:
    """Draw towers of the city, pale with distance."""
    towers = (
        (30, 262, 66),
        (104, 196, 56),
        (168, 288, 70),
        (700, 280, 60),
        (768, 214, 62),
        (838, 138, 64),
        (910, 236, 72),
        (990, 108, 56),
        (1054, 250, 64),
        (1126, 174, 58),
    )
    for x, y, w in towers:
        pen.box(x, y, w, 440 - y, SKY)
        for row in range(y + 14, 420, 22):
            pen.box(x + 10, row, w - 20, 6, SKY_SOFT)


def roof(pen: Pen, x: float, eaves: float, half: float, ridge: float) -> None:
    """Draw a tiled roof with upswept eaves, seen from the front."""
    top, tip, low = eaves - 44, eaves - 12, (x, eaves + 12)
    left = bend((x - ridge, top), (x - half * 0.8, eaves - 8), (x - half, tip))
    right = bend((x + half, tip), (x + half * 0.8, eaves - 8), (x + ridge, top))
    under = bend((x - half, tip), low, (x + half, tip))
    pen.shape([*left, *under, *right], SAGE_DEEP)
    pen.line(under, SAGE, 5)


def gable(pen: Pen, x: float, y: float, size: float) -> None:
    """Draw a curved gable on the face of a roof, with a gold crest."""
    for scale, colour in ((1.0, SAGE), (0.82, INDIGO), (0.6, CREAM)):
        s = size * scale
        left = bend((x - s, y), (x - s * 0.35, y - s * 0.15), (x, y - s * 0.85))
        right = bend((x, y - s * 0.85), (x + s * 0.35, y - s * 0.15), (x + s, y))
        pen.shape([*left, *right], colour)
    pen.disc(x, y - size * 0.2, size * 0.09, TIMBER)


def storey(pen: Pen, x: float, top: float, half: float, windows: tuple[int, ...]) -> None:
    """Draw a white storey, shaded under the eaves; its windows lie on both sides."""
    pen.box(x - half, top, half * 2, 52, CREAM)
    pen.box(x - half, top, half * 2, 9, STONE_SHADE)
    for offset in windows:
        for side in (-1, 1):
            pen.box(x + side * offset - 5, top + 23, 10, 17, INDIGO)


def base(pen: Pen, x: float) -> None:
    """Draw the flared stone base of the keep, in courses."""
    left = bend((x - 206, 440), (x - 154, 396), (x - 142, 332))
    pen.shape([*left, *[(2 * x - px, py) for px, py in reversed(left)]], INDIGO_SOFT)
    for row, y in enumerate(range(346, 432, 17)):
        for i in range(-5, 6):
            tone = INDIGO_MID if (i * 3 + row) % 4 == 0 else INDIGO_PALE
            pen.box(x + i * 27 + (row % 2) * 13 - 8, y, 16, 5, tone, 2.5)


def castle(pen: Pen, x: float) -> None:
    """Draw Osaka Castle's keep, from its stone base up to the golden ridge."""
    base(pen, x)
    storey(pen, x, 282, 128, (14, 42, 70, 98))
    roof(pen, x, 282, 176, 118)
    storey(pen, x, 222, 104, (13, 39))
    roof(pen, x, 222, 146, 92)
    storey(pen, x, 166, 78, (40, 62))
    roof(pen, x, 166, 116, 66)
    for dx, y, size in ((-76, 282, 42), (76, 282, 42), (0, 222, 50)):
        gable(pen, x + dx, y, size)
    storey(pen, x, 106, 54, (13, 37))
    roof(pen, x, 112, 90, 44)
    gable(pen, x, 112, 46)
    pen.box(x - 48, 62, 96, 8, INDIGO, 4)
    for side in (-1, 1):
        tip = (x + side * 44, 46)
        back = bend((x + side * 48, 66), (x + side * 54, 58), tip)
        pen.shape([*back, *bend(tip, (x + side * 40, 60), (x + side * 28, 64))], TIMBER)


def ellipse(x: float, y: float, rx: float, ry: float, span: Point = (0, 2)) -> list[Point]:
    """Return points along an ellipse; the span is counted in half turns."""
    turn = [pi * (span[0] + (span[1] - span[0]) * i / 60) for i in range(61)]
    return [(x + rx * cos(a), y + ry * sin(a)) for a in turn]


def fence(pen: Pen, edge: list[Point]) -> None:
    """Draw the posts and rails that hang below one edge of the ring's deck."""
    for x, y in edge[::2]:
        pen.box(x - 2.5, y, 5, 44, TIMBER_DEEP)
    for drop in (22, 43):
        pen.line([(x, y + drop) for x, y in edge], TIMBER_DEEP, 4)


def ring(pen: Pen, x: float, y: float) -> None:
    """Draw the great timber ring of Expo 2025, with pavilions inside it."""
    back, front = ellipse(x, y, 262, 42, (1, 2)), ellipse(x, y, 304, 60, (0, 1))
    pen.shape(ellipse(x, y + 44, 304, 60), SAGE_SOFT)
    pen.shape([*back, *[(px, py + 44) for px, py in reversed(back)]], STONE_SHADE)
    fence(pen, back)
    for dx, dy, r, colour in (
        (-110, 34, 34, CREAM),
        (-40, 40, 24, VERMILION),
        (60, 36, 40, SKY_PALE),
        (130, 38, 22, INDIGO_MID),
    ):
        pen.slice(x + dx, y + dy, r, (180, 360), colour)
    fence(pen, front)
    pen.shape([*ellipse(x, y, 304, 60), *reversed(ellipse(x, y, 262, 42))], TIMBER)
    pen.line(front, TIMBER_DEEP, 4)
    pen.line(back, TIMBER_DEEP, 4)


def osaka() -> Pen:
    """Draw Osaka Castle and the city, with the Expo ring in the foreground."""
    pen = Pen(SKY_SOFT)
    pen.disc(500, 180, 128, VERMILION)
    cloud(pen, 706, 124, 44)
    cloud(pen, 130, 110, 52)
    skyline(pen)
    pen.box(0, 392, 1200, 128, SAGE)
    castle(pen, 380)
    for x, size, tones in (
        (112, 84, LEAVES),
        (172, 64, BLOSSOM),
        (60, 62, BLOSSOM),
        (532, 56, BLOSSOM),
    ):
        tree(pen, x, 462, size, tones)
    ring(pen, 872, 392)
    return pen


# --- Classroom -------------------------------------------------------------


def board(pen: Pen) -> None:
    """Draw the blackboard, with a plane chalked from a London tower to Mount Fuji."""
    pen.box(262, 44, 676, 290, TIMBER, 8)
    pen.box(276, 58, 648, 262, INDIGO)
    pen.box(250, 330, 700, 14, TIMBER_DEEP, 4)
    pen.box(640, 323, 34, 8, CREAM, 4)
    pen.box(682, 323, 20, 8, BLUSH, 4)
    fuji(pen, 770, 290)
    tower(pen, 390, 290)
    route = bend((440, 190), (570, 60), (690, 150), 22)
    for a, b in zip(route[::2], route[1::2], strict=False):
        pen.line([a, b], SKY, 4)
    pen.shape([(566, 96), (640, 112), (580, 140), (588, 118)], CREAM)
    pen.shape([(588, 118), (640, 112), (580, 140)], SKY)


def fuji(pen: Pen, x: float, y: float) -> None:
    """Draw Mount Fuji in chalk, under a red sun."""
    pen.disc(x + 76, y - 160, 30, VERMILION)
    slope = bend((x - 130, y), (x - 50, y - 50), (x - 24, y - 130))
    other = bend((x + 24, y - 130), (x + 50, y - 50), (x + 130, y))
    pen.line([*slope, *other], CREAM, 5)
    snow: list[Point] = [
        (-40, -92),
        (-24, -74),
        (-9, -92),
        (9, -70),
        (22, -92),
        (40, -92),
    ]
    pen.line([(x + dx, y + dy) for dx, dy in snow], CREAM, 4)
    pen.line([(x - 150, y), (x + 130, y)], CREAM, 5)


def tower(pen: Pen, x: float, y: float) -> None:
    """Draw a clock tower in chalk."""
    outline: list[Point] = [
        (-26, 0),
        (-26, -150),
        (-32, -150),
        (-32, -166),
        (0, -206),
        (32, -166),
        (32, -150),
        (26, -150),
        (26, 0),
    ]
    pen.line([(x + dx, y + dy) for dx, dy in outline], CREAM, 5)
    pen.line([(x - 30, y - 150), (x + 30, y - 150)], CREAM, 4)
    pen.disc(x, y - 122, 18, CREAM)
    pen.disc(x, y - 122, 13, INDIGO)
    pen.line([(x, y - 132), (x, y - 122), (x + 7, y - 118)], CREAM, 3)
    for dx in (-10, 10):
        pen.line([(x + dx, y - 88), (x + dx, y - 18)], INDIGO_SOFT, 4)
    pen.line([(x - 60, y), (x + 90, y)], CREAM, 5)


def window(pen: Pen) -> None:
    """Draw a tall window on the left, looking out on hills."""
    pen.box(46, 56, 150, 262, CREAM)
    pen.box(58, 68, 126, 238, SKY)
    cloud(pen, 124, 146, 26)
    pen.shape([(58, 306), *bend((58, 262), (110, 214), (184, 282)), (184, 306)], SAGE)
    pen.shape([*bend((58, 300), (130, 262), (184, 256)), (184, 306), (58, 306)], SAGE_DEEP)
    pen.box(118, 68, 6, 238, CREAM)
    pen.box(58, 180, 126, 6, CREAM)
    pen.box(36, 306, 170, 12, TIMBER, 3)


def notices(pen: Pen) -> None:
    """Draw the pupils' pictures pinned to the wall at the right."""
    sheets = (
        (968, 58, BLUSH, heart),
        (1080, 70, SKY, house),
        (972, 188, INDIGO, sun),
        (1082, 200, SAGE_SOFT, sprout),
    )
    for x, y, paper, picture in sheets:
        pen.box(x, y, 98, 114, CREAM, 3)
        pen.box(x + 6, y + 6, 86, 102, paper)
        picture(pen, x + 49, y + 57)
        pen.disc(x + 49, y + 4, 5, VERMILION)


def globe(pen: Pen, x: float, y: float) -> None:
    """Draw a globe on its stand, with pins for London and Japan."""
    pen.line(ellipse(x, y, 86, 86, (0.38, 1.38)), INDIGO, 9)
    pen.box(x - 6, y + 84, 12, 36, INDIGO)
    pen.box(x - 50, y + 112, 100, 14, INDIGO, 7)
    pen.disc(x, y, 74, SKY)
    lands = (
        (-28, -36, 24, 14),
        (-26, 8, 20, 28),
        (-16, 26, 12, 28),
        (20, -30, 38, 22),
        (16, -10, 12, 18),
        (42, 32, 17, 12),
    )
    for dx, dy, rx, ry in lands:
        pen.oval(x + dx, y + dy, rx, ry, SAGE)
    pen.disc(x - 42, y - 46, 6, VERMILION)
    pen.disc(x + 60, y - 22, 6, VERMILION)


def books(pen: Pen, x: float, y: float) -> None:
    """Draw a stack of books with an apple on top."""
    stack = (
        (220, 0, 38, INDIGO),
        (188, 20, 28, VERMILION),
        (204, 2, 34, SAGE_DEEP),
        (160, 28, 26, SKY),
    )
    for width, indent, height, tone in stack:
        y -= height
        pen.box(x + indent, y, width, height, tone, 5)
        for band in (20, 30, width - 34):
            pen.box(x + indent + band, y, 4, height, CREAM)
    pen.line(bend((x + 104, y - 40), (x + 104, y - 52), (x + 112, y - 58)), TIMBER_DEEP, 4)
    pen.disc(x + 94, y - 24, 22, VERMILION)
    pen.disc(x + 114, y - 24, 22, VERMILION)
    pen.box(x + 84, y - 20, 40, 20, VERMILION, 14)


def pencils(pen: Pen, x: float, y: float) -> None:
    """Draw a pot of pencils."""
    for dx, lean, tone in ((14, -14, VERMILION), (32, 2, SAGE), (50, 16, SKY)):
        pen.line([(x + dx, y - 40), (x + dx + lean, y - 118)], tone, 11)
        pen.disc(x + dx + lean, y - 120, 3, CREAM)
    pen.box(x, y - 80, 64, 80, INDIGO, 6)
    pen.box(x, y - 58, 64, 6, INDIGO_SOFT)


def crane(pen: Pen, x: float, y: float) -> None:
    """Draw a folded paper crane."""
    pen.shape([(x + 6, y - 26), (x + 40, y - 108), (x + 44, y - 22)], BLUSH)
    pen.shape([(x - 34, y - 22), (x - 86, y - 74), (x - 10, y - 6)], VERMILION_DEEP)
    pen.shape([(x + 16, y - 6), (x + 74, y - 84), (x + 42, y - 20)], VERMILION_DEEP)
    pen.shape([(x + 74, y - 84), (x + 98, y - 66), (x + 66, y - 70)], VERMILION)
    pen.shape([(x - 38, y - 24), (x + 46, y - 24), (x + 4, y)], VERMILION)
    pen.shape([(x - 38, y - 24), (x - 22, y - 116), (x + 34, y - 24)], CREAM)


def classroom() -> Pen:
    """Draw a classroom wall with its blackboard, behind a desk of well-used things."""
    pen = Pen(SKY_PALE)
    pen.box(0, 362, 1200, 158, STONE)
    pen.box(0, 362, 1200, 6, CREAM)
    window(pen)
    board(pen)
    notices(pen)
    pen.box(0, 460, 1200, 60, TIMBER)
    pen.box(0, 456, 1200, 12, TIMBER_DEEP)
    globe(pen, 226, 334)
    crane(pen, 580, 458)
    books(pen, 800, 456)
    pencils(pen, 1070, 456)
    return pen


def main() -> None:
    """Draw everything."""
    IMAGES.mkdir(exist_ok=True)
    for scene in (whitehall, exchange, osaka, classroom):
        scene().save(f"{scene.__name__}.png")


if __name__ == "__main__":
    main()
