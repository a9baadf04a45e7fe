"""Octets to text, with labels that are right, wrong or missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jlgc_mailer.mail.reports.charsets import decode

_TEXTS = {
    "iso2022_jp": "宛先のメールアドレスが見つかりませんでした。",
    "cp932": "受信者のメールボックスの容量が一杯です。",
    "euc_jp": "下記のアドレスは現在使用されておりません。",
    "utf-8": "宛先のメールアドレス",
    "gb18030": "很抱歉您发送的邮件被退回，收件人地址不存在，邮件无法送达。",
    "big5": "您寄給收件人的郵件無法送達，因為收件人的信箱已滿。",
    "cp949": "메일이 전송되지 않았습니다. 존재하지 않는 사용자입니다.",
    "koi8_r": "Ваше письмо не может быть доставлено следующему получателю",
    "cp1251": "Сообщение не доставлено: почтовый ящик получателя переполнен.",
    "cp1252": "Le destinataire n'a pas été trouvé, boîte désactivée à jamais",
}


@pytest.mark.parametrize("codec", _TEXTS)
@pytest.mark.parametrize("label", [None, "us-ascii", "unknown-8bit", "iso-8859-1", "x-nonsense"])
def test_text_is_read_although_its_label_is_wrong(codec: str, label: str | None) -> None:
    """M3"""
    assert decode(_TEXTS[codec].encode(codec), label) == _TEXTS[codec]


@pytest.mark.parametrize(
    ("codec", "label"),
    [
        ("cp932", "Shift_JIS"),
        ("cp932", "x-sjis"),
        ("gb18030", "GB2312"),
        ("cp949", "ks_c_5601-1987"),
        ("euc_jp", "EUC-JP"),
    ],
)
def test_labels_of_mail_are_understood(codec: str, label: str) -> None:
    """M3"""
    assert decode(_TEXTS[codec].encode(codec), label) == _TEXTS[codec]


def test_japanese_whose_escapes_a_relay_ate_is_read() -> None:
    """M3"""
    stripped = _TEXTS["iso2022_jp"].encode("iso2022_jp").replace(b"\x1b", b"")
    assert decode(stripped, "ISO-2022-JP") == _TEXTS["iso2022_jp"]


def test_korean_in_seven_bits_is_read() -> None:
    assert decode("사용자".encode("iso2022_kr")) == "사용자"


@given(st.binary(max_size=400), st.text(max_size=20) | st.sampled_from(["utf-16", "utf-7", "punycode", "hex", "idna"]))
def test_any_octets_with_any_label_are_some_text(data: bytes, label: str) -> None:
    """F8"""
    assert isinstance(decode(data, label), str)


def test_a_report_in_eight_bits_that_returns_a_letter_in_seven_is_read_in_both() -> None:
    """M3"""
    report, letter = "該当するユーザーは登録されておりません", "会員の皆様へ"
    data = report.encode("cp932") + b"\n" + letter.encode("iso2022_jp") + b"\n"
    assert decode(data, "shift_jis") == f"{report}\n{letter}\n"
    assert decode(data, None) == f"{report}\n{letter}\n"
