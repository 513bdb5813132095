"""add, search, ask and chat: what they print and return."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.cli import showing
from minirag.cli.knowledge import print_report
from minirag.models.reports import IngestEntry, IngestReport

Cli = Any

REPORT = {"added", "updated", "unchanged", "removed", "skipped", "failed", "warnings"} | {
    "counts", "chunks", "embedded_texts", "seconds"
}  # fmt: skip
HIT = {
    "text", "score", "key", "bot", "chunk_id", "document_id", "version_id", "source_id", "source_name", "title", "start",
    "end", "page", "metadata", "ranks",
}  # fmt: skip
ANSWER = {"text", "citations", "hits", "usage", "abstained", "model", "trace", "chat_id", "message_id"}
CITATION = {
    "marker", "quote", "key", "bot", "document_id", "version_id", "source_id", "source_name", "title", "start", "end",
    "page",
}  # fmt: skip


def test_add_makes_what_is_missing_only_when_told_to(cli: Cli, empty: Path) -> None:
    """Without --create nothing is made; with it workspace, tenant and bot are."""
    refused = cli("add", "docs", "-w", "kb", "-t", "acme", "-b", "support")
    assert (refused.code, refused.out) == (2, "")
    assert "--create" in refused.err
    assert not (empty / "kb").exists()
    made = cli("add", "docs", "-w", "kb", "-t", "acme", "-b", "support", "--create", "--embedder", "hashing")
    assert (made.code, made.err) == (0, "")
    assert re.fullmatch(r"3 added; 3 chunks, \d+\.\d s\n", made.out)


def test_add_with_settings(cli: Cli, empty: Path) -> None:
    """Each setting of the bot reaches its profile, providers as JSON too."""
    chunker = '{"provider": "recursive", "options": {"size": 50, "overlap": 0}}'
    settings = ("--embedder", "hashing", "--chunker", chunker, "--language", "en", "--system-prompt", "Be brief.")
    where = ("-w", "kb", "-t", "acme", "-b", "support")
    assert cli("add", "docs/returns.md", "--create", *where, "--llm", "extractive", *settings).code == 0
    profile = cli("bots", "show", "support", "-w", "kb", "--json").json["profile"]
    assert profile["chunker"] == {**json.loads(chunker), "guarded": False}
    assert (profile["language"], profile["system_prompt"]) == ("en", "Be brief.")
    assert (profile["llm"]["provider"], profile["embedder"]["provider"]) == ("extractive", "hashing")


def test_settings_without_create_are_refused(cli: Cli, shared: Path) -> None:
    """A setting that would have no effect is not ignored in silence."""
    for option, value in (
        ("--llm", "extractive"),
        ("--language", "en"),
        ("--system-prompt", ""),
        ("--credential", "key"),
    ):
        result = cli("add", "docs", option, value)
        assert result.code == 2
        assert option in result.err
        assert "bots update" in result.err


def test_add_again_changes_nothing(cli: Cli, place: Path) -> None:
    """A folder that was read is unchanged the second time, and no text is embedded."""
    report = cli("add", "docs", "--json").json
    assert set(report) == REPORT
    assert report["counts"] == {"added": 0, "updated": 0, "unchanged": 3, "removed": 0, "skipped": 0, "failed": 0}
    assert report["embedded_texts"] == 0


def test_add_names_what_failed_and_what_was_skipped(cli: Cli, place: Path) -> None:
    """The reasons go to standard error, the summary to standard output, and the exit code says that some failed."""
    (place / "docs/empty.txt").write_bytes(b"")
    (place / "docs/letter.doc").write_bytes(b"\xd0\xcf\x11\xe0")
    result = cli("add", "docs")
    assert result.code == 3
    assert result.out.startswith("3 unchanged, 1 skipped, 1 failed; ")
    assert re.search(r"^failed: empty\.txt: ", result.err, re.MULTILINE)
    assert re.search(r"^skipped: letter\.doc: .*docx", result.err, re.MULTILINE)
    assert cli("add", "docs", "--json").code == 3


def test_skipped_alone_is_no_failure(cli: Cli, place: Path) -> None:
    """Files that are left out do not make the call a failure."""
    (place / "docs/.hidden").write_text("x")
    result = cli("add", "docs")
    assert (result.code, result.err) == (0, "skipped: .hidden: hidden\n")


def test_many_reasons_are_cut_short(cli: Cli, place: Path) -> None:
    """Of many failures the first ten are shown and the others counted."""
    for number in range(25):
        (place / f"docs/{number:02}.txt").write_bytes(b"")
    result = cli("add", "docs")
    assert result.err.count("failed: ") == 10
    assert "and 15 more failed; --json lists them" in result.err
    assert len(cli("add", "docs", "--json").json["failed"]) == 25


def test_warnings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """What a reader should know goes to standard error, whatever it holds."""
    options = type("Options", (), {"json": False})()
    entry = IngestEntry(source_id="s", key="a\x1b[31m\nb", status="failed", reason="bad")
    report = IngestReport(warnings=("one\x07two",), failed=(entry,), counts={"failed": 1})
    assert print_report(report, options) == 3
    assert capsys.readouterr().err == "failed: a\ufffd[31m b: bad\nwarning: one\ufffdtwo\n"


def test_add_a_path_that_does_not_exist(cli: Cli, shared: Path) -> None:
    """Nothing is read, and the exit code is 1."""
    result = cli("add", "docs/returns.md", "nowhere.txt")
    assert (result.code, result.out) == (1, "")
    assert "'nowhere.txt' does not exist" in result.err


def test_add_an_address_that_is_not_public(cli: Cli, place: Path) -> None:
    """The way to open it is said in words of the command line."""
    result = cli("add", "http://127.0.0.1:9/page")
    assert result.code == 3
    assert "--allow-url HOST:PORT" in result.err


def test_a_wrong_address_to_allow(cli: Cli, shared: Path) -> None:
    """What --allow-url cannot mean is a wrong call."""
    result = cli("add", "docs", "--allow-url", "not an address")
    assert result.code == 2
    assert "not an address" in result.err


def test_search_prints_ranks_places_and_passages(cli: Cli, shared: Path) -> None:
    """A hit is two lines, best first."""
    result = cli("search", "gift cards", "-k", "2", "--mode", "keyword")
    assert result.code == 0
    lines = result.out.splitlines()
    assert re.fullmatch(r" 1\. \d+\.\d{4}  returns\.md", lines[0])
    assert (
        lines[1]
        == "    # Returns A laptop may be returned within 30 days of delivery. Gift cards are never taken back."
    )


def test_search_as_json(cli: Cli, shared: Path) -> None:
    """A list of hits, with all there is to know of each."""
    for mode in ("hybrid", "dense", "keyword"):
        hits = cli("search", "laptop", "--mode", mode, "--exact", "--json").json
        assert [set(hit) for hit in hits] == [HIT] * len(hits)
        assert {"returns.md"} <= {hit["key"] for hit in hits}


def test_search_finds_nothing(cli: Cli, shared: Path) -> None:
    """No hit is no error."""
    result = cli("search", "zebra", "--mode", "keyword")
    assert (result.code, result.out, result.err) == (0, "nothing found\n", "")
    assert cli("search", "zebra", "--mode", "keyword", "--json").json == []


def test_search_with_a_filter(cli: Cli, shared: Path) -> None:
    """--where is JSON and allows only what it says."""
    hits = cli("search", "laptop", "--where", '{"$key": "sub/prices.csv"}', "--json").json
    assert [hit["key"] for hit in hits] == ["sub/prices.csv"]


def test_long_passages_are_cut_with_a_mark(cli: Cli, place: Path) -> None:
    """A passage that is not shown whole says so."""
    (place / "long.txt").write_text("badger " * 100)
    cli("add", "long.txt")
    passage = cli("search", "badger", "--mode", "keyword").out.splitlines()[1]
    assert len(passage) == 4 + 300 + 1
    assert passage.endswith("…")


def test_ask_prints_the_answer_and_its_citations(cli: Cli, shared: Path) -> None:
    """Text, then each marker with what it quotes; who answered goes to standard error."""
    result = cli("ask", "How long does a repair take?")
    assert result.code == 0
    assert (
        result.out
        == 'A repair takes seven working days. [1]\n\n[1] repairs.txt\n    "A repair takes seven working days."\n'
    )
    assert result.err == "(extractive: sentences of the documents, no model)\n"
    assert cli("ask", "How long does a repair take?", "--quiet").err == ""


def test_a_marker_is_explained_once(cli: Cli, place: Path) -> None:
    """Several quotes of one chunk stand under one marker."""
    (place / "cats.txt").write_text("A cat sleeps all day.\n\nA cat eats fish.\n\nA cat hates water.\n")
    cli("add", "cats.txt")
    out = cli("ask", "What does a cat do?", "--where", '{"$key": "cats.txt"}', "-k", "1").out
    answer, _, cited = out.partition("\n\n[1] ")
    assert answer.count("[1]") >= 2
    assert "[1]" not in cited
    assert cited.count('    "A cat ') >= 2


def test_ask_as_json(cli: Cli, shared: Path) -> None:
    """The answer with its citations, hits, usage and trace."""
    answer = cli("ask", "How long does a repair take?", "--json").json
    assert set(answer) == ANSWER
    assert [set(citation) for citation in answer["citations"]] == [CITATION]
    assert answer["citations"][0]["key"] == "repairs.txt"
    assert (answer["abstained"], answer["model"]) == (False, "extractive")


def test_an_abstention_says_so(cli: Cli, shared: Path) -> None:
    """No answer is a result, not a failure."""
    result = cli("ask", "Which zebra won the opera?")
    assert result.code == 0
    assert result.out == "The documents do not answer this question.\n"
    assert result.err.startswith("(no answer: ")
    answer = cli("ask", "Which zebra won the opera?", "--json")
    assert answer.code == 0
    assert answer.json["abstained"] is True


def test_documents_cannot_steer_the_terminal(cli: Cli, place: Path) -> None:
    """Escape sequences in a document's text or name are replaced wherever they are printed."""
    (place / "evil\x1b[2J.txt").write_text("The badger\x1b]0;owned\x07 eats \u202egip\u202c \x9b31mworms at night.\n")
    for arguments in (
        ("add", "evil\x1b[2J.txt"),
        ("search", "badger worms", "--mode", "keyword"),
        ("ask", "What does the badger eat at night?"),
        ("documents", "list"),
        ("documents", "show", "evil\x1b[2J.txt", "--text"),
        ("documents", "show", "evil\x1b[2J.txt"),
        ("sources", "list"),
        ("documents", "remove", "no\x1b[2J"),
    ):
        result = cli(*arguments)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", result.out + result.err), arguments


