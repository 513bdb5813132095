"""Commands on single documents."""

from __future__ import annotations

import argparse
from itertools import islice

from minirag.bot import Bot
from minirag.cli.erasing import handling_of_chats, print_receipt
from minirag.cli.places import bot_of, confirm, finding, open_workspace, where_of
from minirag.cli.showing import print_json, print_table, printable
from minirag.errors import AmbiguousKeyError, DocumentNotFoundError
from minirag.models.documents import Document

__all__ = ["list_documents", "remove_documents", "show_document"]


def list_documents(options: argparse.Namespace) -> int:
    """Print a bot's documents, oldest first."""
    where = where_of(options)
    with open_workspace(options) as workspace:
        bot = bot_of(workspace, options)
        found = list(islice(bot.documents.list(source=options.source, where=where), options.limit))
    if options.json:
        print_json(found)
    else:
        rows = [[f"{d.added_at:%Y-%m-%d %H:%M}", d.chunks, d.media_type, d.source_name, d.key] for d in found]
        print_table(["added", "chunks", "type", "source", "key"], rows)
    return 0


def show_document(options: argparse.Namespace) -> int:
    """Print what is known of a document, or its text."""
    with open_workspace(options) as workspace:
        bot = bot_of(workspace, options)
        document = _get(bot, options.key, options)
        text = bot.documents.text(options.key, source=options.source) if options.text else None
        versions = bot.documents.versions(options.key, source=options.source)
    if options.json:
        print_json({"document": document, "versions": versions, "text": text})
    elif text is not None:
        print(printable(text), end="" if text.endswith("\n") else "\n")
    else:
        print_table(["field", "value"], [*dict(document).items(), ("versions", len(versions))])
    return 0


def remove_documents(options: argparse.Namespace) -> int:
    """End the search of documents; all of them or, if one is missing, none."""
    with open_workspace(options) as workspace:
        bot = bot_of(workspace, options)
        if options.erase:
            names = ", ".join(options.keys[:5]) + (", ..." if len(options.keys) > 5 else "")
            if not confirm(f"Destroy every version of {names} beyond recovery?", options):
                return 1
            chats = handling_of_chats(options)
            receipt = bot.documents.remove(*options.keys, source=options.source, erase=True, chats=chats)
            return print_receipt(receipt, options)
        for key in options.keys:
            _get(bot, key, options)
        number = bot.documents.remove(*options.keys, source=options.source)
    if options.json:
        print_json({"removed_documents": number})
    else:
        print(f"removed {number} document{'s' * (number != 1)}")
    return 0


def _get(bot: Bot, key: str, options: argparse.Namespace) -> Document:
    try:
        with finding(DocumentNotFoundError, f"bot {bot.name!r} has no document {key!r}", "documents list"):
            return bot.documents.get(key, source=options.source)
    except AmbiguousKeyError as problem:
        raise AmbiguousKeyError(f"several sources hold {key!r}; name one with --source") from problem
