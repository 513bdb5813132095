"""Which commands and options there are."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from minirag import __version__

__all__ = ["parse"]

_EPILOG: Final = """\
--workspace, --tenant and --bot may be given as MINIRAG_WORKSPACE, MINIRAG_TENANT and MINIRAG_BOT. There is no default
tenant; where only one tenant, or one bot, exists, it may be left out.

example:
  minirag add -w kb -t acme -b support --create handbook.pdf docs/
  minirag ask -w kb "How long may I return a laptop?"

exit codes: 0 done, 1 failed, 2 wrong call, 3 done but some documents failed, 130 interrupted
"""
_ROLES: Final = ("owner", "admin", "member")
_MODES: Final = ("hybrid", "dense", "keyword")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a call, with the import string of what carries it out as `run`; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(
        prog="minirag",
        description="Knowledge bases that answer with verified citations.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"minirag {__version__}")
    commands = _subcommands(parser)
    _knowledge_commands(commands)
    _tenant_commands(commands)
    _oversight_commands(commands)
    _people_commands(commands)
    _bot_commands(commands)
    _source_commands(commands)
    _document_commands(commands)
    _upkeep_commands(commands)
    doctor = _command(
        commands, "doctor", "doctor:doctor", "show providers, versions and what is wrong with this installation", ""
    )
    _place(doctor, tenant=False)
    options = parser.parse_args(arguments)
    if options.run is None:
        options.incomplete.print_help(sys.stderr)
        raise SystemExit(2)
    return options


def _knowledge_commands(commands: Any) -> None:
    examples = "handbook.pdf docs/ https://example.com/faq\n-t acme -b support --create --language en docs/"
    add = _command(commands, "add", "knowledge:add", "take in files, folders and URLs", examples)
    add.add_argument("inputs", nargs="+", metavar="PATH_OR_URL")
    add.add_argument("--create", action="store_true", help="make workspace, tenant and bot if they do not exist")
    _settings(add)
    _place(add)
    examples = '"return window"\n-k 3 --mode keyword --where \'{"lang": "en"}\' "gift cards"'
    search = _command(commands, "search", "knowledge:search", "find the best chunks", examples)
    search.add_argument("query", metavar="QUERY")
    search.add_argument("-k", type=int, default=10, metavar="N", help="how many (10)")
    search.add_argument("--mode", choices=_MODES, default="hybrid", help="how to search (hybrid)")
    _where(search)
    search.add_argument("--exact", action="store_true", help="score every allowed chunk")
    _place(search)
    examples = '"How long may I return a laptop?"\n--json "How long may I return a laptop?"'
    ask = _command(commands, "ask", "knowledge:ask", "answer a question with citations", examples)
    ask.add_argument("question", metavar="QUESTION")
    ask.add_argument("-k", type=int, default=8, metavar="N", help="how many chunks are considered (8)")
    _where(ask)
    _place(ask)
    chat = _command(commands, "chat", "knowledge:chat", "hold a conversation; one question a line", "\n--chat ID")
    chat.add_argument("--chat", metavar="ID", help="go on with this conversation")
    _place(chat, json_help="print each answer as one line of JSON")
    examples = "fiqa\n--mode hybrid --mode dense --keep measured --chunker recursive fiqa"
    evaluate = _command(commands, "evaluate", "evaluation:evaluate", "measure retrieval on a test collection", examples)
    evaluate.add_argument("folder", metavar="FOLDER", help="with corpus.jsonl, queries.jsonl and qrels.tsv")
    evaluate.add_argument("--mode", choices=_MODES, action="append", help="may be repeated (all three)")
    evaluate.add_argument("--embedder", default="minilm", help="the embedder to measure (minilm)")
    evaluate.add_argument("--chunker", default="whole", help="how documents are cut (whole)")
    evaluate.add_argument(
        "--fusion", choices=("convex", "rank"), default="convex", help="how lists are joined (convex)"
    )
    evaluate.add_argument("--keep", metavar="FOLDER", help="keep the workspace there, and use it again")
    _output(evaluate)


def _tenant_commands(commands: Any) -> None:
    tenants = _group(commands, "tenants", "list, make, rename, suspend, delete and move tenants")
    _place(
        _command(tenants, "list", "administration:list_tenants", "list tenants and what they hold", ""), tenant=False
    )
    examples = 'acme --name "Acme Ltd"'
    create = _command(tenants, "create", "administration:create_tenant", "make a tenant", examples)
    update = _command(
        tenants, "update", "administration:update_tenant", "rename a tenant", "acme --new-slug acme-europe"
    )
    for command in (create, update):
        command.add_argument("slug", metavar="SLUG")
        command.add_argument("--name", help="what people call it")
    update.add_argument("--new-slug", metavar="SLUG", help="what commands and programs call it")
    text = "close a tenant for people, programs and the application; nothing of it is lost"
    suspend = _command(tenants, "suspend", "administration:suspend_tenant", text, "acme")
    resume = _command(tenants, "resume", "administration:resume_tenant", "open a suspended tenant again", "acme")
    for command in (suspend, resume):
        command.add_argument("slug", metavar="SLUG")
    text = "delete a tenant and all its data"
    delete = _command(tenants, "delete", "administration:delete_tenant", text, "acme --yes")
    delete.add_argument("slug", metavar="SLUG")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    _erasing(delete)
    text = "write a tenant with all its data into a new file"
    export = _command(tenants, "export", "moving:export_tenant", text, "acme acme.minirag")
    export.add_argument("slug", metavar="SLUG")
    export.add_argument("path", metavar="PATH", help="where; nothing may be there yet")
    text = "add the tenant that a file of `export` holds"
    import_ = _command(tenants, "import", "moving:import_tenant", text, "acme.minirag\nacme.minirag --slug acme-europe")
    import_.add_argument("path", metavar="PATH", help="what `minirag tenants export` wrote")
    import_.add_argument("--slug", metavar="SLUG", help="another slug than the one it had")
    for command in (export, import_):
        command.add_argument(
            "--passphrase",
            action="store_true",
            help="take credentials along, sealed under a passphrase that is asked for, or read from standard input",
        )
    for command in (create, update, suspend, resume, delete, export, import_):
        _place(command, tenant=False)


def _oversight_commands(commands: Any) -> None:
    text = "show what a tenant may hold and spend and how much of it is used, and set limits"
    examples = "acme\nacme --documents 1000 --requests day=500 --cost month=20\nacme --documents none"
    limits = _command(commands, "limits", "oversight:limits", text, examples)
    for name in ("documents", "chunks", "characters"):
        limits.add_argument(f"--{name}", metavar="N", help="how many it may hold; none for no limit")
    for name in ("requests", "tokens", "cost"):
        help_ = f"{'US dollars' if name == 'cost' else 'how many'} a day, a month or in all (total); may be repeated"
        limits.add_argument(f"--{name}", action="append", default=[], metavar="WINDOW=N", help=help_)
    text = "show what was done in a tenant, by whom and when, newest first"
    audit = _command(commands, "audit", "oversight:audit", text, "acme\nacme --action user.created --limit 20")
    audit.add_argument("--action", metavar="ACTION", help="only this, such as login.failed")
    audit.add_argument("--subject", metavar="ID", help="only what was done to this")
    audit.add_argument("--actor", metavar="ACTOR", help="only what this one did: application, or user:ID")
    audit.add_argument("--limit", type=_count, default=100, metavar="N", help="how many (100)")
    for command in (limits, audit):
        command.add_argument("slug", metavar="SLUG")
        _place(command, tenant=False)


def _people_commands(commands: Any) -> None:
    users = _group(commands, "users", "list, make, change and remove the people of a tenant")
    _place(_command(users, "list", "people:list_users", "list people", ""), bot=False)
    text = "add a person; the password is asked for, or read from standard input"
    create = _command(users, "create", "people:create_user", text, "ann@example.com --role owner")
    create.add_argument("email", metavar="EMAIL")
    create.add_argument("--role", choices=_ROLES, default="member", help="what they may do (member)")
    update = _command(users, "update", "people:update_user", "change a person", "ann@example.com --role admin")
    update.add_argument("user", metavar="EMAIL_OR_ID")
    update.add_argument("--role", choices=_ROLES, help="what they may do")
    update.add_argument("--email", help="another e-mail address")
    update.add_argument("--password", action="store_true", help="ask for a new one, or read it from standard input")
    text = "delete a person and their tokens"
    remove = _command(users, "remove", "people:remove_user", text, "ann@example.com --yes")
    remove.add_argument("user", metavar="EMAIL_OR_ID")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    tokens = _group(commands, "tokens", "list, make and revoke the tokens of a tenant's people")
    listing = _command(tokens, "list", "people:list_tokens", "list tokens, newest first", "\n--user ann@example.com")
    listing.add_argument("--user", metavar="EMAIL_OR_ID", help="those of one person")
    examples = "ann@example.com --name website --only-bot support --days 90"
    make = _command(tokens, "create", "people:create_token", "make a token and print it, this once", examples)
    make.add_argument("user", metavar="EMAIL_OR_ID")
    make.add_argument("--name", default="", help="what it is for")
    make.add_argument("--scope", choices=("read", "write", "admin"), default="read", help="what it may do (read)")
    make.add_argument("--only-bot", metavar="NAME", help="the only bot that it opens (all of them)")
    make.add_argument("--days", type=_count, metavar="N", help="how long it lasts (for ever)")
    revoke = _command(tokens, "revoke", "people:revoke_token", "end a token at once, everywhere", "cepjvfyrtjjmng8g")
    revoke.add_argument("token_id", metavar="ID", help="as `minirag tokens list` shows it, not the token itself")
    for command in (create, update, remove, listing, make, revoke):
        _place(command, bot=False)


def _bot_commands(commands: Any) -> None:
    bots = _group(commands, "bots", "list, make, change and delete bots")
    _place(_command(bots, "list", "administration:list_bots", "list bots", ""), bot=False)
    create = _command(bots, "create", "administration:create_bot", "make a bot", "support --language en")
    examples = "support --llm openai:gpt-4o-mini --credential api_key"
    update = _command(bots, "update", "administration:update_bot", "change a bot's settings", examples)
    show = _command(bots, "show", "administration:show_bot", "show a bot's settings and size", "support")
    text = "move a bot to another embedder; searches go on meanwhile"
    reembed = _command(bots, "reembed", "administration:reembed_bot", text, "support openai:text-embedding-3-small")
    text = "delete a bot and its documents"
    delete = _command(bots, "delete", "administration:delete_bot", text, "support --yes")
    for command in (create, update, show, reembed, delete):
        command.add_argument("name", metavar="NAME")
        if command in (create, update):
            _settings(command)
        _place(command, bot=False)
    reembed.add_argument(
        "embedder", metavar="EMBEDDER", help="what makes the vectors from now on, as --embedder takes it"
    )
    reembed.add_argument("--rechunk", action="store_true", help="cut every document anew, as the new embedder counts")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    _erasing(delete)


def _source_commands(commands: Any) -> None:
    sources = _group(commands, "sources", "list, read again and remove sources")
    _place(_command(sources, "list", "administration:list_sources", "list sources", ""))
    text = "read sources again"
    ingest = _command(sources, "ingest", "administration:ingest_sources", text, "\ndocs https://example.com/faq")
    ingest.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="ids, names, paths or URLs; all that are due if none"
    )
    _place(ingest)
    text = "remove a source and its documents"
    examples = "https://example.com/faq\ndocs --erase --yes"
    remove = _command(sources, "remove", "administration:remove_source", text, examples)
    remove.add_argument("source", metavar="SOURCE", help="an id, a name, a path or a URL")
    _erasing(remove, chats=True)
    _place(remove)


def _document_commands(commands: Any) -> None:
    documents = _group(commands, "documents", "list, show and remove documents")
    examples = '--source docs --limit 20\n--where \'{"lang": "en"}\''
    listing = _command(documents, "list", "documents:list_documents", "list documents, oldest first", examples)
    _where(listing)
    listing.add_argument("--limit", type=_count, metavar="N", help="how many (all)")
    examples = "handbook.pdf\nhandbook.pdf --text"
    show = _command(documents, "show", "documents:show_document", "show what is known of a document", examples)
    show.add_argument("key", metavar="KEY")
    show.add_argument("--text", action="store_true", help="print its text")
    text = "end the search of documents; their texts stay as evidence for citations"
    examples = "faq.md old/prices.md\nletter.pdf --erase --yes"
    remove = _command(documents, "remove", "documents:remove_documents", text, examples)
    remove.add_argument("keys", nargs="+", metavar="KEY")
    _erasing(remove, chats=True)
    for command in (listing, show, remove):
        command.add_argument("--source", metavar="SOURCE", help="the source, where several hold the key")
        _place(command)


def _erasing(command: argparse.ArgumentParser, *, chats: bool = False) -> None:
    command.add_argument("--erase", action="store_true", help="destroy it beyond recovery, and print the receipt")
    if chats:
        command.add_argument("--yes", action="store_true", help="do not ask before an erasure")
        command.add_argument(
            "--keep-chats", action="store_true", help="leave the own words of answers that cite it, with marked gaps"
        )


def _upkeep_commands(commands: Any) -> None:
    erasures = _group(commands, "erasures", "list what was destroyed beyond recovery, and finish what is pending")
    _place(_command(erasures, "list", "erasing:list_erasures", "list receipts, newest first", ""), tenant=False)
    text = "go on with every erasure that is pending"
    _place(_command(erasures, "resume", "erasing:resume_erasures", text, ""), tenant=False)
    text = "check everything that is stored, of all tenants; changes nothing"
    verify = _command(commands, "verify", "upkeep:verify", text, "-w kb\n-w kb --quick")
    verify.add_argument("--quick", action="store_true", help="do not read every text, vector and log row")
    verify.add_argument("--models", action="store_true", help="also embed some stored texts of each bot again")
    text = "mend what can be derived from what is left, and say what cannot"
    repair = _command(commands, "repair", "upkeep:repair", text, "-w kb")
    text = "copy a workspace into a new folder, while it is in use"
    backup = _command(
        commands, "backup", "upkeep:backup", text, "-w kb backups/monday\n-w kb --include-key backups/monday"
    )
    backup.add_argument("path", metavar="PATH", help="where; nothing may be there yet")
    backup.add_argument("--include-key", action="store_true", help="copy the master key too; keep such a backup safe")
    rotate = _group(
        commands, "rotate", "change the keys that credentials are sealed with, while the workspace is in use"
    )
    text = "change the workspace's master key; a key that is given with MINIRAG_SECRET_KEY comes there as 'NEW OLD'"
    master = _command(rotate, "master", "upkeep:rotate_master_key", text, "-w kb")
    text = "give a tenant a new data key and seal its credentials with it"
    one = _command(rotate, "tenant", "upkeep:rotate_tenant_key", text, "-w kb acme")
    one.add_argument("slug", metavar="TENANT")
    for command in (verify, repair, backup, master, one):
        _place(command, tenant=False)


def _subcommands(parser: argparse.ArgumentParser) -> Any:
    parser.set_defaults(run=None, incomplete=parser)
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def _group(commands: Any, name: str, text: str) -> Any:
    return _subcommands(commands.add_parser(name, help=text, description=text, allow_abbrev=False))


def _command(commands: Any, name: str, run: str, text: str, examples: str) -> argparse.ArgumentParser:
    """Add a command; each line of `examples` is what may follow its name, none for the name alone."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    lines = [f"  {parser.prog} {line}".rstrip() for line in examples.split("\n")]
    parser.epilog = "\n".join([f"example{'s' * (len(lines) > 1)}:", *lines])
    parser.set_defaults(run=f"minirag.cli.{run}")
    return parser