def test_chat_answers_one_question_a_line(cli: Cli, shared: Path) -> None:
    """Piped questions are answered in order, empty lines are nothing, and the chat is kept."""
    result = cli("chat", stdin="How long does a repair take?\n\n  \nWhen may a laptop be returned?\n")
    assert result.code == 0
    assert "seven working days. [1]" in result.out
    assert "within 30 days of delivery. [1]" in result.out
    found = re.match(r"chat (\w+); one question a line\n", result.err)
    assert found is not None
    with minirag.Workspace.open("kb") as workspace:
        messages = workspace.tenant("acme").bot("support").chat(found[1]).messages
    assert [message.role for message in messages] == ["user", "assistant"] * 2


def test_chat_as_json_goes_on(cli: Cli, shared: Path) -> None:
    """Each answer is one line of JSON that names its chat, which --chat takes up again."""
    first = cli("chat", "--json", "-q", stdin="How long does a repair take?\nAnd a laptop?")
    answers = [json.loads(line) for line in first.out.splitlines()]
    assert [set(answer) for answer in answers] == [ANSWER] * 2
    chat = answers[0]["chat_id"]
    again = cli("chat", "--chat", chat, "--json", "-q", stdin="When may a laptop be returned?")
    assert json.loads(again.out)["chat_id"] == chat
    assert (first.err, again.err) == ("", "")


