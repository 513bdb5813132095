"""A workspace whose bots hold words, numbers and credentials that are nowhere else in the world."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minirag
from minirag.bot import Bot
from minirag.interfaces import Embedder, EmbeddingSpace
from minirag.interfaces.scope import mint_scope
from minirag.providers.bm25.analyzer import term_id
from minirag.providers.faiss.plan import Plan
from tests.erasure.scanning import needles_of_texts, needles_of_vectors

__all__ = [
    "CANARY",
    "CREDENTIAL",
    "KEY",
    "Seeded",
    "canaries",
    "canary_text",
    "credentials",
    "fill",
    "lower_thresholds",
    "open_bot",
    "open_workspace",
    "plain_text",
]

KEY = "quillon-dossier-7731"
CREDENTIAL = "sk-vermilion-ocelot-4417-turquoise"
CANARY = "The zanzibarian quokka ledger admits nineteen marmosets every fortnight"
_SPREAD = 0.3
_WORDS = (
    "parcel",
    "invoice",
    "carrier",
    "window",
    "refund",
    "lorry",
    "basket",
    "counter",
    "letter",
    "stamp",
    "harbour",
    "rail",
)


class Seeded(Embedder):
    """Gives each text a vector of random numbers that depend on nothing but the text, near one of six others, as codes like it."""

    def __init__(self, dimension: int = 64) -> None:
        self._dimension = dimension
        self.made: dict[str, NDArray[np.float32]] = {}

    @property
    def space(self) -> EmbeddingSpace:
        return EmbeddingSpace(provider="seeded", model="v1", dimension=self._dimension)

    def embed(self, texts: Sequence[str], *, purpose: str) -> NDArray[np.float32]:
        rows = np.empty((len(texts), self._dimension), np.float32)
        for row, text in enumerate(texts):
            chance = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))
            near = np.random.default_rng(chance.integers(6)).standard_normal(self._dimension)
            numbers = near + _SPREAD * chance.standard_normal(self._dimension)
            rows[row] = numbers / np.linalg.norm(numbers)
            if purpose == "document":
                self.made[text] = rows[row].copy()
        return rows


def lower_thresholds(patch: Callable[[str, object], None]) -> None:
    """Have small bots treated as large ones are, with snapshots, codes however little these pay, and a log that is moved often."""
    plan = Plan(
        coded_floats=10_000,
        coded_rows=128,
        tail_floats=2_000,
        dead_rows=20,
        list_rows=64,
        missed=0.9,
        least_codes=1_000,
        candidates=(30,),
    )
    patch("minirag._services.maintenance._LEAST_ENTRIES", 20)
    patch("minirag.providers.sqlalchemy.checkpoints.LOG_LIMIT", 400_000)
    patch("minirag.providers.faiss.index.Plan", lambda: plan)


def open_workspace(folder: Path | str, embedder: Seeded | None = None, **settings: Any) -> minirag.Workspace:
    """Return the workspace in a folder, made if need be."""
    return minirag.Workspace.open(folder, embedder=embedder or Seeded(), plugins=[], **settings)


def open_bot(workspace: minirag.Workspace, name: str = "support", tenant: str = "acme") -> Bot:
    """Return a bot, made if need be, that cuts texts small and holds a credential."""
    chunker = {"provider": "recursive", "options": {"size": 24}}
    return workspace.tenant(tenant, create=True).bot(
        name,
        create=True,
        chunker=chunker,
        language="en",
        filterable=["owner"],
        system_prompt=f"You are the {name} of the umbrageous consortium.",
        credentials={"api_key": f"{CREDENTIAL}-{name}"},
    )


def plain_text(number: int, sentences: int = 12) -> str:
    """Return a text that nobody would want to have erased."""
    chance = np.random.default_rng(number)
    return " ".join(f"{' '.join(chance.choice(_WORDS, 9))} {number}." for _ in range(sentences))


def canary_text(version: int) -> str:
    """Return a version of the document that is to go, of some chunks; each has words of its own."""
    return " ".join(f"{CANARY} in district v{version}s{part}, says archivist Wilhelmina." for part in range(4))


def fill(bot: Bot, *, documents: int = 30, chat: bool = True) -> None:
    """Give a bot plain documents and, in three versions, the one that is to go, with a conversation about it."""
    for version in range(3):
        given = minirag.DocumentInput(
            text=canary_text(version),
            key=KEY,
            title="Minutes of the Zugzwang cabal",
            metadata={"owner": "Perpetua Zwingli"},
        )
        bot.add(given, source="secrets", progress=False)
        if version == 1:
            plain = (minirag.DocumentInput(text=plain_text(n), key=f"plain-{n}") for n in range(documents))
            bot.add(plain, progress=False)
    if chat:
        talk = bot.chat()
        answer = talk.send("How many marmosets are admitted every fortnight?")
        assert answer.citations, "the answer cites nothing that could be scrubbed"
        assert answer.citations[0].key == KEY


def canaries(embedder: Seeded) -> dict[bytes, str]:
    """Return what must not be found once the document is erased, by what it is: texts, words, vectors, terms of the index."""
    texts = [
        CANARY,
        "zanzibarian",
        "quokka ledger",
        "Wilhelmina",
        "Zugzwang",
        "Perpetua Zwingli",
        KEY,
        "v0s1",
        "v1s2",
        "v2s3",
    ]
    vectors = [vector for text, vector in embedder.made.items() if "zanzibarian" in text or "Wilhelmina" in text]
    assert len(vectors) > 1, "the vectors of the canary are not known"
    terms = {term_id(word).to_bytes(8, "little"): f"the term {word!r}" for word in ("zanzibarian", "wilhelmina")}
    return needles_of_texts(texts) | needles_of_vectors(vectors) | terms


def credentials(workspace: minirag.Workspace, slug: str) -> dict[bytes, str]:
    """Return the ciphertexts that a tenant's bots have stored, and what they hold."""
    core = workspace._core
    (tenant,) = [tenant for tenant in workspace.tenants.list() if tenant.slug == slug]
    with core.storage.read(mint_scope(tenant.id)) as reader:
        sealed = [secret.ciphertext for bot in reader.bots() for secret in reader.secrets(bot.id)]
        sealed += [key.wrapped for key in reader.tenant_keys()]
    assert len(sealed) > 1
    return needles_of_texts([CREDENTIAL, *sealed])
