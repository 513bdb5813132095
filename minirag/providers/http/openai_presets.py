"""Vendors that speak the OpenAI protocol: for each its address, and where it differs."""

from __future__ import annotations

from typing import ClassVar

from minirag.providers.http.openai_chat import OpenAIChatOptions

__all__ = ["DeepSeekOptions", "GroqOptions", "MistralOptions", "OpenRouterOptions"]


class DeepSeekOptions(OpenAIChatOptions):
    """Options of a model at DeepSeek, which promises JSON but takes no schema for it."""

    provider: ClassVar[str] = "deepseek"
    offers_schemas: ClassVar[bool] = False
    base_url: str = "https://api.deepseek.com"


class GroqOptions(OpenAIChatOptions):
    """Options of a model at Groq."""

    provider: ClassVar[str] = "groq"
    base_url: str = "https://api.groq.com/openai/v1"


class MistralOptions(OpenAIChatOptions):
    """Options of a model at Mistral, whose streams count their tokens unasked and refuse `stream_options`."""

    provider: ClassVar[str] = "mistral"
    base_url: str = "https://api.mistral.ai/v1"
    include_usage: bool = False


class OpenRouterOptions(OpenAIChatOptions):
    """Options of a model at OpenRouter; `model` names the vendor too, as in `mistralai/mistral-nemo`."""

    provider: ClassVar[str] = "openrouter"
    base_url: str = "https://openrouter.ai/api/v1"
