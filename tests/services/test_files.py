"""A folder of everything: whatever lies in it, each file is added, skipped or failed with its reason, and nothing crashes."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag._services.reading import MAXIMUM_FILE_BYTES
from tests.providers.office_files import docx, epub, msg, open_document, paragraph, pptx, shape, xlsx

FILES = Path(__file__).parents[1] / "data/files"

SNIPPETS = {
    "cjk_big5.txt": "在資訊科技快速發展的今天",
    "cjk_euc_jp.txt": "教育用のプログラミング言語「ABC」の開発に参加",
    "cjk_euc_kr.txt": "파이썬(Python)은 배우기 쉽고",
    "cjk_gb18030.txt": "Python（派森）语言是一种功能强大而完善的通用型计算机程序设计语言",
    "cjk_shift_jis.txt": "教育用のプログラミング言語「ABC」の開発に参加",
    "haystack_sample_2.pdf": "A wiki (/ˈwɪki/",
    "httpx_quickstart.md": "Now, let’s try to get a webpage",
    "r2r_sample.docx": "Technical Documentation: System Architecture Overview",
    "r2r_sample.eml": "Here's a summary of our Q4 planning meeting",
    "r2r_sample.csv": "2024-01-15,C1001,Laptop Pro X,2,999.99,1999.98",
    "r2r_sample.html": "Real-time metrics and analytics",
    "r2r_sample.pdf": "Dummy PDF file",
    "r2r_sample.rtf": "Lorem ipsum dolor sit amet",
    "xquad_de_cp1252.txt": "belegte den sechsten Platz in der Liga, während sie",
    "xquad_en_crlf.txt": "General Manager.\r\n",
    "xquad_es_utf8bom.txt": "Los Panthers, que además de liderar",
    "xquad_ru_cp1251.txt": "Защита Пэнтерс уступила всего 308 очков",
    "xquad_zh_utf16.txt": "同时也以 24 次拦截领先国家橄榄球联盟 (NFL)",
}
"""What each real file says, as a person would read it."""


def archive(*entries: tuple[str, str]) -> bytes:
    """Return a small ZIP archive; the first entry is stored as it is, as `mimetype` must be."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, text in entries:
            file.writestr(name, text)
    return buffer.getvalue()