def test_a_chat_that_does_not_exist(cli: Cli, shared: Path) -> None:
    """It is named, with what to do."""
    result = cli("chat", "--chat", "nope", stdin="Hello?")
    assert result.code == 1
    assert "no chat 'nope'" in result.err


def test_a_failing_model_fails_the_call(cli: Cli, place: Path) -> None:
    """What a provider raises ends `ask` and a piped `chat` with 1 and a message."""
    llm = '{"provider": "openai", "options": {"model": "m", "base_url": "http://127.0.0.1:9/v1", "max_retries": 0}}'
    assert cli("bots", "update", "support", "--llm", llm).code == 0
    for arguments in (("ask", "How long does a repair take?"), ("chat",)):
        for output in ((), ("--json",)):
            result = cli(*arguments, *output, stdin="How long does a repair take?")
            assert result.code == 1
            assert "minirag: " in result.err
            assert "127.0.0.1" in result.err


@pytest.mark.parametrize("width", [30, 50])
def test_wrapping(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In a terminal, lines keep to its width and lose no word, in scripts without blanks too; tables stay in columns."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    text = "Some words and 黑豹队的防守只丢了分在联赛中排名第六同时也以次拦截领先国家橄榄球联盟 and e\u0301nd"
    showing.print_indented(text)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    assert all(showing._columns(line) <= width and line.startswith("    ") for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    showing.print_table(["a", "b"], [["日本", text], [None, "y"]])
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "a     b"
    assert table[1].startswith("日本  Some")
    assert table[-1] == "-     y"
    assert all(showing._columns(line) <= width for line in table)
