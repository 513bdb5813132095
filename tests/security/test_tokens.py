"""Tokens are random, are told from everything else by their form, and only their hashes need be kept."""

from __future__ import annotations

import binascii
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from minirag.security.tokens import hash_token, new_token, parse_token, same_hash, shown_prefix
from minirag.types import new_id

FORM = re.compile(r"mrag_[0-9a-z]{16}_[0-9A-Za-z]{49}")
TOKEN = new_token("0123456789abcdef")


def checksum_of(body: str) -> str:
    """Return the CRC-32 in six digits of base 62."""
    number, digits = binascii.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


def test_a_token_has_a_form_that_scanners_find() -> None:
    """Each is one word of 71 characters; the last six are the CRC-32 of the rest in base 62, as documented."""
    for _ in range(200):
        token_id = new_id()
        token = new_token(token_id)
        assert FORM.fullmatch(token)
        assert token.startswith(shown_prefix(token_id) + "_")
        assert parse_token(token) == token_id
        assert token[-6:] == checksum_of(token[:-6])


def test_secrets_are_not_repeated_and_fill_their_range() -> None:
    """A thousand tokens of one id have a thousand secrets, and every place of them varies."""
    secrets = {new_token("0" * 16)[22:65] for _ in range(1_000)}
    assert len(secrets) == 1_000
    assert all(len({secret[place] for secret in secrets}) > 10 for place in range(43))


def test_a_changed_character_is_noticed() -> None:
    """Whatever single character is changed, left out, doubled or swapped with the next, it is no token any more."""
    for place in range(len(TOKEN)):
        other = "x" if TOKEN[place] != "x" else "y"
        assert parse_token(TOKEN[:place] + other + TOKEN[place + 1 :]) is None
        assert parse_token(TOKEN[:place] + TOKEN[place + 1 :]) is None
        assert parse_token(TOKEN[: place + 1] + TOKEN[place:]) is None
        swapped = TOKEN[:place] + TOKEN[place : place + 2][::-1] + TOKEN[place + 2 :]
        assert swapped == TOKEN or parse_token(swapped) is None


@settings(max_examples=300)
@given(
    st.text(alphabet=st.characters(codec=None))
    | st.from_regex(FORM)
    | st.text("mrag_0aZ\u0660\u212a\ud800", max_size=80)
)
def test_any_text_can_be_parsed(text: str) -> None:
    """No str raises, and what was not made by `new_token` is none."""
    assert parse_token(text) is None or FORM.fullmatch(text)


def test_looks_of_a_token_are_not_enough() -> None:
    """Digits and letters of other alphabets, spaces around it, and other marks are refused."""
    for text in (
        f" {TOKEN}",
        f"{TOKEN}\n",
        TOKEN.upper(),
        TOKEN.replace("mrag", "gram"),
        "\u0660" * 71,
        TOKEN.replace("0", "\u0660"),
    ):
        assert parse_token(text) is None


def test_a_right_checksum_is_not_enough() -> None:
    """A body of digits of another alphabet, of another mark or with an id of capitals is none, whatever it ends in."""
    secret = TOKEN[22:65]
    for body in (
        TOKEN[:22] + "\u0660" * 43,
        f"mrab_{TOKEN[5:22]}{secret}",
        f"mrag_{'A' * 16}_{secret}",
        TOKEN[:22] + "_" * 43,
    ):
        assert parse_token(body + checksum_of(body)) is None
    assert parse_token(TOKEN[:65] + checksum_of(TOKEN[:65])) == TOKEN[5:21]


def test_hashes_tell_tokens_apart() -> None:
    """A hash has 32 bytes, is the same each time, and is another one for another token."""
    assert len(hash_token(TOKEN)) == 32
    assert same_hash(hash_token(TOKEN), hash_token(TOKEN))
    assert not same_hash(hash_token(TOKEN), hash_token(new_token("0123456789abcdef")))
