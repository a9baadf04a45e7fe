"""From mrml's HTML to the HTML that is sent: named, with the author's styles inside the elements.

Mail programs that drop style sheets keep style attributes, so the author's CSS is inlined. The rules that cannot be
(dark mode, small screens) stay in MJML's style elements.
"""

from lxml import etree, html
from premailer import Premailer

from jlgc_mailer.errors import TemplateFault


def finish(rendered: str, css: str, title: str) -> str:
    """The finished document: `title` names it and its article (A1, A3), `css` is inlined."""
    page = html.document_fromstring(rendered)
    _name(page, title)
    for style in page.iterfind(".//style"):
        if "media" not in style.attrib:  # those with one premailer leaves alone by itself, mark and all
            style.set("data-premailer", "ignore")
    _inline(page, css)
    return str(etree.tostring(page.getroottree(), method="html", encoding="unicode"))


def _name(page: html.HtmlElement, title: str) -> None:
    """Write the title here because mrml's mj-title breaks on quotation marks."""
    article = page.find(".//div[@role='article']")
    heading = page.find(".//title")
    if article is None or heading is None:
        raise TemplateFault(place="newsletter.mjml", problem="it has no mj-body", remedy="Restore mj-body.")
    heading.text = title
    article.set("aria-label", title)


def _inline(page: html.HtmlElement, css: str) -> None:
    """Inline `css`, touching nothing else: each option here switches off a rewriting of what MJML wrote."""
    Premailer(
        page,
        css_text=css,
        keep_style_tags=True,
        strip_important=False,
        allow_network=False,
        disable_validation=True,
        disable_leftover_css=True,
        remove_unset_properties=False,
        align_floating_images=False,
        disable_basic_attributes=["width", "height", "align", "bgcolor", "valign"],
    ).transform()
