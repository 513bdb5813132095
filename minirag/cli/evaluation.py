"""`minirag evaluate`: retrieval quality on a test collection, in a workspace of its own."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from minirag._services.evaluation import Collection, load_collection
from minirag._services.evaluation import evaluate as evaluate_steps
from minirag._services.retrieval import MODES
from minirag._services.steps import run
from minirag.bot import Bot
from minirag.cli.knowledge import progress_of
from minirag.cli.places import provider_of
from minirag.cli.showing import print_json
from minirag.errors import IngestError, MiniRAGError
from minirag.models.documents import DocumentInput
from minirag.workspace import Workspace

__all__ = ["evaluate"]

_TENANT = "evaluation"


def evaluate(options: argparse.Namespace) -> int:
    """Measure retrieval on a test collection, in a workspace that is thrown away unless it is to be kept."""
    collection = load_collection(options.folder)
    settings = {
        "embedder": provider_of("embedder", options.embedder),
        "chunker": provider_of("chunker", options.chunker),
        "fusion": options.fusion,
    }
    place: AbstractContextManager[str] = (
        nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory(prefix="minirag-")
    )
    with place as folder, Workspace.open(folder) as workspace:
        bot = workspace.tenant(_TENANT, create=True).bot(_bot_name(options), create=True, **settings)
        skipped = _fill(bot, collection, options)
        result = run(evaluate_steps(bot._context, collection.queries, collection.qrels, options.mode or MODES))
    result = result.model_copy(update={"skipped_documents": skipped, "settings": settings})
    if options.json:
        print_json(result)
    else:
        empty = f", {skipped:,} empty documents left out" if skipped else ""
        print(result)
        print(f"{result.queries:,} queries, {result.documents:,} documents{empty}")
    return 0


def _bot_name(options: argparse.Namespace) -> str:
    """Return a name of its own for each collection, embedder and chunker, so that a kept workspace holds many."""
    folder = Path(options.folder).resolve()
    digest = hashlib.sha256("\n".join([str(folder), options.embedder, options.chunker]).encode("utf-8", "replace"))
    return digest.hexdigest()[:16]


def _fill(bot: Bot, collection: Collection, options: argparse.Namespace) -> int:
    """Bring the bot to what the collection holds, and return how many documents were empty."""
    present: set[str] = set()
    skipped = 0

    def documents() -> Iterator[DocumentInput]:
        nonlocal skipped
        for document in collection.documents():
            if document.text.strip():
                assert document.key is not None
                present.add(document.key)
                yield document
            else:
                skipped += 1

    try:
        bot.add(documents(), progress=progress_of(options)).raise_for_failures()
    except IngestError as problem:
        # The iterable that raised is ours: what is wrong is a line of the collection.
        if isinstance(problem.__cause__, MiniRAGError):
            raise problem.__cause__ from None
        raise
    bot.documents.remove(*[document.key for document in bot.documents.list() if document.key not in present])
    return skipped
