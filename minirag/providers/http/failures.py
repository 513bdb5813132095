"""The one place where httpx's exceptions and HTTP statuses become provider errors."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from minirag.errors import (
    ProviderAuthenticationError,
    ProviderConnectionError,
    ProviderError,
    ProviderRateLimitError,
    ProviderRequestError,
    ProviderResponseError,
    ProviderTimeoutError,
)
from minirag.types import utc_now

__all__ = ["Failures", "request_id", "retry_after", "wait_asked"]

# 529 is what Anthropic answers with while it is overloaded.
_RETRYABLE_STATUS = frozenset({500, 502, 503, 504, 529})
# OpenAI's, Anthropic's, Azure's, OpenRouter's and Cohere's names for the same thing.
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id", "x-generation-id", "x-debug-trace-id")
_MAX_DETAIL_CHARACTERS = 300
_SHARED_CHARACTERS = 16
# A key that a server has masked in its own way still shows its beginning and its end.
_SHORTENED_KEY = re.compile(r"\bsk-\S+|\S*\*\*\S*")


class Failures:
    """Makes the errors of one API. No message holds a credential, or a piece of what was sent."""

    def __init__(self, *, provider: str, base_url: str, timeout: float, secrets: Sequence[str]) -> None:
        self._provider = provider
        self._base_url = base_url
        self._timeout = timeout
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)

    @contextlib.contextmanager
    def translated(self, *, streaming: bool = False) -> Iterator[None]:
        """Turn httpx's exceptions into provider errors; while `streaming`, a broken connection is a cut answer."""
        try:
            yield
        except httpx.TimeoutException as problem:
            message = f"{self._place} did not answer within {self._timeout:g} s; try again, or raise `timeout`"
            raise ProviderTimeoutError(message, provider=self._provider) from problem
        except httpx.TransportError as problem:
            if streaming:
                raise self.cut_off() from problem
            message = f"{self._place} could not be reached ({type(problem).__name__}); check `base_url` and the network"
            raise ProviderConnectionError(message, provider=self._provider) from problem
        except httpx.HTTPError as problem:
            raise self.unusable(f"an answer that cannot be read ({type(problem).__name__})") from problem

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes, *, sent: Sequence[str]) -> ProviderError:
        """Return the error that an HTTP status stands for.

        Args:
            sent: texts of the request, none of which may show up in the message.
        """
        payload = _parsed(body)
        detail, number = self._detail(payload, sent=sent), request_id(headers)
        if status == 400 and _refuses_key(payload):
            return self._unauthorized(status, detail, request_id=number)
        return self._of_status(status, detail, request_id=number, wait=wait_asked(headers, body))

    def in_stream(
        self, payload: Any, *, sent: Sequence[str], request_id: str | None, status: int | None = None
    ) -> ProviderError:
        """Return the error that an error object inside a stream stands for.

        Args:
            status: the HTTP status that the error would have had; by default the object's own `code`.
        """
        detail = self._detail(payload, sent=sent)
        code = payload["error"].get("code") if isinstance(payload.get("error"), dict) else None
        code = code if status is None else status
        if isinstance(code, int) and 400 <= code < 600:
            return self._of_status(code, detail, request_id=request_id, wait=None)
        message = f"{self._place} broke the answer off with an error{detail}"
        return ProviderResponseError(message, provider=self._provider, retryable=True, request_id=request_id)

    def cut_off(self, *, request_id: str | None = None) -> ProviderError:
        """Return the error of an answer that ended before it was whole."""
        message = f"{self._place} broke the answer off in the middle; try again"
        return ProviderResponseError(message, provider=self._provider, retryable=True, request_id=request_id)

    def blocked(self, reason: str, *, request_id: str | None = None) -> ProviderError:
        """Return the error of a prompt that the provider's filter keeps from being answered."""
        message = f"{self._place} blocked the prompt ({reason}); rephrase the question or change the sources"
        return ProviderRequestError(message, provider=self._provider, request_id=request_id)

    def unusable(self, what: str, *, request_id: str | None = None) -> ProviderError:
        """Return the error of an answer that makes no sense."""
        message = f"{self._place} sent {what}; check that `base_url` speaks this API"
        return ProviderResponseError(message, provider=self._provider, request_id=request_id)

    def unfit(self, what: str, *, request_id: str | None = None) -> ProviderError:
        """Return the error of an answer that the model got wrong, and may get right the next time."""
        message = f"{self._place} sent {what}; try again, or take another model"
        return ProviderResponseError(message, provider=self._provider, retryable=True, request_id=request_id)

    def cut_short(self, *, request_id: str | None = None) -> ProviderError:
        """Return the error of a tool call that the limit of tokens cut off: it would be so again."""
        message = f"{self._place} reached the limit of tokens within a tool call; raise `max_tokens`"
        return ProviderResponseError(message, provider=self._provider, request_id=request_id)

    @property
    def _place(self) -> str:
        return f"{self._provider} at {self._base_url}"

    def _of_status(self, status: int, detail: str, *, request_id: str | None, wait: float | None) -> ProviderError:
        provider = self._provider
        if status in {401, 403}:
            return self._unauthorized(status, detail, request_id=request_id)
        if status == 429:
            asked = f", for {wait:g} s" if wait is not None else ""
            message = f"{self._place} asks to be called less often{asked} (status 429){detail}"
            return ProviderRateLimitError(
                message, retry_after=wait, provider=provider, status=status, request_id=request_id
            )
        if status == 408:
            message = f"{self._place} gave up waiting (status 408){detail}; try again"
            return ProviderTimeoutError(message, provider=provider, status=status, request_id=request_id)
        if status >= 500:
            message = f"{self._place} failed (status {status}){detail}"
            retryable = status in _RETRYABLE_STATUS
            return ProviderResponseError(
                message, provider=provider, retryable=retryable, status=status, request_id=request_id
            )
        hint = "; check `model` and `base_url`" if status == 404 or status < 400 else ""
        message = f"{self._place} refused the request (status {status}){detail}{hint}"
        return ProviderRequestError(message, provider=provider, status=status, request_id=request_id)

    def _unauthorized(self, status: int, detail: str, *, request_id: str | None) -> ProviderError:
        message = f"{self._place} refused the credentials (status {status}){detail}; check `credentials`"
        return ProviderAuthenticationError(message, provider=self._provider, status=status, request_id=request_id)

    def _detail(self, payload: Any, *, sent: Sequence[str]) -> str:
        """Return the server's own short explanation as `: ...`, or nothing if it repeats what was sent."""
        error = payload.get("error", payload) if isinstance(payload, dict) else None
        if isinstance(error, dict):
            error = error.get("message") or error.get("code") or error.get("type")
        if not isinstance(error, str):
            return ""
        text = " ".join(error.split())
        if not text or len(text) > _MAX_DETAIL_CHARACTERS or _repeats(text, sent):
            return ""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return f": {_SHORTENED_KEY.sub('***', text)}"


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the id that the server gave the call, whatever the header is called, or None."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None)


