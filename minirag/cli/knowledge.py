"""Commands on what a bot knows: add, search, ask, chat."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterable, Iterator

from minirag.chat import Chat
from minirag.cli.places import bot_of, open_workspace, where_of
from minirag.cli.showing import one_line, print_indented, print_json, printable
from minirag.errors import ChatNotFoundError, InvalidInputError, MiniRAGError
from minirag.models.answers import Answer, AnswerEvent
from minirag.models.reports import IngestReport

__all__ = ["add", "ask", "chat", "print_report", "progress_of", "search"]

_SOME_FAILED = 3
_SHOWN = 10
_PASSAGE = 300


def add(options: argparse.Namespace) -> int:
    """Take in what is named, and tell what happened."""
    given = [
        name
        for name in ("llm", "embedder", "chunker", "language", "system_prompt")
        if getattr(options, name) is not None
    ]
    if not options.create and (given or options.credential):
        option = given[0].replace("_", "-") if given else "credential"
        raise InvalidInputError(f"--{option} needs --create here; `minirag bots update` changes a bot that exists")
    with open_workspace(options, create=options.create) as workspace:
        bot = bot_of(workspace, options, create=options.create)
        return print_report(bot.add(*options.inputs, progress=progress_of(options)), options)


def progress_of(options: argparse.Namespace) -> bool | None:
    """Return the `progress=` that the options ask for."""
    return False if options.quiet or options.json else None


def print_report(report: IngestReport, options: argparse.Namespace) -> int:
    """Print a report, the first reasons of each kind on standard error, and return the exit code it deserves."""
    if options.json:
        print_json(report)
        return 0 if report.ok else _SOME_FAILED
    for status, entries in (("failed", report.failed), ("skipped", report.skipped)):
        for entry in entries[:_SHOWN]:
            print(f"{status}: {one_line(f'{entry.key}: {entry.reason}')}", file=sys.stderr)
        _print_rest(report.counts.get(status, 0) - _SHOWN, status)
    for warning in report.warnings[:_SHOWN]:
        print(f"warning: {one_line(warning)}", file=sys.stderr)
    _print_rest(len(report.warnings) - _SHOWN, "warnings")
    if any("url_policy=" in (entry.reason or "") for entry in report.failed):
        print("--allow-url HOST:PORT lets an address be read that is not public", file=sys.stderr)
    print(report)
    return 0 if report.ok else _SOME_FAILED


def _print_rest(number: int, what: str) -> None:
    if number > 0:
        print(f"and {number:,} more {what}; --json lists them", file=sys.stderr)


def search(options: argparse.Namespace) -> int:
    """Print the best chunks."""
    where = where_of(options)
    with open_workspace(options) as workspace:
        bot = bot_of(workspace, options)
        results = bot.search(options.query, k=options.k, where=where, mode=options.mode, exact=options.exact)
    if options.json:
        print_json(list(results))
        return 0
    for number, hit in enumerate(results, start=1):
        print(f"{number:>2}. {hit.score:.4f}  {_place(hit.key, hit.page)}")
        text = one_line(hit.text)
        print_indented(text if len(text) <= _PASSAGE else f"{text[:_PASSAGE]}…")
    if not results:
        print("nothing found")
    return 0


def _place(key: str, page: int | None) -> str:
    return one_line(key) + (f", page {page}" if page is not None else "")


def ask(options: argparse.Namespace) -> int:
    """Print an answer and its citations."""
    where = where_of(options)
    with open_workspace(options) as workspace:
        bot = bot_of(workspace, options)
        if options.json:
            print_json(bot.ask(options.question, k=options.k, where=where))
        else:
            _print_events(bot.stream(options.question, k=options.k, where=where), options)
    return 0


def _print_events(events: Iterable[AnswerEvent], options: argparse.Namespace) -> None:
    for event in events:
        if event.type == "delta":
            print(printable(event.text or ""), end="", flush=True)
        elif event.type == "error":
            print()
            assert event.error is not None
            raise event.error
        elif event.type == "done":
            assert event.answer is not None
            print()
            _print_citations(event.answer)
            if not options.quiet:
                print(f"({_origin(event.answer)})", file=sys.stderr)


def _print_citations(answer: Answer) -> None:
    """Print what each marker stands for: a marker once, with all that is quoted of its chunk."""
    quotes: dict[str, list[str]] = {}
    for citation in answer.citations:
        head = f"{citation.marker} {_place(citation.key, citation.page)}"
        quotes.setdefault(head, []).append(citation.quote)
    for number, (head, quoted) in enumerate(quotes.items()):
        print(head if number else f"\n{head}")
        for quote in dict.fromkeys(quoted):
            print_indented(f'"{quote}"')


def _origin(answer: Answer) -> str:
    """Return who answered, or why nobody did."""
    if answer.abstained:
        return f"no answer: {answer.trace.abstained_because}"
    if answer.model == "extractive":
        return "extractive: sentences of the documents, no model"
    tokens = f"{answer.usage.input_tokens:,} tokens read, {answer.usage.output_tokens:,} written"
    return one_line(f"{answer.model}: {tokens}")


def chat(options: argparse.Namespace) -> int:
    """Answer one question a line until the input ends."""
    with open_workspace(options) as workspace:
        bot = bot_of(workspace, options)
        try:
            conversation = bot.chat(options.chat)
        except ChatNotFoundError as missing:
            message = f"bot {bot.name!r} has no chat {options.chat!r}; leave --chat out to begin one"
            raise ChatNotFoundError(message) from missing
        interactive = sys.stdin.isatty()
        if not options.quiet:
            end = "an empty line or Ctrl-D ends it" if interactive else "one question a line"
            print(f"chat {conversation.id}; {end}", file=sys.stderr)
        for question in _questions(interactive=interactive):
            try:
                _answer_in(conversation, question, options)
            except MiniRAGError as problem:
                if not interactive:
                    raise
                # A person can ask again; a script must learn of it.
                print(f"minirag: {printable(str(problem))}", file=sys.stderr)
    return 0


def _questions(*, interactive: bool) -> Iterator[str]:
    """Yield what is asked: typed, until an empty line; or piped, where empty lines are nothing."""
    if not interactive:
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - lets `input` edit a line and remember earlier ones
    with contextlib.suppress(EOFError):
        while question := input("> " if sys.stdout.isatty() else "").strip():
            yield question


def _answer_in(conversation: Chat, question: str, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(conversation.send(question).model_dump(mode="json"), ensure_ascii=False), flush=True)
    else:
        _print_events(conversation.stream(question), options)
        print(flush=True)
