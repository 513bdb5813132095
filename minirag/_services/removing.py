"""What has gone from a folder goes from the bot."""

from __future__ import annotations

from typing import Final

from minirag._services import audit
from minirag._services.core import BotContext
from minirag._services.reporting import ReportBuilder
from minirag.models.tenants import Source

__all__ = ["remove_gone"]

_REMOVE_AT_ONCE: Final = 500


def remove_gone(
    bot: BotContext, report: ReportBuilder, source: Source, present: set[str], hidden: tuple[str, ...]
) -> None:
    """Remove the documents of files that are no longer in the folder, but none below a folder that cannot be read."""
    storage, scope = bot.core.storage, bot.scope
    after: str | None = None
    gone = []
    while True:
        with storage.read(scope) as reader:
            states = reader.states(source.id, after=after)
        if not states:
            break
        after = states[-1].key
        gone += [state for state in states if state.key not in present and not state.key.startswith(hidden)]
    for begin in range(0, len(gone), _REMOVE_AT_ONCE):
        batch = gone[begin : begin + _REMOVE_AT_ONCE]
        ids = [state.id for state in batch]
        with storage.write(scope) as writer:
            writer.remove_documents(bot.bot_id, ids)
            audit.record(writer, bot.principal, "document.removed", *ids)
        for state in batch:
            report.note(source.id, state.key, "removed")
        report.committed(tuple(state.key for state in batch))
