"""Commands on what a bot knows: add, search, ask, chat, evaluate."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from minirag._services.evaluation import evaluate as evaluate_steps
from minirag._services.evaluation import load_collection
from minirag._services.retrieval import MODES
from minirag._services.steps import run
from minirag.chat import Chat
from minirag.cli.places import bot_of, open_workspace, print_json, where_of
from minirag.models.answers import Answer, AnswerEvent
from minirag.models.reports import IngestReport
from minirag.workspace import Workspace

__all__ = ["add", "ask", "chat", "evaluate", "print_report", "search"]

_SOME_FAILED = 3


def add(options: argparse.Namespace) -> int:
    """Take in what is named, and tell what happened."""
    with open_workspace(options, create=options.create) as workspace:
        bot = bot_of(workspace, options, create=options.create)
        return print_report(bot.add(*options.inputs, progress=progress_of(options)), options)


def progress_of(options: argparse.Namespace) -> bool | None:
    """Return the `progress=` that the options ask for."""
    return False if options.quiet or options.json else None


def print_report(report: IngestReport, options: argparse.Namespace) -> int:
    """Print a report and return the exit code it deserves."""
    if options.json:
        print_json(report)
    else:
        for entry in (*report.failed, *report.skipped):
            print(f"{entry.status}: {entry.key}: {entry.reason}", file=sys.stderr)
        for warning in report.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        print(report)
    return 0 if report.ok else _SOME_FAILED


def search(options: argparse.Namespace) -> int:
    """Print the best chunks."""
    with open_workspace(options) as workspace:
        results = bot_of(workspace, options).search(
            options.query, k=options.k, where=where_of(options), mode=options.mode, exact=options.exact
        )
    if options.json:
        print_json(list(results))
        return 0
    for number, hit in enumerate(results, start=1):
        page = f", page {hit.page}" if hit.page is not None else ""
        print(f"{number:>2}. {hit.score:.4f}  {hit.key}{page}")
        print(f"    {' '.join(hit.text.split())[:300]}")
    if not results:
        print("nothing found")
    return 0


def ask(options: argparse.Namespace) -> int:
    """Print an answer and its citations."""
    with open_workspace(options) as workspace:
        bot = bot_of(workspace, options)
        if options.json:
            print_json(bot.ask(options.question, k=options.k, where=where_of(options)))
        else:
            _print_events(bot.stream(options.question, k=options.k, where=where_of(options)))
    return 0


def _print_events(events: Iterable[AnswerEvent]) -> None:
    for event in events:
        if event.type == "delta":
            print(event.text, end="", flush=True)
        elif event.type == "error":
            print()
            assert event.error is not None
            raise event.error
        elif event.type == "done":
            assert event.answer is not None
            print()
            _print_citations(event.answer)


def _print_citations(answer: Answer) -> None:
    if answer.citations:
        print()
    for citation in answer.citations:
        page = f", page {citation.page}" if citation.page is not None else ""
        print(f"{citation.marker} {citation.key}{page}")
        print(f'    "{" ".join(citation.quote.split())}"')


def chat(options: argparse.Namespace) -> int:
    """Answer one question a line until the input ends."""
    with open_workspace(options) as workspace:
        conversation = bot_of(workspace, options).chat(options.chat)
        interactive = sys.stdin.isatty()
        if not options.json:
            print(f"chat {conversation.id}; an empty line or Ctrl-D ends it", file=sys.stderr)
        while question := _next_question(interactive=interactive):
            _answer_in(conversation, question, options)
    return 0


def _next_question(*, interactive: bool) -> str:
    try:
        return input("> " if interactive else "").strip()
    except EOFError:
        return ""


def _answer_in(conversation: Chat, question: str, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(conversation.send(question).model_dump(mode="json"), ensure_ascii=False), flush=True)
    else:
        _print_events(conversation.stream(question))
        print(flush=True)


def evaluate(options: argparse.Namespace) -> int:
    """Measure retrieval on a test collection, in a workspace of its own."""
    collection = load_collection(options.folder)
    place: Any = nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory(prefix="minirag-")
    with place as folder, Workspace.open(Path(folder) / "workspace" if not options.keep else folder) as workspace:
        bot = workspace.tenant("evaluation", create=True).bot(
            "evaluation", create=True, embedder=options.embedder, chunker=options.chunker, fusion=options.fusion
        )
        skipped = 0
        documents = []
        for document in collection.documents():
            if document.text.strip():
                documents.append(document)
            else:
                skipped += 1
        report = bot.add(iter(documents), progress=progress_of(options))
        report.raise_for_failures()
        modes = options.mode or MODES
        result = run(evaluate_steps(bot._context, collection.queries, collection.qrels, modes)).model_copy(
            update={
                "skipped_documents": skipped,
                "settings": {"embedder": options.embedder, "chunker": options.chunker, "fusion": options.fusion},
            }
        )
    if options.json:
        print_json(result)
    else:
        empty = f", {skipped} empty documents left out" if skipped else ""
        print(result)
        print(f"{result.queries} queries, {result.documents} documents{empty}")
    return 0
