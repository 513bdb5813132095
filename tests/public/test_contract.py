"""The public face: the documented code runs as it stands, every name is there, and no signature changes unseen."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import minirag
from tests.public.signatures import SNAPSHOT, parameters, public_classes, public_members, signatures
from tests.servers.openai_server import OpenAIServer
from tests.servers.page_server import Page, PageServer

FILES = Path(__file__).parents[1] / "data" / "files"
SYNCHRONOUS = """
ws = minirag.Workspace.open("kb"{policy})
acme = ws.tenant("acme", create=True)
bot = acme.bot("support", create=True,
               system_prompt="You help Acme's customers."{llm})

report = bot.add("handbook.pdf", "docs/", {url!r})
bot.add(minirag.DocumentInput(text="...", key="note-1", title="Note", metadata={{"lang": "en"}}))
bot.add(document_inputs)

hits = bot.search("return window", k=5, where={{"lang": "en"}}, mode="hybrid")
answer = bot.ask("How long may I return a laptop?")
print(answer.text)
for c in answer.citations:
    print(c.marker, c.quote, c.key, c.page, c.start, c.end)

events = []
for event in bot.stream("And a phone?"):
    events.append(event)
chat = bot.chat()
chat.send("And a phone?"); messages = chat.messages
"""
ASYNCHRONOUS = """
async def main():
    async with minirag.AsyncWorkspace.open("kb") as ws:
        acme = await ws.tenant("acme")
        bot = await acme.bot("support")
        answer = await bot.ask("How long may I return a laptop?")
        events = []
        async for event in bot.stream("And a phone?"): events.append(event)
        return answer, events
