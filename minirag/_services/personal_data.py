"""What is stored of one person: the record, tokens, chats with their messages, and what was done by them or on their behalf."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel

from minirag._services import audit
from minirag._services.core import TenantContext
from minirag._services.new_files import checked_path, new_file
from minirag._services.people import find_user, shown_user
from minirag._services.tokens import shown_token
from minirag.interfaces.identity import UserRecord
from minirag.interfaces.storage import Reader
from minirag.models.moving import PersonalDataReport
from minirag.models.principals import Principal
from minirag.security.access import check_person

__all__ = ["export_person"]

_PAGE: Final = 500

Write = Callable[[str, BaseModel], None]


def export_person(context: TenantContext, user: object, path: object) -> PersonalDataReport:
    """Write what is stored of a person into a new file, one JSON object a line; see `Users.export`."""
    principal = context.allow("users.export")
    target = checked_path(path)
    core, counts = context.core, dict.fromkeys(("user", "token", "chat", "message", "event"), 0)
    with core.storage.read(context.scope) as reader:
        person = find_user(reader, user)
    check_person(principal, "users.export", person.role)

    def note() -> None:
        if not core.storage.read_only:
            with core.storage.write(context.scope) as writer:
                audit.record(writer, principal, "user.exported", person.id)

    with new_file(target, before=note) as file:

        def write(kind: str, record: BaseModel) -> None:
            line: dict[str, Any] = {kind: record.model_dump(mode="json")}
            file.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")
            counts[kind] += 1

        with core.storage.read(context.scope) as reader:
            _write_person(reader, find_user(reader, person.id), write)
    return PersonalDataReport(path=str(target), size=target.stat().st_size, user_id=person.id, counts=counts)


def _write_person(reader: Reader, person: UserRecord, write: Write) -> None:
    write("user", shown_user(person))
    for token in reader.tokens(person.id):
        write("token", shown_token(token))
    for bot in reader.bots():
        before: str | None = None
        while chats := reader.chats(bot.id, user_id=person.id, before=before, limit=_PAGE):
            for chat in chats:
                write("chat", chat)
                for message in reader.messages(chat.id):
                    write("message", message)
            before = chats[-1].id
    actor = audit.actor_of(Principal(kind="user", user_id=person.id))
    before = None
    while events := reader.audit_events(actor=actor, before=before, limit=_PAGE):
        for event in events:
            write("event", event)
        before = events[-1].id
