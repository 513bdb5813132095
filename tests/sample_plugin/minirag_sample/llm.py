"""A language model that quotes."""

from __future__ import annotations

import re

from minirag.interfaces import LLM, LLMRequest, LLMResponse, ProviderContext

__all__ = ["QuoteLLM", "create"]


class QuoteLLM(LLM):
    """Answers with the first sentence of the first passage and its marker."""

    reads_prompts = False

    @property
    def name(self) -> str:
        """Provider and model, which are one here."""
        return "quote"

    def generate(self, request: LLMRequest) -> LLMResponse:
        """Return the quotation, or an empty answer if there is nothing to quote."""
        self.check(request)
        if not request.passages:
            return LLMResponse(text="", model=self.name)
        first = request.passages[0]
        sentence = re.split(r"(?<=[.!?。！？])\s+", first.text.strip(), maxsplit=1)[0]
        return LLMResponse(text=f"{sentence} [{first.number}]", model=self.name)


def create(options: None, context: ProviderContext) -> QuoteLLM:
    """Return the model; it takes no options and needs nothing from the context."""
    return QuoteLLM()