def compound(stream: str) -> bytes:
    """Return what begins as an OLE compound file does, with the name of a stream in it."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + stream.encode("utf-16-le") + bytes(512)


RTF = rb"{\rtf1\ansi Dear {\b customer}, we thank you for your order.}"
MAIL = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: Order\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n\r\nThank you."
OFFICE = {
    ".docx": docx(paragraph("Hello")),
    ".pptx": pptx(shape("Hello")),
    ".xlsx": xlsx(("Sheet", '<row><c t="str"><v>Hello</v></c></row>')),
    ".odt": open_document("text", "<text:p>Hello</text:p>"),
    ".epub": epub("<p>Hello</p>"),
    ".rtf": RTF,
    ".eml": MAIL,
    ".msg": msg({"__substg1.0_1000001F": "Hello"}),
}
"""A document of each format that is known by its bytes too."""
UNSUPPORTED = {
    ".doc": (compound("WordDocument"), "save it as '.docx'"),
    ".ppt": (compound("PowerPoint Document"), "save it as '.pptx'"),
}
"""Bytes of formats that no parser reads, and what to do instead."""


def named_in_all_ways(extension: str) -> tuple[str, ...]:
    """Return names that tell a format, and names that do not."""
    return (f"file{extension}", f"FILE{extension.upper()}", f"was_{extension[1:]}", f"was{extension}.unknown")


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256))
TEXTS = {
    "guide.rst": "Badgers\n=======\n\nA guide to *badgers*.\n",
    "notes.org": "* Badgers\n** They dig\n",
    "README": "Read me first: badgers bite.\n",
    "page": "<!doctype html><html><body><p>Badgers on a page.</p></body></html>",
    "letter.txt": RTF.decode(),
    "mail.txt": MAIL.decode(),
}
"""Files that are text by their extension, or by their looks where they have none; `.txt` is text whatever it holds."""

FAILED = {
    "empty.txt": (b"", "empty"),
    "blank.md": (b" \n\t\n", "no text"),
    "broken.pdf": (b"%PDF-1.4\nthis is not one", "PDF"),
    "cut.pdf": ((FILES / "haystack_sample_2.pdf").read_bytes()[:9_000], "PDF"),
    "word.pdf": (OFFICE[".docx"], "PDF"),
    "image.txt": (PNG, "text"),
    "image.docx": (PNG, "DOCX"),
    "empty.xlsx": (b"", "empty"),
}
"""Files of a format that is read, which hold nothing to read, and a word of the reason."""

SKIPPED = {
    "picture.png": (PNG, "do not look like text"),
    "data.bin": (bytes(range(256)) * 8, "do not look like text"),
    "files.zip": (archive(("a.txt", "Hello")), "do not look like text"),
    ".hidden.txt": (b"Nobody sees this.", "hidden"),
}
"""Files that are left out, and a word of the reason."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the real files, the generated ones, and things that are no files."""
    place = tmp_path / "everything"
    shutil.copytree(FILES, place)
    for extension, data in {**OFFICE, **{extension: data for extension, (data, _) in UNSUPPORTED.items()}}.items():
        for name in named_in_all_ways(extension):
            (place / name).write_bytes(data)
    for name, (data, _) in {**FAILED, **SKIPPED}.items():
        (place / name).write_bytes(data)
    for name, text in TEXTS.items():
        (place / name).write_text(text, encoding="utf-8", newline="")
    (place / "below").mkdir()
    (place / "below/deep.txt").write_text("Badgers live deep down.")
    (place / "huge.txt").touch()
    os.truncate(place / "huge.txt", MAXIMUM_FILE_BYTES + 1)
    (tmp_path / "outside.txt").write_text("Not meant for this bot.")
    (place / "link_out.txt").symlink_to(tmp_path / "outside.txt")
    (place / "link_nowhere.txt").symlink_to("nowhere.txt")
    (place / "link_up").symlink_to("..")
    (place / "link_in.txt").symlink_to("README")
    os.mkfifo(place / "pipe.txt")
    (place / "locked.txt").write_text("Nobody may read this.")
    (place / "locked.txt").chmod(0)
    if os.geteuid() == 0:
        _lock(place / "locked.txt", monkeypatch)
    return place


