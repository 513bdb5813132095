"""Credentials open for the tenant, bot and field they were sealed for, under the right master key, and nowhere else."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from minirag.errors import InvalidInputError, SecretError, SecretKeyMismatchError, SecretKeyMissingError
from minirag.interfaces.records import TenantKey
from minirag.security.envelope import MasterKey, Vault, generate_secret_key

VALUE = "sk-very-secret-value"
KEY = generate_secret_key()
VAULT = Vault(MasterKey(KEY))
OURS = VAULT.new_tenant_key(tenant_id="t1")
SEALED = VAULT.seal(OURS, tenant_id="t1", bot_id="b1", field="api_key", value=VALUE)


def opened(stored: str = SEALED, *, vault: Vault = VAULT, keys: list[TenantKey] | None = None, tenant_id: str = "t1",
           bot_id: str = "b1", field: str = "api_key") -> str:  # fmt: skip
    """Open the sealed value, as its owner unless told otherwise."""
    return vault.open([OURS] if keys is None else keys, stored, tenant_id=tenant_id, bot_id=bot_id, field=field)


def changed(key: TenantKey, **fields: str) -> TenantKey:
    """Return a data key's record with other fields, as somebody with access to the database could write it."""
    record = {name: getattr(key, name) for name in ("id", "wrapped", "master_key_id", "created_at")}
    return TenantKey(**{**record, **fields})


def test_what_was_sealed_is_opened() -> None:
    """The stored form names its version and its key, and holds no plaintext."""
    assert opened() == VALUE
    assert SEALED.startswith(f"v1:{OURS.id}:")
    assert VALUE not in SEALED


@settings(max_examples=25, deadline=None)
@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_comes_back(tenant_id: str, bot_id: str, field: str, value: str) -> None:
    """Names and values are any Unicode, whatever would be a separator elsewhere."""
    key = VAULT.new_tenant_key(tenant_id=tenant_id)
    stored = VAULT.seal(key, tenant_id=tenant_id, bot_id=bot_id, field=field, value=value)
    assert VAULT.open([key], stored, tenant_id=tenant_id, bot_id=bot_id, field=field) == value


def test_sealing_twice_gives_two_ciphertexts() -> None:
    """Equal credentials cannot be told from their stored forms."""
    assert VAULT.seal(OURS, tenant_id="t1", bot_id="b1", field="api_key", value=VALUE) != SEALED


@pytest.mark.parametrize("moved", [{"bot_id": "b2"}, {"field": "password"}])
def test_a_ciphertext_moved_within_its_tenant_does_not_open(moved: dict[str, str]) -> None:
    """Same data key, another bot or field."""
    with pytest.raises(SecretError, match="was sealed for another tenant, bot or field"):
        opened(**moved)  # type: ignore[arg-type]


def test_a_ciphertext_moved_to_another_tenant_does_not_open() -> None:
    """The other tenant does not have the data key that the stored form names."""
    theirs = VAULT.new_tenant_key(tenant_id="t2")
    with pytest.raises(SecretError, match=f"sealed with the data key '{OURS.id}', which the tenant does not have"):
        opened(keys=[theirs], tenant_id="t2")


def test_a_ciphertext_under_another_key_does_not_open() -> None:
    """The stored form is edited to name the other tenant's own key."""
    theirs = VAULT.new_tenant_key(tenant_id="t2")
    with pytest.raises(SecretError, match="the credential 'api_key' cannot be opened"):
        opened(SEALED.replace(OURS.id, theirs.id), keys=[theirs], tenant_id="t2")


def test_a_data_key_moved_to_another_tenant_does_not_open() -> None:
    """Ciphertext and wrapped key are moved together: the wrapped key names its tenant."""
    with pytest.raises(SecretError, match="was made for another tenant"):
        opened(tenant_id="t2")


def test_a_data_key_moved_to_another_tenant_does_not_seal() -> None:
    """Nothing is ever written under a key of somebody else."""
    with pytest.raises(SecretError, match="was made for another tenant"):
        VAULT.seal(OURS, tenant_id="t2", bot_id="b1", field="api_key", value=VALUE)


def test_a_data_key_under_another_id_does_not_open() -> None:
    """The wrapped key names its own id as well."""
    with pytest.raises(SecretError, match="was made for another tenant"):
        opened(SEALED.replace(OURS.id, "another"), keys=[changed(OURS, id="another")])


def test_a_record_in_the_place_of_a_key_does_not_open() -> None:
    """A record of one use is refused in the other's place, even under the right key."""
    forged = Fernet(KEY).encrypt(json.dumps({"use": "x", "tenant": "t1", "id": OURS.id, "key": KEY}).encode()).decode()
    with pytest.raises(SecretError, match="was made for another tenant"):
        opened(keys=[changed(OURS, wrapped=forged)])


def test_a_plaintext_that_is_no_record_does_not_open() -> None:
    """JSON of another shape, under the right key, is refused without being shown."""
    forged = Fernet(KEY).encrypt(b'["sk-very-secret-value"]').decode()
    with pytest.raises(SecretError, match="holds no record") as caught:
        opened(keys=[changed(OURS, wrapped=forged)])
    assert VALUE not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("vault", [Vault()])
