"""Vectors of a real model through the same server."""

from __future__ import annotations

from pathlib import Path

import minirag
from tests.real_model.conftest import FILES, MODEL
from tests.real_model.listening import Listening

DIMENSION = 576


def test_documents_are_found_by_served_vectors(tmp_path: Path, server: Listening) -> None:
    """A text is its own nearest neighbour, and the ledger has a row for every request."""
    named = {
        "provider": "openai",
        "options": {"model": MODEL, "base_url": server.base_url, "dimensions": DIMENSION, "timeout": 600.0},
    }
    with minirag.Workspace.open(tmp_path, embedder=named) as workspace:
        session = workspace.tenant("acme", create=True)
        bot = session.bot("reader", create=True)
        bot.add(FILES / "xquad_en_crlf.txt", progress=False).raise_for_failures()
        text = bot.search("quarterback", k=1)[0].text
        hit = bot.search(text, k=1, mode="dense")[0]
        assert hit.text == text
        assert hit.score > 0.999
        sent = [exchange for exchange in server.exchanges if exchange.path.endswith("/embeddings")]
        assert len([event for event in session.usage.events() if event.kind == "embedding"]) == len(sent)
