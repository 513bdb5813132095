"""Files of any encoding are read in the one they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from minirag.interfaces import ParserInput, ProviderContext
from minirag.providers.parsers import text
from minirag.providers.parsers.decoding import decode

FILES = Path(__file__).parent.parent / "data" / "files"


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("cjk_big5.txt", "big5"),
        ("cjk_euc_jp.txt", "euc_jp"),
        ("cjk_euc_kr.txt", "euc_kr"),
        ("cjk_gb18030.txt", "gb18030"),
        ("cjk_shift_jis.txt", "shift_jis"),
        ("xquad_de_cp1252.txt", "cp1252"),
        ("xquad_ru_cp1251.txt", "cp1251"),
        ("xquad_zh_utf16.txt", "utf-16"),
        ("xquad_es_utf8bom.txt", "utf-8-sig"),
        ("xquad_en_crlf.txt", "utf-8"),
    ],
)
def test_real_files_of_every_encoding(name: str, encoding: str) -> None:
    """Files that declare no encoding are read in the one they have, line ends kept."""
    data = (FILES / name).read_bytes()
    parsed = text.create(None, ProviderContext()).parse(ParserInput(data=data, name=name))
    assert parsed.text == data.decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ("cp1252", "L’élève répète la leçon qu’il a déjà apprise à Besançon. Voici « l’œuvre » complète."),
        ("cp1252", "¿Cuántos días hay?"),
        ("cp1252", "A devolução não é possível. Há informações sobre as condições."),
        ("cp1250", "Zażółć gęślą jaźń. Proszę o zwrot towaru w ciągu czternastu dni."),
        ("cp1250", "Árvíztűrő tükörfúrógép. A terméket harminc napon belül lehet visszaküldeni."),
        ("cp1254", "Ürünü satın aldıktan sonra iade edebilirsiniz. Şişli'de güneşli bir gün."),
        ("koi8_r", "Возврат товара возможен в течение четырнадцати дней с момента покупки."),
        ("cp1253", "Η επιστροφή του προϊόντος είναι δυνατή εντός δεκατεσσάρων ημερών."),
        ("cp1256", "يمكن إرجاع المنتج خلال أربعة عشر يوما من تاريخ الشراء. شكرا لكم."),
        ("cp874", "สามารถคืนสินค้าได้ภายในสิบสี่วันนับจากวันที่ซื้อ ขอบคุณสำหรับคำสั่งซื้อ"),
    ],
)
def test_a_sentence_is_enough_to_tell_the_code_page(encoding: str, sentence: str) -> None:
    """One sentence in an old code page is read right, alone and far behind plain ASCII."""
    assert decode(sentence.encode(encoding)).text == sentence
    long = "Plain words only.\n" * 20_000 + f"{sentence}\n" * 500
    assert decode(long.encode(encoding)).text == long


def test_a_declared_charset_is_used() -> None:
    """The declared charset decides where the bytes alone do not."""
    data = "žąsis".encode("cp1257")
    assert decode(data, charset="windows-1257").text == "žąsis"
    assert decode("ä".encode("cp1252"), charset="iso-8859-1").encoding == "cp1252"


@pytest.mark.parametrize("charset", ["iso-8859-1", "nonsense", "rot13", "utf-7", "", "a\x00b"])
def test_valid_utf8_is_utf8_whatever_is_declared(charset: str) -> None:
    """A server's default, an unknown name or a codec that is no charset does not spoil UTF-8."""
    assert decode("größe".encode(), charset=charset).text == "größe"


def test_lost_characters_are_a_warning() -> None:
    """Bytes that nothing explains become U+FFFD and are counted."""
    decoded = decode(b"\xff\xfea\x00\x00\xd8")
    assert (decoded.text, decoded.lost) == ("a\ufffd", 1)
    assert "1 characters" in decoded.warnings[0]
