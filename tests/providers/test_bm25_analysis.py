"""How text becomes terms, and how its language is told."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirag.interfaces.keyword_index import IndexText
from minirag.interfaces.scope import mint_scope
from minirag.providers.bm25.analyzer import Analyzer, analysis_version, query_terms, term_id
from minirag.providers.bm25.detection import detect_language
from minirag.providers.bm25.index import Bm25Index
from minirag.providers.bm25.languages import LANGUAGES, RIVALS
from minirag.providers.bm25.words import WESTERN, cut_folded, cut_words, fold, western_words

PARAGRAPHS = {
    "ar": "يمكنك إرجاع الجهاز خلال ثلاثين يوما من الشراء إذا كان في حالة جيدة، ثم نعيد لك المال بعد أن نفحص هذا الجهاز.",
    "ca": "Podeu tornar l'ordinador durant els trenta dies següents si no ha estat usat, i nosaltres paguem les despeses amb els diners de la botiga.",
    "da": "Du kan sende computeren tilbage inden for tredive dage, hvis den ikke er blevet brugt, og vi betaler også for det, efter at pakken er kommet ud af huset.",
    "de": "Sie können den Rechner innerhalb von dreißig Tagen zurückgeben, wenn er nicht benutzt wurde, und wir bezahlen auch die Kosten für den Versand.",
    "el": "Μπορείτε να επιστρέψετε τον υπολογιστή μέσα σε τριάντα ημέρες αν δεν έχει χρησιμοποιηθεί, και θα πληρώσουμε εμείς για την αποστολή.",
    "en": "You may return the laptop within thirty days if it has not been used, and we will pay for the shipping.",
    "es": "Puede devolver el ordenador en un plazo de treinta días si no se ha usado, y nosotros pagamos los gastos de envío con el dinero de la tienda.",
    "fi": "Voit palauttaa tietokoneen, joka on ostettu meiltä, mutta sen pitää olla ehjä ja se ei saa olla käytetty, kun otamme sen vastaan.",
    "fr": "Vous pouvez rendre l'ordinateur dans les trente jours s'il n'est pas usé, et nous payons les frais de port pour le retour.",
    "hi": "आप लैपटॉप को तीस दिन के भीतर लौटा सकते हैं यदि उसका उपयोग नहीं किया गया है और हम भेजने का खर्च देंगे।",
    "hu": "A gépet harminc napon belül vissza lehet küldeni, ha az nem volt használva, és a költséget is mi fizetjük, de csak egy alkalommal.",
    "id": "Anda dapat mengembalikan laptop ini dalam tiga puluh hari jika belum dipakai, dan kami akan membayar biaya untuk pengiriman itu.",
    "it": "Potete restituire il computer entro trenta giorni se non è stato usato, e noi paghiamo le spese per la spedizione dell'ordine con il prossimo acquisto.",
    "nl": "U kunt de laptop binnen dertig dagen terugsturen als hij niet gebruikt is, en wij betalen ook de kosten van het verzenden.",
    "no": "Du kan sende maskinen tilbake etter tretti dager hvis den ikke har vært brukt, og da betaler vi også frakten fra deg, men bare når noe mangler.",
    "pt": "Você pode devolver o computador em trinta dias se ele não foi usado, e nós pagamos as despesas do envio com o dinheiro da loja.",
    "ro": "Puteți returna calculatorul în treizeci de zile dacă nu a fost folosit, și noi plătim pentru transport după ce este primit de la curier.",
    "ru": "Вы можете вернуть компьютер в течение тридцати дней, если он не был использован, и мы заплатим за доставку, как только это будет сделано.",
    "sv": "Du kan skicka tillbaka datorn inom trettio dagar om den inte har använts, och vi betalar även för frakten när den är framme.",
    "tr": "Bilgisayarı otuz gün içinde geri gönderebilirsiniz ama bu kullanılmamış olarak ve temiz bir kutu ile olmalı; kargo için para daha sonra ödenir.",
    "bg": "Можете да върнете компютъра до тридесет дни, ако не е използван, и ние ще платим за доставката, след като това се случи.",
    "cs": "Počítač můžete vrátit do třiceti dnů, pokud nebyl použit, a my zaplatíme za to, že se k nám dostane, ale jen jednou.",
    "et": "Arvuti võib tagasi saata kolmekümne päeva jooksul, kui see ei ole kasutatud, ja meie maksame ka selle eest, mis on oluline.",
    "fa": "شما می‌توانید این رایانه را تا سی روز پس از خرید برگردانید و ما هزینه آن را برای شما با پست می‌پردازیم که خوب است.",
    "pl": "Komputer można zwrócić w ciągu trzydziestu dni, jeśli nie był używany, a my zapłacimy za to, że się do nas dostanie.",
    "uk": "Ви можете повернути комп'ютер за тридцять днів, якщо він не був у вжитку, і ми заплатимо за це, як тільки він буде на складі.",
    "ja": "未使用の場合は三十日以内にノートパソコンを返品できます。送料は当社が負担します。",
    "ko": "사용하지 않은 노트북은 삼십 일 이내에 반품할 수 있으며 배송비는 저희가 부담합니다.",
    "th": "คุณสามารถคืนแล็ปท็อปได้ภายในสามสิบวันหากยังไม่ได้ใช้งาน",
    "zh": "未使用的笔记本电脑可以在三十天内退货,运费由我们承担。",
}
"""The same few sentences about a laptop, in many languages."""


def found(query: str, text: str, language: str) -> bool:
    """Return whether the query finds the text in a partition that holds nothing else."""
    partition = Bm25Index().partition(mint_scope("tenant"), "bot")
    partition.apply(partition.search("", 1)[0], [IndexText(key=1, text=text, title=None, language=language)])
    return len(partition.search(query, 1)[0]) == 1


def terms_of(analyzer: Analyzer, text: str) -> list[int]:
    """Return the numbers of the terms of a text's words, in order."""
    analyzed = analyzer.analyze([text])
    return [int(term) for term in analyzed.terms[analyzed.which]]


