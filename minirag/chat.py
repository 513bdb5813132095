"""`Chat`: a conversation that is kept, and `bot.chats`: those there are."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from minirag._services.conversations import Conversations
from minirag._services.core import BotContext
from minirag._services.steps import events, run
from minirag.models.answers import Answer, AnswerEvent
from minirag.models.chats import ChatRecord, Message

__all__ = ["Chat", "Chats"]

_PAGE = 100


class Chat:
    """A conversation with a bot. Each question is understood with those before it, and every turn is stored."""

    def __init__(self, context: BotContext, record: ChatRecord) -> None:
        self._context = context
        self._record = record

    @property
    def id(self) -> str:
        """The chat's id, for `bot.chat(chat_id)`."""
        return self._record.id

    @property
    def messages(self) -> Sequence[Message]:
        """Every message so far, in order, read from the workspace.

        Raises:
            ChatNotFoundError: if the chat was deleted.
        """
        return Conversations(self._context).messages(self.id)

    def send(self, question: str) -> Answer:
        """Return the answer to the next question; question and answer are stored."""
        from minirag._services.answering import answer

        return run(answer(self._context, question, chat_id=self.id))

    def stream(self, question: str) -> Generator[AnswerEvent, None, None]:
        """Yield the answer to the next question as events; leaving early stores what had come."""
        from minirag._services.answering import answer_events

        return events(answer_events(self._context, question, chat_id=self.id))

    def delete(self) -> None:
        """Delete the chat and its messages."""
        Conversations(self._context).delete(self.id)

    def __repr__(self) -> str:
        return f"<Chat {self.id} with bot {self._context.name!r}>"


class Chats:
    """The conversations of a bot."""

    def __init__(self, context: BotContext) -> None:
        self._context = context

    def get(self, chat_id: str) -> Chat:
        """Return the chat of this id.

        Raises:
            ChatNotFoundError: if the bot has none such.
        """
        return Chat(self._context, Conversations(self._context).get(chat_id))

    def list(self) -> Iterator[ChatRecord]:
        """Yield chats, newest first, reading them as they are asked for."""
        conversations = Conversations(self._context)
        page = conversations.page(None, _PAGE)

        def pages(page: Sequence[ChatRecord]) -> Iterator[ChatRecord]:
            while page:
                yield from page
                page = conversations.page(page[-1].id, _PAGE)

        return pages(page)

    def delete(self, chat_id: str) -> None:
        """Delete a chat and its messages."""
        Conversations(self._context).delete(chat_id)

    def __repr__(self) -> str:
        return f"<chats of bot {self._context.name!r}>"