def wait_asked(headers: Mapping[str, str], body: bytes) -> float | None:
    """Return the seconds that a refusal asks to wait, in its header or, as Google has it, in its body, or None."""
    wait = retry_after(headers)
    if wait is not None:
        return wait
    for entry in _details(_parsed(body)):
        delay = entry.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return retry_after({"retry-after": delay.removesuffix("s")})
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks to wait, given in seconds or as a date, or None."""
    value = headers.get("retry-after", "").strip()
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    with contextlib.suppress(ValueError):
        date = parsedate_to_datetime(value)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or dt.UTC) - utc_now()).total_seconds())
    return None


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _details(payload: Any) -> list[dict[str, Any]]:
    """Return the entries of a Google error's `details`. Source: google.rpc, "error_details.proto"."""
    error = payload.get("error") if isinstance(payload, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return [entry for entry in details if isinstance(entry, dict)] if isinstance(details, list) else []


def _refuses_key(payload: Any) -> bool:
    """Return whether a Google error is about the key, which it refuses with the status of a wrong request."""
    return any(entry.get("reason") == "API_KEY_INVALID" for entry in _details(payload))


def _repeats(text: str, sent: Sequence[str]) -> bool:
    for content in (" ".join(piece.split()) for piece in sent):
        length = min(len(content), _SHARED_CHARACTERS)
        if length > 2 and any(text[start : start + length] in content for start in range(len(text) - length + 1)):
            return True
    return False