"""
OPEN = {
    "storage": None,
    "index": None,
    "embedder": None,
    "llm": None,
    "reranker": None,
    "secret_key": None,
    "cache_dir": None,
    "memory_budget": None,
    "durability": "normal",
    "url_policy": None,
    "env_credentials": False,
    "prices": None,
    "plugins": None,
    "read_only": False,
}
SEARCH = {"k": 10, "where": None, "mode": "hybrid", "exact": False}
MEMBERS: dict[str, dict[str, tuple[tuple[str, ...], dict[str, Any]] | None]] = {
    "Workspace": {
        "open": (("location",), OPEN),
        "from_config": (("settings",), {}),
        "from_env": ((), {}),
        "tenant": (("slug",), {"create": False}),
        "verify": ((), {"deep": True, "models": False, "progress": None}),
        "repair": ((), {"progress": None}),
        "backup": (("path",), {"include_key": False}),
        "rotate_master_key": ((), {}),
        "close": ((), {}),
        "login": (("tenant", "email", "password"), {}),
        "authenticate": (("token",), {}),
    },
    "Tenants": {
        "bootstrap": (("slug", "name", "owner_email", "owner_password"), {}),
        "create": (("slug",), {"name": None}),
        "get": (("slug",), {}),
        "limits": (("slug",), {}),
        "list": ((), {"counts": False}),
        "update": None,
        "suspend": (("slug",), {}),
        "resume": (("slug",), {}),
        "delete": (("slug",), {"erase": False}),
        "rotate_key": (("slug",), {}),
        "export": (("slug", "path"), {"passphrase": None, "progress": None}),
        "import_": (("path",), {"slug": None, "passphrase": None, "progress": None}),
    },
    "TenantSession": {
        "bot": (("name", "**profile"), {"create": False}),
        "search": (("query",), SEARCH),
        "issue_token": ((), {"name": "", "expires_in": 43_200}),
        "change_password": (("old", "new"), {}),
    },
    "Users": {
        "create": (("email", "password"), {"role": "member"}),
        "get": (("user",), {}),
        "list": ((), {}),
        "update": (("user",), {"role": None, "email": None, "password": None}),
        "remove": (("user",), {}),
    },
    "Tokens": {
        "create": (("user",), {"name": "", "scope": "read", "bot": None, "expires_in": None, "expires_at": None}),
        "list": ((), {"user": None}),
        "revoke": (("token",), {}),
        "revoke_all": (("user",), {}),
    },
    "Bot": {
        "profile": ((), {}),
        "update": (("**profile",), {}),
        "add": (("*inputs",), {"source": None, "progress": None}),
        "ingest": ((), {"progress": None}),
        "reembed": (("embedder",), {"rechunk": False, "progress": None}),
        "search": (("query",), SEARCH),
        "search_many": (("queries",), SEARCH),
        "ask": (("question",), {"k": 8, "where": None}),
        "stream": (("question",), {"k": 8, "where": None}),
        "chat": ((), {"chat_id": None}),
        "open": (("citation",), {"before": 0, "after": 0}),
        "stats": ((), {}),
        "optimize": ((), {"wait": True}),
        "evaluate": (("queries", "qrels"), {}),
        "delete": ((), {"erase": False}),
    },
    "Sources": {
        "add": ((), {"location": None, "text": None, "name": None, "metadata": None, "refresh": None}),
        "ingest": (("source",), {"progress": None}),
        "get": (("source",), {}),
        "list": ((), {}),
        "update": None,
        "remove": (("source",), {"erase": False, "chats": "scrub"}),
    },
    "Documents": {
        "get": (("key",), {"source": None}),
        "list": ((), {"source": None, "where": None}),
        "text": (("key",), {"version_id": None, "source": None}),
        "count": ((), {"source": None, "where": None}),
        "remove": (("*keys",), {"source": None, "erase": False, "chats": "scrub"}),
    },
    "Erasures": {"list": ((), {}), "get": (("erasure_id",), {}), "resume": ((), {})},
    "Citation": {"verify": ((), {}), "open": ((), {"before": 0, "after": 0})},
    "IngestReport": {"ok": ((), {}), "raise_for_failures": ((), {})},
}
ATTRIBUTES = {
    "Workspace": "tenants erasures",
    "TenantSession": "tenant principal bots users tokens usage audit",
    "Bot": "sources documents chats profile",
}
FIELDS = {
    "Hit": "text score key bot chunk_id document_id version_id source_id source_name title start end page metadata ranks",
    "Answer": "text citations hits usage abstained trace chat_id message_id",
    "Citation": "marker quote key bot document_id version_id source_id source_name title start end page",
    "AnswerEvent": "type text hits citation usage answer error",
    "Message": "id role text citations created_at status",
    "User": "id email role created_at updated_at",
    "ApiToken": "id user_id kind scope bot_id prefix name created_at expires_at last_used_at revoked_at",
    "Bootstrap": "tenant owner",
    "IngestReport": "added updated unchanged removed skipped failed warnings counts chunks embedded_texts seconds",
    "IngestEntry": "source_id key status reason chunks",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a handbook and some documents, where the code runs."""
    shutil.copy(FILES / "r2r_sample.pdf", tmp_path / "handbook.pdf")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "returns.md").write_text(
        "# Returns\n\nA laptop may be returned within thirty days. A phone may be returned within ten days.\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pages() -> Iterator[PageServer]:
    """A web server with one page of questions."""
    with PageServer() as server:
        server.pages["/faq"] = Page(body=b"<html><body><p>Shipping is free above fifty euros.</p></body></html>")
        yield server


def run_contract(pages: PageServer, llm: str) -> dict[str, Any]:
    """Run the documented code, both faces, and return what it left in its variables."""
    documents = (minirag.DocumentInput(text=f"Note number {number}.", key=f"extra-{number}") for number in range(5))
    names: dict[str, Any] = {"minirag": minirag, "document_inputs": documents}
    policy = f', url_policy={{"allow": ["{pages.root}"]}}'
    exec(textwrap.dedent(SYNCHRONOUS).format(policy=policy, llm=llm, url=pages.url("/faq")), names)
    names["ws"].close()
    exec(ASYNCHRONOUS, names)
    names["async_answer"], names["async_events"] = asyncio.run(names["main"]())
    return names


def test_the_documented_code_runs_without_a_model(place: Path, pages: PageServer) -> None:
    """With no LLM the answers are composed of the documents' sentences, and cited."""
    names = run_contract(pages, llm="")
    report = names["report"]
    assert report.ok
    assert sorted(entry.key for entry in report.added) == sorted(["handbook.pdf", "returns.md", pages.url("/faq")])
    assert [hit.key for hit in names["hits"]] == ["note-1"]
    for answer in (names["answer"], names["async_answer"]):
        assert "thirty days" in answer.text
        assert answer.citations[0].key == "returns.md"
        assert answer.citations[0].marker == "[1]"
        assert answer.model == "extractive"
    for events in (names["events"], names["async_events"]):
        assert events[0].type == "sources"
        assert events[-1].type == "done"
        assert "ten days" in events[-1].answer.text
    assert [message.role for message in names["messages"]] == ["user", "assistant"]


def test_the_documented_code_runs_with_a_model(place: Path, pages: PageServer) -> None:
    """With an LLM and its credentials the model's markers become exact citations."""
    with OpenAIServer(answer="You may return it within thirty days [1].", api_key="sk-test") as server:
        provider = {"provider": "openai", "options": {"model": "served", "base_url": server.base_url}}
        names = run_contract(pages, llm=f', llm={provider!r}, credentials={{"api_key": "sk-test"}}')
        assert "You help Acme's customers." in server.requests[0].body["messages"][0]["content"]
    assert names["answer"].text == names["async_answer"].text == "You may return it within thirty days [1]."
    citation = names["answer"].citations[0]
    assert (citation.marker, citation.key) == ("[1]", "returns.md")
    assert names["events"][-1].type == names["async_events"][-1].type == "done"
    assert "sk-test" not in repr(names["bot"].profile) + repr(names["answer"]) + repr(names["bot"])


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, members in MEMBERS.items() for name in members])
def test_member_exists_as_documented(kind: str, name: str) -> None:
    """Each member has the documented parameters and defaults; those after the first are keyword-only, save a few."""
    member = public_members(public_classes()[kind])[name]
    expected = MEMBERS[kind][name]
    if expected is None:
        return
    required, optional = expected
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = parameters(member)
    assert {marks.get(p.kind, "") + p.name for p in found if p.default is p.empty} == set(required)
    assert {p.name: p.default for p in found if p.default is not p.empty} == optional


