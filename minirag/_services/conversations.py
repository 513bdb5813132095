"""Chats in the storage: made, listed, read and deleted, with citations bound to their tenant."""

from __future__ import annotations

from dataclasses import dataclass

from minirag._services.core import BotContext
from minirag._services.evidence import Evidence
from minirag.errors import ChatNotFoundError
from minirag.interfaces.storage import Reader
from minirag.models.chats import ChatRecord, Message
from minirag.models.checks import check_text
from minirag.security.access import permits
from minirag.types import new_id, utc_now

__all__ = ["Conversations"]

_TITLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Conversations:
    """The chats of one bot: all of them, or a person's own where whoever calls may see no others."""

    context: BotContext

    def start(self) -> ChatRecord:
        """Return a new chat, stored."""
        owner = self.context.allow("chats.own").user_id
        now = utc_now()
        chat = ChatRecord(
            id=new_id(), bot_id=self.context.bot_id, user_id=owner, title="", created_at=now, updated_at=now
        )
        with self.context.core.storage.write(self.context.scope) as writer:
            self.context.record(writer)
            writer.put_chat(chat)
        return chat

    def get(self, chat_id: object) -> ChatRecord:
        """Return the chat of this id.

        Raises:
            ChatNotFoundError: if the bot has none such, or it is another person's.
        """
        name = check_text("chat_id", chat_id, maximum=100)
        owner = self._owner()
        with self.context.core.storage.read(self.context.scope) as reader:
            self.context.record(reader)
            return self._find(reader, name, owner)

    def _owner(self) -> str | None:
        """Return the person whose chats alone may be seen, or None for everybody's."""
        present = self.context.allow("chats.own")
        return None if permits(present, "chats.others") else present.user_id

    def _find(self, reader: Reader, chat_id: str, owner: str | None) -> ChatRecord:
        chat = reader.chat(self.context.bot_id, chat_id)
        if chat is None or owner not in (None, chat.user_id):
            raise ChatNotFoundError(f"bot {self.context.name!r} has no chat {chat_id!r}; bot.chats.list() shows them")
        return chat

    def page(self, before: str | None, limit: int) -> list[ChatRecord]:
        """Return chats, newest first, those with an id below `before`."""
        owner = self._owner()
        with self.context.core.storage.read(self.context.scope) as reader:
            self.context.record(reader)
            return reader.chats(self.context.bot_id, user_id=owner, before=before, limit=limit)

    def delete(self, chat_id: object) -> None:
        """Delete a chat with its messages; raises as `get` does."""
        name = check_text("chat_id", chat_id, maximum=100)
        owner = self._owner()
        with self.context.core.storage.write(self.context.scope) as writer:
            self.context.record(writer)
            self._find(writer, name, owner)
            writer.delete_chat(self.context.bot_id, name)

    def messages(self, chat_id: str, last: int | None = None) -> list[Message]:
        """Return a chat's messages in order, their citations bound; raises as `get` does."""
        owner = self._owner()
        evidence = Evidence(self.context.core, self.context.scope, self.context.principal)
        with self.context.core.storage.read(self.context.scope) as reader:
            self._find(reader, chat_id, owner)
            messages = reader.messages(chat_id, last=last)
        return [
            message.model_copy(update={"citations": tuple(citation._bind(evidence) for citation in message.citations)})
            for message in messages
        ]

    def append(self, chat_id: str, *messages: Message) -> None:
        """Write messages at the end of a chat, or in place of those of the same id; the first question is its title.

        For a turn whose chat was read with `messages`, which has seen to it that whoever calls may.
        """
        self.context.core.check()
        with self.context.core.storage.write(self.context.scope) as writer:
            chat = self._find(writer, chat_id, None)
            title = chat.title
            for message in messages:
                writer.put_message(chat_id, message)
                if not title and message.role == "user":
                    title = " ".join(message.text.split())[:_TITLE_LENGTH]
            writer.put_chat(chat.model_copy(update={"title": title, "updated_at": utc_now()}))