@pytest.mark.parametrize("language", sorted(PARAGRAPHS))
def test_detects_the_language_of_a_paragraph(language: str) -> None:
    """A paragraph's language is told if it has an analyser, and no other language is taken for one that has."""
    assert detect_language(PARAGRAPHS[language]) == (language if language in LANGUAGES else "none")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Laptop",
        "def search(self, query, k=10): return self._index.search(query, k)[:k]",
        "Los Angeles Rams, Los Angeles Lakers, Los Angeles Kings, Los Angeles Dodgers",
        "2024-01-31;17.50;EUR;4711",
        PARAGRAPHS["ja"] * 9 + "He said that it was the best of all.",
    ],
    ids=["empty", "one word", "code", "names", "numbers", "quotation"],
)
def test_is_unsure_of_a_language(text: str) -> None:
    """What has too few function words of any language is of none."""
    assert detect_language(text) == "none"


def test_reads_the_beginning_only() -> None:
    """Detection takes no longer for a long text: what comes after some thousand characters does not matter."""
    assert detect_language(PARAGRAPHS["de"] * 40 + PARAGRAPHS["fr"] * 400) == "de"


def test_every_language_has_a_stemmer() -> None:
    """Each listed language makes an analyser, and languages that only rival in detection make none."""
    assert all(Analyzer(code).language == code for code in LANGUAGES)
    assert all(Analyzer(code).language == "none" for code in RIVALS)


@pytest.mark.parametrize(
    ("query", "text", "language"),
    [
        ("returning laptops", "He returned the laptop", "en"),
        ("dog", "the dog's bowl", "en"),
        ("don", "I don't", "en"),
        ("eau", "de l’eau", "fr"),
        ("l'EAU", "de l'eau", "fr"),
        ("acqua", "nell'acqua", "it"),
        ("Häuser", "das Haus", "de"),
        ("STRASSE", "Straße", "de"),
        ("книги", "книга", "ru"),
        ("istanbul", "İSTANBUL'da", "tr"),
        ("\u00ed", "\u0130\u0301", "none"),
        ("10k", "3M_2018_10K", "none"),
        ("3m_2018_10k", "3M_2018_10K", "none"),
        ("2018", "in 2018, they", "en"),
        ("C", "Vitamin C", "none"),
        ("art", "state-of-the-art", "en"),
        ("ｆｕｌｌ ①", "full 1", "none"),
        ("हिन्दी", "यह हिन्दी है", "none"),
        ("cafe\u0301", "café", "none"),
        ("soft", "so\u00adft", "none"),
        ("می\u200cتواند", "میتواند", "none"),
        ("電脳", "東京電脳街", "none"),
        ("猫", "我有一只猫。", "none"),
        ("退货", "iPhone退货", "en"),
        ("iphone", "iPhone退货", "en"),
        ("ノート", "新しいノートパソコン", "none"),
        ("ภาษา", "นี่คือภาษาไทย", "none"),
        ("노트북", "노트북 반품", "none"),
        ("a" * 5_000, "a" * 5_000, "de"),
    ],
)
def test_a_query_finds(query: str, text: str, language: str) -> None:
    """A word finds the forms that its language's analyser makes one of."""
    assert found(query, text, language)


@pytest.mark.parametrize(
    ("query", "text", "language"),
    [
        ("हिन्द", "यह हिन्दी है", "none"),
        ("k", "हिन्दी क", "none"),
        ("京都", "東京の都市", "none"),
        ("returned", "return", "none"),
        ("s", "the dog's bowl", "en"),
        ("_", "3M_2018_10K", "none"),
        ("", "anything", "en"),
    ],
)
def test_a_query_does_not_find(query: str, text: str, language: str) -> None:
    """Words of unknown language are not stemmed, marks are a part of their word, and a run is not torn into characters."""
    assert not found(query, text, language)


