"""Vectors that Qdrant's client keeps in a folder of its own go from its files too."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.erasure.scanning import found_in
from tests.erasure.world import KEY, Seeded, canaries, fill, open_bot, open_workspace

pytest.importorskip("qdrant_client", reason="the client of Qdrant is not installed")


def test_the_local_mode(tmp_path: Path) -> None:
    """A number of a deleted vector, which the client stores as eight bytes, is in no file of either folder."""
    embedder = Seeded()
    index = {"provider": "qdrant", "options": {"path": str(tmp_path / "vectors")}}
    with open_workspace(tmp_path / "kb", embedder, index=index) as opened:
        bot = open_bot(opened)
        fill(bot, documents=5)
        bot.search("parcel")
        present = {
            float(value) for text, vector in embedder.made.items() if "Wilhelmina" not in text for value in vector
        }
        current = [vector for text, vector in embedder.made.items() if "v2s" in text]
        numbers = {
            struct.pack(">d", value): f"the number {value}"
            for vector in current
            for value in map(float, vector[:8])
            if value not in present
        }
        assert len(found_in(tmp_path / "vectors", numbers)) > 8, "the numbers are not where they are looked for"
        receipt = bot.documents.remove(KEY, erase=True)
        assert (receipt.status, receipt.cause) == ("done", None)
        assert found_in(tmp_path, numbers | canaries(embedder)) == []
        assert len(bot.search("parcel", k=500, mode="dense")) == bot.stats().chunks
