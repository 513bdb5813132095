"""Chats in the storage: made, listed, read and deleted, with citations bound to their tenant."""

from __future__ import annotations

from dataclasses import dataclass

from minirag._services.core import BotContext
from minirag._services.evidence import Evidence
from minirag.errors import ChatNotFoundError
from minirag.interfaces.storage import Reader
from minirag.models.chats import ChatRecord, Message
from minirag.models.checks import check_text
from minirag.types import new_id, utc_now

__all__ = ["Conversations"]

_TITLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Conversations:
    """The chats of one bot."""

    context: BotContext

    def start(self) -> ChatRecord:
        """Return a new chat, stored."""
        now = utc_now()
        chat = ChatRecord(id=new_id(), bot_id=self.context.bot_id, title="", created_at=now, updated_at=now)
        self.context.core.check()
        with self.context.core.storage.write(self.context.scope) as writer:
            self.context.record(writer)
            writer.put_chat(chat)
        return chat

    def get(self, chat_id: object) -> ChatRecord:
        """Return the chat of this id.

        Raises:
            ChatNotFoundError: if the bot has none such.
        """
        name = check_text("chat_id", chat_id, maximum=100)
        self.context.core.check()
        with self.context.core.storage.read(self.context.scope) as reader:
            self.context.record(reader)
            return self.find(reader, name)

    def find(self, reader: Reader, chat_id: str) -> ChatRecord:
        """Return the chat of this id in a transaction at hand; raises as `get` does."""
        chat = reader.chat(self.context.bot_id, chat_id)
        if chat is None:
            raise ChatNotFoundError(f"bot {self.context.name!r} has no chat {chat_id!r}; bot.chats.list() shows them")
        return chat

    def page(self, before: str | None, limit: int) -> list[ChatRecord]:
        """Return chats, newest first, those with an id below `before`."""
        self.context.core.check()
        with self.context.core.storage.read(self.context.scope) as reader:
            self.context.record(reader)
            return reader.chats(self.context.bot_id, before=before, limit=limit)

    def delete(self, chat_id: object) -> None:
        """Delete a chat with its messages; raises as `get` does."""
        name = check_text("chat_id", chat_id, maximum=100)
        self.context.core.check()
        with self.context.core.storage.write(self.context.scope) as writer:
            self.context.record(writer)
            self.find(writer, name)
            writer.delete_chat(self.context.bot_id, name)

    def messages(self, chat_id: str, last: int | None = None) -> list[Message]:
        """Return a chat's messages in order, their citations bound; raises as `get` does."""
        self.context.core.check()
        evidence = Evidence(self.context.core, self.context.scope)
        with self.context.core.storage.read(self.context.scope) as reader:
            self.find(reader, chat_id)
            messages = reader.messages(chat_id, last=last)
        return [
            message.model_copy(update={"citations": tuple(citation._bind(evidence) for citation in message.citations)})
            for message in messages
        ]

    def append(self, chat_id: str, *messages: Message) -> None:
        """Write messages at the end of a chat, or in place of those of the same id; the first question is its title."""
        self.context.core.check()
        with self.context.core.storage.write(self.context.scope) as writer:
            chat = self.find(writer, chat_id)
            title = chat.title
            for message in messages:
                writer.put_message(chat_id, message)
                if not title and message.role == "user":
                    title = " ".join(message.text.split())[:_TITLE_LENGTH]
            writer.put_chat(chat.model_copy(update={"title": title, "updated_at": utc_now()}))