def test_models_have_the_documented_fields() -> None:
    """Each record has exactly the documented fields, in the documented order where it is a plain list of them."""
    classes = public_classes()
    for kind, names in FIELDS.items():
        fields = classes[kind].model_fields  # type: ignore[attr-defined]  # every one of these is a pydantic model
        assert set(names.split()) - set(fields) == set(), kind
    assert set(classes["Answer"].model_fields) - set(FIELDS["Answer"].split()) == {"model"}  # type: ignore[attr-defined]  # as above


def test_attributes_need_no_call(tmp_path: Path) -> None:
    """`tenants`, `bots`, `sources` and their like are attributes, on both faces."""
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        session = workspace.tenant("acme", create=True)
        found = {"Workspace": workspace, "TenantSession": session, "Bot": session.bot("b", create=True)}
        for kind, names in ATTRIBUTES.items():
            assert [name for name in names.split() if callable(getattr(found[kind], name))] == []
        assert isinstance(found["Bot"].search("x"), Sequence)
    assert [name for name in dir(minirag.Workspace) if name in ("search", "add", "ask", "stream", "documents")] == []


def test_no_parameter_names_a_tenants_id() -> None:
    """A query that names its tenant by id cannot be written."""
    for name, kind in public_classes().items():
        for member, found in public_members(kind).items():
            assert "tenant_id" not in {p.name for p in parameters(found)}, f"{name}.{member}"


def test_all_names_what_there_is() -> None:
    """`__all__` is sorted, complete, and each name of it can be imported."""
    assert minirag.__all__ == sorted(minirag.__all__)
    assert all(getattr(minirag, name) is not None for name in minirag.__all__)
    assert set(minirag.__all__) <= set(dir(minirag))
    with pytest.raises(AttributeError, match="no attribute 'bogus'"):
        getattr(minirag, "bogus")  # noqa: B009 - a type checker would see through it


def test_signatures_are_those_written_down() -> None:
    """A changed signature is seen in review: run `python -m tests.public.signatures` to accept it."""
    assert signatures() == SNAPSHOT.read_text(encoding="utf-8"), (
        "public signatures changed; if that is meant, run `python -m tests.public.signatures` and commit signatures.txt"
    )
