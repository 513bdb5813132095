"""MiniRAG: give each of your customers a knowledge base that answers questions with verified citations.

```python
import minirag

with minirag.Workspace.open("kb") as ws:
    bot = ws.tenant("acme", create=True).bot("support", create=True)
    bot.add("handbook.pdf")
    print(bot.ask("How long may I return a laptop?"))
```

Names are imported when they are first used, so that `import minirag` is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minirag import errors, interfaces
    from minirag.aio import AsyncBot, AsyncChat, AsyncCitation, AsyncTenantSession, AsyncWorkspace
    from minirag.bot import Bot
    from minirag.chat import Chat
    from minirag.config import WorkspaceConfig
    from minirag.errors import MiniRAGError
    from minirag.models.answers import Answer, AnswerEvent, AnswerTrace, Citation
    from minirag.models.audit import AuditEvent
    from minirag.models.chats import ChatRecord, Message
    from minirag.models.documents import Document, DocumentInput, DocumentVersion
    from minirag.models.erasures import ErasureReceipt
    from minirag.models.limits import Limits, LimitsUse
    from minirag.models.people import ApiToken, Bootstrap, User
    from minirag.models.principals import Principal
    from minirag.models.reports import (
        BotStats,
        EvaluationReport,
        IngestEntry,
        IngestProgress,
        IngestReport,
        ReembedProgress,
        ReembedReport,
    )
    from minirag.models.search import Hit, RetrieverRank, SearchResults, SearchTrace
    from minirag.models.tenants import BotProfile, ProviderRef, Source, Tenant
    from minirag.models.urls import UrlPolicy
    from minirag.models.usage import Usage, UsageEvent, UsageTotal
    from minirag.models.verification import BackupReport, Fault, RepairReport, VerifyProgress, VerifyReport
    from minirag.security.envelope import generate_secret_key
    from minirag.session import TenantSession
    from minirag.workspace import Workspace

__version__ = "0.1.0"

_PLACES = {
    "Answer": "minirag.models.answers",
    "AnswerEvent": "minirag.models.answers",
    "AnswerTrace": "minirag.models.answers",
    "ApiToken": "minirag.models.people",
    "AsyncBot": "minirag.aio",
    "AsyncChat": "minirag.aio",
    "AsyncCitation": "minirag.aio",
    "AsyncTenantSession": "minirag.aio",
    "AsyncWorkspace": "minirag.aio",
    "AuditEvent": "minirag.models.audit",
    "BackupReport": "minirag.models.verification",
    "Bootstrap": "minirag.models.people",
    "Bot": "minirag.bot",
    "BotProfile": "minirag.models.tenants",
    "BotStats": "minirag.models.reports",
    "Chat": "minirag.chat",
    "ChatRecord": "minirag.models.chats",
    "Citation": "minirag.models.answers",
    "Document": "minirag.models.documents",
    "DocumentInput": "minirag.models.documents",
    "DocumentVersion": "minirag.models.documents",
    "ErasureReceipt": "minirag.models.erasures",
    "EvaluationReport": "minirag.models.reports",
    "Fault": "minirag.models.verification",
    "Hit": "minirag.models.search",
    "IngestEntry": "minirag.models.reports",
    "IngestProgress": "minirag.models.reports",
    "IngestReport": "minirag.models.reports",
    "Limits": "minirag.models.limits",
    "LimitsUse": "minirag.models.limits",
    "Message": "minirag.models.chats",
    "MiniRAGError": "minirag.errors",
    "Principal": "minirag.models.principals",
    "ProviderRef": "minirag.models.tenants",
    "ReembedProgress": "minirag.models.reports",
    "ReembedReport": "minirag.models.reports",
    "RepairReport": "minirag.models.verification",
    "RetrieverRank": "minirag.models.search",
    "SearchResults": "minirag.models.search",
    "SearchTrace": "minirag.models.search",
    "Source": "minirag.models.tenants",
    "Tenant": "minirag.models.tenants",
    "TenantSession": "minirag.session",
    "UrlPolicy": "minirag.models.urls",
    "Usage": "minirag.models.usage",
    "UsageEvent": "minirag.models.usage",
    "UsageTotal": "minirag.models.usage",
    "User": "minirag.models.people",
    "VerifyProgress": "minirag.models.verification",
    "VerifyReport": "minirag.models.verification",
    "Workspace": "minirag.workspace",
    "WorkspaceConfig": "minirag.config",
    "generate_secret_key": "minirag.security.envelope",
}
_MODULES = ("errors", "interfaces")

__all__ = [
    "Answer",
    "AnswerEvent",
    "AnswerTrace",
    "ApiToken",
    "AsyncBot",
    "AsyncChat",
    "AsyncCitation",
    "AsyncTenantSession",
    "AsyncWorkspace",
    "AuditEvent",
    "BackupReport",
    "Bootstrap",
    "Bot",
    "BotProfile",
    "BotStats",
    "Chat",
    "ChatRecord",
    "Citation",
    "Document",
    "DocumentInput",
    "DocumentVersion",
    "ErasureReceipt",
    "EvaluationReport",
    "Fault",
    "Hit",
    "IngestEntry",
    "IngestProgress",
    "IngestReport",
    "Limits",
    "LimitsUse",
    "Message",
    "MiniRAGError",
    "Principal",
    "ProviderRef",
    "ReembedProgress",
    "ReembedReport",
    "RepairReport",
    "RetrieverRank",
    "SearchResults",
    "SearchTrace",
    "Source",
    "Tenant",
    "TenantSession",
    "UrlPolicy",
    "Usage",
    "UsageEvent",
    "UsageTotal",
    "User",
    "VerifyProgress",
    "VerifyReport",
    "Workspace",
    "WorkspaceConfig",
    "errors",
    "generate_secret_key",
    "interfaces",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _PLACES:
        value = getattr(import_module(_PLACES[name]), name)
    elif name in _MODULES:
        value = import_module(f"minirag.{name}")
    else:
        raise AttributeError(f"module 'minirag' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