def _place(
    parser: argparse.ArgumentParser, *, tenant: bool = True, bot: bool = True, json_help: str = "print JSON"
) -> None:
    place = parser.add_argument_group("where")
    environment = os.environ
    place.add_argument(
        "-w",
        "--workspace",
        default=environment.get("MINIRAG_WORKSPACE"),
        metavar="FOLDER_OR_URL",
        help="or MINIRAG_WORKSPACE",
    )
    if tenant:
        place.add_argument(
            "-t",
            "--tenant",
            default=environment.get("MINIRAG_TENANT") or None,
            metavar="SLUG",
            help="or MINIRAG_TENANT",
        )
    if tenant and bot:
        place.add_argument(
            "-b", "--bot", default=environment.get("MINIRAG_BOT") or None, metavar="NAME", help="or MINIRAG_BOT"
        )
    place.add_argument(
        "--allow-url",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="let this address be read though it is not public",
    )
    _output(parser, json_help)


def _output(parser: argparse.ArgumentParser, json_help: str = "print JSON") -> None:
    parser.add_argument("--json", action="store_true", help=json_help)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar and no notes")


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--where", metavar="JSON", help='a filter over metadata, such as \'{"year": {"$gte": 2020}}\'')


def _settings(parser: argparse.ArgumentParser) -> None:
    settings = parser.add_argument_group("settings of the bot")
    settings.add_argument("--llm", help="what answers: extractive, or a provider such as openai:MODEL, or JSON")
    settings.add_argument("--embedder", help="what makes the vectors, fixed when the bot is made")
    settings.add_argument("--chunker", help="how documents are cut: recursive, markdown or whole, or JSON")
    settings.add_argument("--language", help="auto, none, or an ISO 639-1 code")
    settings.add_argument("--system-prompt", metavar="TEXT", help="what the model is told before each question")
    settings.add_argument(
        "--credential",
        action="append",
        default=[],
        type=_credential_name,
        metavar="NAME",
        help="a credential's name, such as api_key or embedder.api_key; its value is asked for, or read from standard input",
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError("must be a number from 0 to 999999999")
    return int(text)


def _credential_name(text: str) -> str:
    from minirag.errors import InvalidInputError
    from minirag.models.credentials import check_credential_name

    try:
        return check_credential_name(text)
    except InvalidInputError:
        # The message must not repeat what may hold a secret.
        raise argparse.ArgumentTypeError(
            "takes a name, such as api_key, or for one engine llm.api_key, embedder.api_key or reranker.api_key; its value "
            "is asked for, or read from standard input"
        ) from None
