"""The providers at work: what is added through them is found, and answers are cited."""

from __future__ import annotations

from pathlib import Path

import pytest

import minirag

FILM = "1\n00:00:01,000 --> 00:00:02,500\n<i>We open</i>\nat nine.\n\n2\n00:00:03,000 --> 00:00:04,000\nBring a hat.\n"
PROFILE = {"embedder": {"provider": "ngrams", "options": {"n": 4}}, "llm": "quote", "reranker": "shared-words"}


def test_a_bot_answers_from_subtitles(tmp_path: Path) -> None:
    """By name, as in an application that has installed this package; the citation leads to the text."""
    film = tmp_path / "film.srt"
    film.write_text(FILM, encoding="utf-8")
    with minirag.Workspace.open(tmp_path / "kb") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True, **PROFILE)
        bot.add(film)
        answer = bot.ask("When do you open?")
        assert answer.text == "We open at nine. [1]"
        assert answer.citations[0].verify()


def test_a_wrong_option_is_told(tmp_path: Path) -> None:
    """The model of the options refuses it, and no bot is made."""
    with minirag.Workspace.open(tmp_path) as workspace:
        tenant = workspace.tenant("acme", create=True)
        with pytest.raises(minirag.errors.ProviderOptionsError, match="dimension"):
            tenant.bot("support", create=True, embedder={"provider": "ngrams", "options": {"dimension": 1}})
        assert list(tenant.bots.list()) == []
