"""How each public method of a session is called so that it succeeds, for whoever may."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import minirag
from tests.access.world import Handles

__all__ = ["CALLS"]

Call = Callable[[Handles], Any]
DOCUMENT: Final = minirag.DocumentInput(text="A phone may be returned within ten days.", key="phone")
PASSWORD: Final = "a long enough password"


def _new_path() -> Path:
    return Path(tempfile.mkdtemp()) / "person.jsonl"


CALLS: Final[dict[str, Call]] = {
    # ---------------------------------------------------------------- the session
    "TenantSession.bot": lambda h: h.session.bot("support"),
    "TenantSession.bot=new": lambda h: h.session.bot("new", create=True),
    "TenantSession.bot=create": lambda h: h.session.bot("support", create=True),
    "TenantSession.search": lambda h: h.session.search("laptop"),
    "TenantSession.issue_token": lambda h: h.session.issue_token(),
    "TenantSession.change_password": lambda h: h.session.change_password(h.password, PASSWORD),
    "Bots.create": lambda h: h.session.bots.create("new"),
    "Bots.get": lambda h: h.session.bots.get("support"),
    "Bots.get=sales": lambda h: h.session.bots.get("sales"),
    "Bots.list": lambda h: h.session.bots.list(),
    "Bots.update": lambda h: h.session.bots.update("support", system_prompt="Be brief."),
    "Bots.update=sales": lambda h: h.session.bots.update("sales", system_prompt="Be brief."),
    "Bots.delete": lambda h: h.session.bots.delete("support"),
    "Bots.delete=erase": lambda h: h.session.bots.delete("support", erase=True),
    "UsageLedger.total": lambda h: h.session.usage.total(),
    "UsageLedger.total=sales": lambda h: h.session.usage.total(bot=h.sales),
    "UsageLedger.events": lambda h: h.session.usage.events(),
    "UsageLedger.events=sales": lambda h: h.session.usage.events(bot=h.sales),
    "UsageLedger.limits": lambda h: h.session.usage.limits(),
    "AuditLog.events": lambda h: h.session.audit.events(),
    "Users.create": lambda h: h.session.users.create("new@example.com", PASSWORD, "admin"),
    "Users.create=owner": lambda h: h.session.users.create("new@example.com", PASSWORD, "owner"),
    "Users.get": lambda h: h.session.users.get("admin@example.com"),
    "Users.list": lambda h: h.session.users.list(),
    "Users.update": lambda h: h.session.users.update("member@example.com", role="admin"),
    "Users.update=promotion": lambda h: h.session.users.update("member@example.com", role="owner"),
    "Users.update=owner": lambda h: h.session.users.update("second@example.com", role="admin"),
    "Users.remove": lambda h: h.session.users.remove("member@example.com"),
    "Users.remove=owner": lambda h: h.session.users.remove("second@example.com"),
    "Users.export": lambda h: h.session.users.export("member@example.com", _new_path()),
    "Users.export=owner": lambda h: h.session.users.export("second@example.com", _new_path()),
    "Tokens.create": lambda h: h.session.tokens.create("member@example.com", scope="admin"),
    "Tokens.create=owner": lambda h: h.session.tokens.create("owner@example.com", scope="read"),
    "Tokens.list": lambda h: h.session.tokens.list(),
    "Tokens.list=own": lambda h: h.session.tokens.list(h.own_token.user_id),
    "Tokens.list=owner": lambda h: h.session.tokens.list("second@example.com"),
    "Tokens.revoke": lambda h: h.session.tokens.revoke(h.world.tokens["members"].id),
    "Tokens.revoke=own": lambda h: h.session.tokens.revoke(h.own_token.id),
    "Tokens.revoke=owner": lambda h: h.session.tokens.revoke(h.world.seconds.id),
    "Tokens.revoke_all": lambda h: h.session.tokens.revoke_all("admin@example.com"),
    "Tokens.revoke_all=own": lambda h: h.session.tokens.revoke_all(h.own_token.user_id),
    "Tokens.revoke_all=owner": lambda h: h.session.tokens.revoke_all("second@example.com"),
    # ---------------------------------------------------------------- the bot
    "Bot.update": lambda h: h.bot.update(system_prompt="Be brief."),
    "Bot.add": lambda h: h.bot.add(DOCUMENT),
    "Bot.ingest": lambda h: h.bot.ingest(),
    "Bot.reembed": lambda h: h.bot.reembed("hashing"),
    "Bot.search": lambda h: h.bot.search("laptop"),
    "Bot.search_many": lambda h: h.bot.search_many(["laptop", "days"]),
    "Bot.ask": lambda h: h.bot.ask("May a laptop be returned?"),
    "Bot.stream": lambda h: h.bot.stream("May a laptop be returned?"),
    "Bot.chat": lambda h: h.bot.chat(),
    "Bot.chat=own": lambda h: h.bot.chat(h.chat.id),
    "Bot.chat=others": lambda h: h.bot.chat(h.others.id),
    "Bot.open": lambda h: h.bot.open(h.world.citation(h.world.version_id)),
    "Bot.open=sales": lambda h: h.bot.open(h.world.citation(h.world.other_version_id)),
    "Bot.stats": lambda h: h.bot.stats(),
    "Bot.optimize": lambda h: h.bot.optimize(),
    "Bot.evaluate": lambda h: h.bot.evaluate({"q": "laptop"}, {"q": {"note": 1}}),
    "Bot.delete": lambda h: h.bot.delete(),
    "Bot.delete=erase": lambda h: h.bot.delete(erase=True),
    "Sources.add": lambda h: h.bot.sources.add(text="A watch may not be returned.", name="watches"),
    "Sources.ingest": lambda h: h.bot.sources.ingest("inline"),
    "Sources.get": lambda h: h.bot.sources.get("inline"),
    "Sources.list": lambda h: h.bot.sources.list(),
    "Sources.update": lambda h: h.bot.sources.update("inline", name="notes"),
    "Sources.remove": lambda h: h.bot.sources.remove("inline"),
    "Sources.remove=erase": lambda h: h.bot.sources.remove("inline", erase=True),
    "Documents.get": lambda h: h.bot.documents.get("note"),
    "Documents.list": lambda h: h.bot.documents.list(),
    "Documents.count": lambda h: h.bot.documents.count(),
    "Documents.text": lambda h: h.bot.documents.text("note"),
    "Documents.versions": lambda h: h.bot.documents.versions("note"),
    "Documents.remove": lambda h: h.bot.documents.remove("note"),
    "Documents.remove=erase": lambda h: h.bot.documents.remove("note", erase=True),
    "Chats.get": lambda h: h.bot.chats.get(h.chat.id),
    "Chats.get=others": lambda h: h.bot.chats.get(h.others.id),
    "Chats.list": lambda h: h.bot.chats.list(),
    "Chats.delete": lambda h: h.bot.chats.delete(h.chat.id),
    "Chats.delete=others": lambda h: h.bot.chats.delete(h.others.id),
    "Chat.messages": lambda h: _messages(h.chat),
    "Chat.messages=others": lambda h: _messages(h.others),
    "Chat.send": lambda h: h.chat.send("May a laptop be returned?"),
    "Chat.send=others": lambda h: h.others.send("May a laptop be returned?"),
    "Chat.stream": lambda h: h.chat.stream("May a laptop be returned?"),
    "Chat.delete": lambda h: h.chat.delete(),
    "Chat.delete=others": lambda h: h.others.delete(),
    "Citation.verify": lambda h: h.citation.verify(),
    "Citation.open": lambda h: h.citation.open(),
}
"""By method; what stands after `=` tells the calls of one method apart."""


def _messages(chat: Any) -> Any:
    return chat.messages if isinstance(chat, minirag.Chat) else chat.messages()