@pytest.mark.parametrize(
    "call",
    [
        lambda vault: opened(vault=vault),
        lambda vault: vault.new_tenant_key(tenant_id="t1"),
        lambda vault: vault.seal(OURS, tenant_id="t1", bot_id="b1", field="api_key", value=VALUE),
    ],
    ids=["open", "new_tenant_key", "seal"],
)
def test_without_a_master_key_nothing_is_sealed_or_opened(vault: Vault, call: Callable[[Vault], object]) -> None:
    """The message says which argument is missing."""
    with pytest.raises(SecretKeyMissingError, match="open the workspace with secret_key="):
        call(vault)


def test_another_master_key_is_named_by_its_id() -> None:
    """Both ids are in the message, so that the right key can be found."""
    other = Vault(MasterKey(generate_secret_key()))
    with pytest.raises(SecretKeyMismatchError, match=f"'{OURS.master_key_id}'.*'{other.master_key_id}'"):
        opened(vault=other)


def test_a_forged_master_key_id_does_not_help() -> None:
    """A record edited to name the present master key still cannot be unwrapped."""
    other = Vault(MasterKey(generate_secret_key()))
    with pytest.raises(SecretError, match="cannot be opened"):
        opened(vault=other, keys=[changed(OURS, master_key_id=str(other.master_key_id))])


@pytest.mark.parametrize(
    "stored",
    ["", "v1", "v1:", f"v2:{OURS.id}:x", SEALED[:-8], SEALED[:80] + ("A" if SEALED[80] != "A" else "B") + SEALED[81:],
     f"v1:{OURS.id}:{VALUE}", f"v1:{OURS.id}:\ud800", VALUE],
    ids=range(9),
)  # fmt: skip
def test_a_damaged_form_does_not_open(stored: str) -> None:
    """Cut, edited, of another version or never sealed: an error, which shows nothing of it."""
    with pytest.raises(SecretError, match="'api_key'") as caught:
        opened(stored)
    assert VALUE not in str(caught.value)


def test_a_credential_is_a_str() -> None:
    """The message names the field and the type, not the value."""
    with pytest.raises(InvalidInputError, match="the credential 'api_key' must be a str, not bytes") as caught:
        VAULT.seal(OURS, tenant_id="t1", bot_id="b1", field="api_key", value=VALUE.encode())  # type: ignore[arg-type]
    assert VALUE not in str(caught.value)


# ------------------------------------------------------------------------------------------------ the master key
def test_a_generated_key_is_random_and_valid() -> None:
    """Two keys differ; each is one that Fernet takes."""
    first, second = generate_secret_key(), generate_secret_key()
    assert first != second
    assert MasterKey(first).id != MasterKey(second).id
    Fernet(first)


@pytest.mark.parametrize("form", [KEY, KEY.encode(), f"  {KEY}\n"], ids=["str", "bytes", "spaces"])
def test_a_key_is_given_as_text_or_bytes(form: str | bytes) -> None:
    """White space around it, as files and environment variables have it, is no part of the key."""
    assert MasterKey(form).id == MasterKey(KEY).id


def test_the_id_is_short_and_tells_nothing_of_the_key() -> None:
    """16 hexadecimal digits, the same each time, no part of the key."""
    key_id = MasterKey(KEY).id
    assert len(bytes.fromhex(key_id)) == 8
    assert key_id == MasterKey(KEY).id
    assert key_id not in base64.urlsafe_b64decode(KEY).hex()


@pytest.mark.parametrize(
    "key",
    ["", "secret", KEY[:-1], KEY + KEY, KEY[:20] + "!" + KEY[21:], KEY.replace("=", ""), KEY[:-2] + "~=", "é" * 44,
     b"\xff" * 44, base64.urlsafe_b64decode(KEY), None, 5, "kb/master.key"],
    ids=range(13),
)  # fmt: skip
def test_a_malformed_key_is_refused_with_the_way_to_make_one(key: object) -> None:
    """Python's base64 decoder would skip what it does not know; here nothing is skipped, nor shown."""
    with pytest.raises(SecretError, match=r"minirag\.generate_secret_key\(\) makes one") as caught:
        MasterKey(key)  # type: ignore[arg-type]
    assert KEY[:20] not in "".join(traceback.format_exception(caught.value))


def test_no_repr_shows_a_secret() -> None:
    """Keys, vaults and data keys may be logged."""
    master = MasterKey(KEY)
    shown = f"{master!r} {master} {Vault(master)!r} {OURS!r} {vars(VAULT)!r}"
    assert f"MasterKey(id='{master.id}')" in shown
    assert KEY not in shown
    assert OURS.wrapped not in shown


@pytest.mark.parametrize("leak", [pickle.dumps, copy.deepcopy, vars])
def test_a_master_key_does_not_leave_by_accident(leak: Callable[[object], object]) -> None:
    """It is not pickled or copied, and has no dictionary to dump."""
    with pytest.raises(TypeError):
        leak(MasterKey(KEY))


def test_the_cipher_is_imported_when_it_is_first_used() -> None:
    """Opening a workspace without credentials does not load `cryptography`."""
    code = (
        "import sys\nfrom minirag.security.envelope import MasterKey, Vault, generate_secret_key\n"
        "Vault(MasterKey(generate_secret_key()))\nassert 'cryptography' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
