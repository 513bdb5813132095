"""`ErasingMachine`: the part of the state machine that destroys beyond recovery."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from minirag.errors import EvidenceGoneError
from minirag.models.answers import Citation
from minirag.testing import machine_strategies as draw
from minirag.testing.machine_oracle import ExpectedBot, canary
from minirag.testing.machine_people import PeopleMachine

__all__ = ["ErasingMachine"]


class ErasingMachine(PeopleMachine):
    """Erasures of documents and sources. What one tenant erases, another keeps, be it the same text under the same name."""

    cited: list[tuple[str, str, ExpectedBot, Citation]]

    @rule(
        tenant=draw.tenants(),
        name=draw.bots(),
        handle=draw.handles(),
        label=st.sampled_from(("inline", "notes", "files")),
        whole=st.booleans(),
        chats=st.sampled_from(("scrub", "keep")),
        sure=st.integers(0, 3),
    )
    def erase(self, *, tenant: str, name: str, handle: int, label: str, whole: bool, chats: Any, sure: int) -> None:
        found = self.bot(tenant, name, handle)
        if sure or found is None or label not in found[1].sources:
            return
        bot, expected = found
        source = expected.sources[label]
        names = expected.names(label=label)
        stored = bot.sources.get(source.name)
        if whole:
            receipt = bot.sources.remove(stored, erase=True, chats=chats)
            gone = {key for _, key in names}
            expected.remove_source(label)
        elif names and source.waiting is None:
            receipt = bot.documents.remove(names[0][1], source=stored, erase=True, chats=chats)
            gone = {names[0][1]}
            expected.remove(names[:1])
        else:
            return
        expected.sequence += 1
        assert (receipt.status, receipt.verified) == ("done", True), f"an erasure ended as {receipt!r}"
        assert receipt.counts["documents"] == len(gone), "other documents were erased than there were"
        assert receipt.tenant == tenant, "a receipt names another tenant"
        assert canary(tenant) not in receipt.model_dump_json(), "a receipt tells what was erased"
        receipts = self.workspace(handle).erasures
        assert receipts.get(receipt.id) == receipt
        assert list(receipts.resume()) == [], "something is pending"
        self._forget_citations(tenant, name, stored.id, None if whole else gone)

    def _forget_citations(self, tenant: str, name: str, source_id: str, gone: set[str] | None) -> None:
        """Fail unless citations of what was erased open nothing any more; forget them."""
        kept = []
        for entry in self.cited:
            citation = entry[3]
            if (
                entry[:2] == (tenant, name)
                and citation.source_id == source_id
                and (gone is None or citation.key in gone)
            ):
                with pytest.raises(EvidenceGoneError):
                    self.session(tenant).bot(name).open(citation)
            else:
                kept.append(entry)
        self.cited[:] = kept
