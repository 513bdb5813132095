"""Which commands and options there are."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

from minirag import __version__
from minirag.cli import administration, knowledge
from minirag.cli.doctor import doctor

__all__ = ["parse"]

_EPILOG = """\
--workspace, --tenant and --bot may be given as MINIRAG_WORKSPACE, MINIRAG_TENANT and MINIRAG_BOT. There is no default
tenant; where only one tenant, or one bot, exists, it may be left out.
exit codes: 0 done, 1 failed, 2 wrong call, 3 done but some documents failed, 130 interrupted
"""

Run = Callable[[argparse.Namespace], int]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a call; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(
        prog="minirag",
        description="Knowledge bases that answer with verified citations.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minirag {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _knowledge_commands(commands)
    _administration_commands(commands)
    command = _command(commands, "doctor", doctor, "show providers, versions and what is wrong with this installation")
    _place(command, tenant=False)
    return parser.parse_args(arguments)


def _knowledge_commands(commands: Any) -> None:
    add = _command(commands, "add", knowledge.add, "take in files, folders and URLs")
    add.add_argument("inputs", nargs="+", metavar="PATH_OR_URL")
    add.add_argument("--create", action="store_true", help="make the tenant and the bot if they do not exist")
    _settings(add)
    _place(add)
    search = _command(commands, "search", knowledge.search, "find the best chunks")
    search.add_argument("query")
    search.add_argument("-k", type=int, default=10, help="how many (10)")
    search.add_argument("--mode", choices=("hybrid", "dense", "keyword"), default="hybrid")
    search.add_argument("--where", metavar="JSON", help='a filter over metadata, such as \'{"lang": "en"}\'')
    search.add_argument("--exact", action="store_true", help="score every allowed chunk")
    _place(search)
    ask = _command(commands, "ask", knowledge.ask, "answer a question with citations")
    ask.add_argument("question")
    ask.add_argument("-k", type=int, default=8, help="how many chunks are considered (8)")
    ask.add_argument("--where", metavar="JSON", help="a filter over metadata")
    _place(ask)
    chat = _command(commands, "chat", knowledge.chat, "hold a conversation; one question a line")
    chat.add_argument("--chat", metavar="ID", help="go on with this conversation")
    _place(chat)
    evaluate = _command(commands, "evaluate", knowledge.evaluate, "measure retrieval on a test collection")
    evaluate.add_argument("folder", help="with corpus.jsonl, queries.jsonl and qrels.tsv")
    evaluate.add_argument("--mode", choices=("hybrid", "dense", "keyword"), action="append", help="all three")
    evaluate.add_argument("--embedder", default="minilm", help="the embedder to measure (minilm)")
    evaluate.add_argument("--chunker", default="whole", help="how documents are cut (whole)")
    evaluate.add_argument("--fusion", choices=("convex", "rank"), default="convex")
    evaluate.add_argument("--keep", metavar="FOLDER", help="keep the workspace there, and use it again")
    _output(evaluate)


def _administration_commands(commands: Any) -> None:
    tenants = _group(commands, "tenants", "list, make, rename and delete tenants")
    _place(_command(tenants, "list", administration.list_tenants, "list tenants"), tenant=False)
    create = _command(tenants, "create", administration.create_tenant, "make a tenant")
    create.add_argument("slug")
    create.add_argument("--name")
    _place(create, tenant=False)
    update = _command(tenants, "update", administration.update_tenant, "rename a tenant")
    update.add_argument("slug")
    update.add_argument("--name")
    update.add_argument("--new-slug")
    _place(update, tenant=False)
    delete = _command(tenants, "delete", administration.delete_tenant, "delete a tenant and all its data")
    delete.add_argument("slug")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    _place(delete, tenant=False)

    bots = _group(commands, "bots", "list, make, change and delete bots")
    _place(_command(bots, "list", administration.list_bots, "list bots"), bot=False)
    for name, run, text in (
        ("create", administration.create_bot, "make a bot"),
        ("update", administration.update_bot, "change a bot's settings"),
    ):
        command = _command(bots, name, run, text)
        command.add_argument("name")
        _settings(command)
        _place(command, bot=False)
    show = _command(bots, "show", administration.show_bot, "show a bot's settings and size")
    show.add_argument("name")
    _place(show, bot=False)
    delete = _command(bots, "delete", administration.delete_bot, "delete a bot and its documents")
    delete.add_argument("name")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    _place(delete, bot=False)

    sources = _group(commands, "sources", "list, read again and remove sources")
    _place(_command(sources, "list", administration.list_sources, "list sources"))
    ingest = _command(sources, "ingest", administration.ingest_sources, "read sources again")
    ingest.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="ids, names, paths or URLs; all that are due if none"
    )
    _place(ingest)
    remove = _command(sources, "remove", administration.remove_source, "remove a source and its documents")
    remove.add_argument("source", help="an id, a name, a path or a URL")
    _place(remove)


def _group(commands: Any, name: str, text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text)
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _command(commands: Any, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _place(parser: argparse.ArgumentParser, *, tenant: bool = True, bot: bool = True) -> None:
    place = parser.add_argument_group("where")
    environment = os.environ
    place.add_argument("-w", "--workspace", default=environment.get("MINIRAG_WORKSPACE"), metavar="FOLDER_OR_URL")
    if tenant:
        place.add_argument("-t", "--tenant", default=environment.get("MINIRAG_TENANT"), metavar="SLUG")
    if tenant and bot:
        place.add_argument("-b", "--bot", default=environment.get("MINIRAG_BOT"), metavar="NAME")
    place.add_argument(
        "--allow-url",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="let this address be read though it is not public",
    )
    _output(parser)


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def _settings(parser: argparse.ArgumentParser) -> None:
    settings = parser.add_argument_group("settings of the bot")
    settings.add_argument("--llm", help="what answers: extractive, or a provider such as openai:MODEL, or JSON")
    settings.add_argument("--embedder", help="what makes the vectors, fixed when the bot is made")
    settings.add_argument("--chunker", help="how documents are cut: recursive, markdown or whole, or JSON")
    settings.add_argument("--language", help="auto, none, or an ISO 639-1 code")
    settings.add_argument("--system-prompt", help="what the model is told before each question")
    settings.add_argument(
        "--credential",
        action="append",
        default=[],
        metavar="NAME",
        help="a credential's name, such as api_key; its value is asked for, or read from standard input",
    )