def test_words_keep_their_order() -> None:
    """Words come in order, numbers among them; an apostrophe joins, and all else separates."""
    assert cut_words("The dog's 2 bowls (red/blue)") == (["the", "dog's", "2", "bowls", "red", "blue"], [])
    assert cut_words("été 東京 d’été") == (["été", "d'été"], ["東京"])


@pytest.mark.parametrize(
    "text", [*PARAGRAPHS.values(), "'Tis rock''n'roll, the dogs' O'Brien's '", "l’eau d'été ÿ œuf …", "\x00'\x1c_"]
)
def test_the_fast_cut_gives_the_same_words(text: str) -> None:
    """The fast cut differs from the plain one in apostrophes at most, and cutting its words again makes up for that."""
    rough = western_words(fold(text))
    if rough is None:
        assert any(ord(character) > 0xFF for character in fold(text))
    else:
        assert [word for some in rough.decode(WESTERN).split() for word in cut_folded(some)[0]] == cut_words(text)[0]


@given(text=st.text(alphabet=st.sampled_from("aB'’1é_œ°² \x00\x1c\u0301İ東ß-"), max_size=30))
def test_the_fast_cut_gives_the_same_words_of_anything(text: str) -> None:
    """So it does for any mixture of letters, marks, apostrophes and separators."""
    test_the_fast_cut_gives_the_same_words(text)


def test_an_analyser_forgets_without_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that is full forgets words, and makes their terms again."""
    texts = [
        " ".join(f"walking{number % 97}s it's l'eau" for number in range(start, start + 40))
        for start in range(0, 400, 40)
    ]
    expected = [terms_of(Analyzer("en"), text) for text in texts]
    monkeypatch.setattr("minirag.providers.bm25.analyzer._CACHED_WORDS", 10)
    small = Analyzer("en")
    assert [terms_of(small, text) for text in texts] == expected


def test_texts_are_told_apart() -> None:
    """Words of several texts keep their text, those that are none or two terms and those of unspaced scripts too."""
    analyzer = Analyzer("none")
    texts = ["bravok ' delzu", "", "東京 o'brien", "bravok"]
    analyzed = analyzer.analyze(texts)
    for number, text in enumerate(texts):
        found = analyzed.terms[analyzed.which[analyzed.texts == number]]
        assert sorted(found.tolist()) == sorted(terms_of(analyzer, text))
    assert np.bincount(analyzed.texts).tolist() == [2, 0, 5, 1]


def test_the_analysis_has_a_version() -> None:
    """The version is the same in every process of one Python, and changes with what terms are made of."""
    assert Bm25Index().snapshot_format == f"bm25-1/{analysis_version()}"
    code = "from minirag.providers.bm25.analyzer import analysis_version; print(analysis_version())"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == analysis_version()
    )


def test_stop_words_are_left_out_if_all_analysers_list_them() -> None:
    """`die` is a stop word in German and not in English, so that beside English text it is searched."""
    english, german, none = Analyzer("en"), Analyzer("de"), Analyzer("none")
    assert list(query_terms("the laptop", [english])) == ["laptop"]
    assert list(query_terms("the laptop", [english, none])) == ["laptop"]
    assert list(query_terms("die Hard", [english, german])) == ["die", "hard"]
    assert list(query_terms("was in", [english, german])) == ["in", "was"]
    assert list(query_terms("the laptop", [none])) == ["laptop", "the"]


def test_query_terms_are_sorted_and_each_once() -> None:
    """Every analyser contributes its terms, in one order, without repetition."""
    assert list(query_terms("wings wing WINGS", [Analyzer("none"), Analyzer("en")])) == ["wing", "wings"]


def test_query_terms_know_their_variants() -> None:
    """Terms that several analysers made from one word are variants of each other, those of other words are not."""
    variants = query_terms("wings 東京都 laptop", [Analyzer("none"), Analyzer("en")])
    assert variants["wings"] == variants["wing"] == {"wing", "wings"}
    assert variants["laptop"] == {"laptop"}
    assert variants["東京"] == {"東京"}


def test_term_numbers_never_change() -> None:
    """A term's number is the same in every process, and is not negative."""
    assert term_id("laptop") == 2902561124568257643
    assert all(0 <= term_id(str(number)) < 1 << 63 for number in range(1_000))


def test_analysers_may_be_shared_by_threads() -> None:
    """Stemming in several threads at once gives what it gives in one."""
    words = [f"{stem}{ending}" for stem in ("walk", "return", "laptop", "order") for ending in ("s", "ed", "ing", "er")]
    text = " ".join(f"{word}{chr(97 + number % 26)}ing" for number in range(200) for word in words)
    expected = terms_of(Analyzer("en"), text)
    shared = Analyzer("en")
    counted: list[list[int]] = []
    threads = [threading.Thread(target=lambda: counted.append(terms_of(shared, text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == [expected] * 4