def _lock(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to open a file, which permissions do not to the superuser."""
    real = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)


def files_below(folder: Path) -> Iterator[str]:
    """Yield everything below a folder that is not a folder, a link to one counted as a file."""
    for place, folders, files in os.walk(folder):
        for name in [*files, *(name for name in folders if (Path(place) / name).is_symlink())]:
            yield (Path(place) / name).relative_to(folder).as_posix()


def entries(report: minirag.IngestReport) -> dict[str, tuple[str, str | None]]:
    """Return status and reason by key."""
    groups = (report.added, report.updated, report.unchanged, report.removed, report.skipped, report.failed)
    return {entry.key: (entry.status, entry.reason) for group in groups for entry in group}


def test_everything_at_once(folder: Path, bot: minirag.Bot) -> None:
    """One call takes in what can be read and accounts for every file; a second one changes and embeds nothing."""
    report = bot.add(folder)
    found = entries(report)
    assert sorted(found) == sorted(files_below(folder))
    assert sum(report.counts.values()) == len(found)
    office = [name for extension in OFFICE for name in named_in_all_ways(extension)]
    readable = {*SNIPPETS, *TEXTS, *office, "below/deep.txt", "link_in.txt"}
    failing = {*FAILED, "haystack_scanned_no_text.pdf", "huge.txt", "locked.txt"}
    assert {key for key, (status, _) in found.items() if status == "added"} == readable
    assert {key for key, (status, _) in found.items() if status == "failed"} == failing
    assert {status for status, _ in found.values()} == {"added", "failed", "skipped"}
    for key, (status, reason) in found.items():
        assert (reason is None) == (status == "added"), key
        assert "Traceback" not in (reason or "")

    again = bot.add(folder)
    assert again.embedded_texts == 0
    expected = {key: ("unchanged" if status == "added" else status, why) for key, (status, why) in found.items()}
    assert entries(again) == expected
    assert bot.documents.count() == len(readable)


def test_texts_are_what_a_person_reads(folder: Path, bot: minirag.Bot) -> None:
    """Every encoding is understood: the words are there, and nothing that tells of a wrong one."""
    bot.add(folder)
    for key, snippet in SNIPPETS.items():
        text = bot.documents.text(key)
        assert snippet in text, key
        assert not {"\ufffd", "\x00", "\ufeff"} & set(text), key
        assert not any(trace in text for trace in ("Ã", "â€", "Ð", "ï»¿")), key
    for key, written in TEXTS.items():
        text = bot.documents.text(key)
        assert text == written or key == "page", key
    assert bot.documents.text("page") == "Badgers on a page."
    assert {bot.documents.get(key).media_type for key in ("guide.rst", "notes.org", "README")} == {"text/plain"}


def test_unsupported_formats_say_what_to_do(folder: Path, bot: minirag.Bot) -> None:
    """By extension, and by their bytes where the extension says nothing: never read as if they were text."""
    found = entries(bot.add(folder))
    for extension, (_, advice) in UNSUPPORTED.items():
        for name in named_in_all_ways(extension):
            status, reason = found[name]
            assert status == "skipped", name
            assert str(reason).startswith(f"{name!r}: no installed parser reads {extension!r}; {advice}"), name


def test_reasons_say_what_is_wrong(folder: Path, bot: minirag.Bot) -> None:
    """Each names the file or is about it, and says why."""
    found = entries(bot.add(folder))
    for name, (_, word) in {**FAILED, **SKIPPED}.items():
        assert word in str(found[name][1]), (name, found[name])
    assert "no text layer" in str(found["haystack_scanned_no_text.pdf"][1])
    assert "Permission denied" in str(found["locked.txt"][1])
    assert f"{MAXIMUM_FILE_BYTES:,}" in str(found["huge.txt"][1])
    for name in ("link_out.txt", "link_nowhere.txt", "link_up"):
        assert found[name][0] == "skipped"
        assert "a link" in str(found[name][1])
    assert found["pipe.txt"] == ("skipped", "not a regular file")


def test_files_named_one_by_one(folder: Path, bot: minirag.Bot) -> None:
    """The same files as arguments of one call get the same verdicts; each is a source of its own, with its error kept."""
    names = [*SNIPPETS, *TEXTS, *FAILED, "locked.txt", "file.doc", "was_ppt", "data.bin", ".hidden.txt"]
    found = entries(bot.add(*[folder / name for name in names]))
    assert sorted(found) == sorted(names)
    assert {key for key, (status, _) in found.items() if status == "added"} == {*SNIPPETS, *TEXTS, ".hidden.txt"}
    assert {key for key, (status, _) in found.items() if status == "failed"} == {*FAILED, "locked.txt"}
    states = {source.name: (source.status, source.error) for source in bot.sources.list()}
    assert all(states[name][0] == "failed" and states[name][1] for name in (*FAILED, "locked.txt"))
    assert all(states[name] == ("ready", None) for name in SNIPPETS)


def test_a_name_that_is_no_text(tmp_path: Path, bot: minirag.Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or folder whose name is not UTF-8 is left out with the reason; the others are read."""
    place = tmp_path / "names"
    try:
        (place / "bad\udcff").mkdir(parents=True)
        (place / "worse\udcfe.txt").write_text("Some text.")
    except (OSError, UnicodeError):
        pytest.skip("this file system has only names that are text")
    (place / "bad\udcff/inside.txt").write_text("Inside.")
    (place / "good.txt").write_text("Good.")
    for status in ("added", "unchanged"):
        found = entries(bot.add(place))
        assert {key: status for key, (status, _) in found.items()} == {
            "bad?": "skipped",
            "worse?.txt": "skipped",
            "good.txt": status,
        }
        assert "UTF-8" in str(found["bad?"][1])
    with pytest.raises(minirag.errors.InvalidInputError, match="surrogate"):
        bot.add(place / "worse\udcfe.txt")
    monkeypatch.chdir(place / "bad\udcff")
    with pytest.raises(minirag.errors.InvalidInputError, match="surrogate"):
        bot.add("inside.txt")
