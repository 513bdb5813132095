"""No credential, password, token or key is found anywhere but where it belongs: one long story, and a search through all it left."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import pickle
import sqlite3
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import MiniRAGError
from tests.servers.openai_server import OpenAIServer, failure

CREDENTIALS = {"llm.api_key": "canary.of.the.llm.4711", "embedder.api_key": "canary.of.the.embedder.4712"}
PASSWORDS = ("canary horse battery", "canary horse staple", "canary wrong guess")


@dataclass
class Story:
    """What was returned and raised on the way, and the secrets that must not be in it."""

    secrets: dict[str, str]
    returned: list[object] = field(default_factory=list)
    raised: list[BaseException] = field(default_factory=list)

    def call(self, work: Callable[[], Any]) -> Any:
        """Call, and keep what comes back, be it an error."""
        try:
            result = work()
        except Exception as problem:  # every error's words are searched
            self.raised.append(problem)
            return None
        self.returned.append(result)
        return result

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield everything that an application could show, print, log or store of it."""
        for value in self.returned:
            where = type(value).__name__
            yield f"repr of {where}", repr(value)
            yield f"str of {where}", str(value)
            for name in ("_repr_html_", "model_dump", "model_dump_json"):
                if callable(method := getattr(value, name, None)):
                    yield f"{name} of {where}", repr(method())
            with contextlib.suppress(Exception):  # most of them cannot be pickled, and say so
                yield f"pickle of {where}", pickle.dumps(value).decode("latin-1")
        for problem in self.raised:
            yield f"traceback of {type(problem).__name__}", "".join(traceback.format_exception(problem))
            yield f"dict of {type(problem).__name__}", repr(vars(problem))

    def check(self, where: str, content: str | bytes) -> None:
        """Fail if a secret is in it, in the encodings that Python and databases write."""
        for name, secret in self.secrets.items():
            forms: list[Any] = [secret] if isinstance(content, str) else [secret.encode(), secret.encode("utf-16-le")]
            for form in forms:
                assert form not in content, f"{name} is in the {where}"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def test_no_secret_is_found_anywhere(tmp_path: Path, server: OpenAIServer, caplog: pytest.LogCaptureFixture) -> None:
    """Logs at the finest level, reprs, dumps, pickles, tracebacks, the folder's files, an export, a backup, an audit log."""
    caplog.set_level(logging.DEBUG)
    story = Story({**CREDENTIALS, **{f"password {n}": text for n, text in enumerate(PASSWORDS)}})
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        tell(story, workspace, server, tmp_path)
        story.secrets["master key"] = (tmp_path / "kb" / "master.key").read_text().strip()
        story.returned.append(workspace)
        for path in [*(tmp_path / "kb").rglob("*"), *(tmp_path / "copy").rglob("*")]:
            if path.is_file() and path.name != "master.key":
                story.check(f"file {path.name}", path.read_bytes())
        assert not list((tmp_path / "copy").rglob("master.key"))
        with zipfile.ZipFile(tmp_path / "export") as archive:
            for name in archive.namelist():
                story.check(f"archive's {name}", archive.read(name))
    for where, text in story.texts():
        story.check(where, text)
    for record in caplog.records:
        story.check(
            f"log of {record.name}", f"{record.getMessage()} {record.args!r} {record.exc_text} {vars(record)!r}"
        )
    story.check("log as printed", caplog.text)
    # What was looked through was not empty, and the server did get the credential.
    assert len(story.raised) >= 8
    assert any(isinstance(problem, MiniRAGError) for problem in story.raised)
    assert any(CREDENTIALS["llm.api_key"] in str(request.headers) for request in server.requests)


def tell(story: Story, workspace: minirag.Workspace, server: OpenAIServer, folder: Path) -> None:
    """Do everything that a secret takes part in, well and badly."""
    began = story.call(lambda: workspace.tenants.bootstrap("acme", "Acme", "owner@acme.example", PASSWORDS[0]))
    story.secrets["owner's token"] = str(began.token)
    story.call(lambda: workspace.tenants.bootstrap("acme", "Acme", "other@acme.example", PASSWORDS[1]))
    session = story.call(lambda: workspace.login("acme", "owner@acme.example", PASSWORDS[0]))
    story.call(lambda: workspace.login("acme", "owner@acme.example", PASSWORDS[2]))
    story.call(lambda: workspace.login("acme", "nobody@acme.example", PASSWORDS[2]))
    story.call(lambda: session.users.create("member@acme.example", PASSWORDS[1]))
    story.call(lambda: session.users.create("member@acme.example", PASSWORDS[1]))
    story.call(lambda: session.users.update("member@acme.example", password="short"))
    story.call(session.users.list)
    made = session.tokens.create("member@acme.example", name="reader", scope="read")
    story.secrets["member's token"] = str(made.token)
    story.returned.append(made)
    story.call(lambda: session.change_password(PASSWORDS[2], PASSWORDS[1]))
    story.call(lambda: session.change_password(PASSWORDS[0], "short"))
    story.call(lambda: session.change_password(PASSWORDS[0], PASSWORDS[0]))
    issued = session.issue_token()
    story.secrets["session token"] = str(issued.token)
    story.returned.append(issued)
    story.call(session.tokens.list)
    story.call(lambda: workspace.authenticate(str(made.token)))
    story.call(lambda: workspace.authenticate(str(made.token)[:-1] + "x"))
    reader = workspace.authenticate(str(made.token))
    session.tokens.revoke(made.id)
    story.call(lambda: reader.bot("support"))
    story.call(lambda: workspace.authenticate(str(made.token)))
    tenant = workspace.tenant("acme")
    options = {"model": "m", "base_url": server.base_url, "max_retries": 0}
    profile = {"llm": {"provider": "openai", "options": options}, "credentials": CREDENTIALS}
    bot = story.call(lambda: tenant.bot("support", create=True, **profile))
    story.call(lambda: tenant.bot("support", create=True, **profile))
    story.call(lambda: bot.update(credentials={"llm.api_key": CREDENTIALS["llm.api_key"], "bad name": "x"}))
    story.call(
        lambda: bot.update(llm={"provider": "openai", "options": {**options, "api_key": CREDENTIALS["llm.api_key"]}})
    )
    story.call(lambda: bot.add(minirag.DocumentInput(text="A laptop may be returned within thirty days.", key="note")))
    story.call(lambda: bot.ask("May a laptop be returned?"))
    # A vendor, or a proxy on the way, that sends the key back in its error.
    for status in (400, 401, 429, 500):
        server.script(failure(status, message=f"the key {CREDENTIALS['llm.api_key']} is not good"))
        story.call(lambda: bot.ask("May a laptop be returned?"))
        server.script(failure(status, message=f"the key {CREDENTIALS['llm.api_key']} is not good"))
        story.call(lambda: list(bot.stream("May a laptop be returned?")))
    story.call(lambda: bot.chat().send("And a phone?"))
    story.returned += [bot.profile, bot, tenant, session, *tenant.audit.events(), *tenant.usage.events()]
    story.call(lambda: workspace.tenants.export("acme", folder / "export", progress=False))
    story.call(lambda: workspace.backup(folder / "copy"))
    story.call(lambda: workspace.verify(models=True, progress=False))
    spoil(folder / "kb")
    story.call(lambda: bot.ask("May a laptop be returned?"))
    story.call(lambda: workspace.tenants.rotate_key("acme"))


def spoil(folder: Path) -> None:
    """Damage the stored credentials, so that opening them fails."""
    connection = sqlite3.connect(folder / "minirag.sqlite3")
    connection.execute("UPDATE secrets SET ciphertext = ciphertext || 'x'")
    connection.commit()
    connection.close()


def test_the_search_finds_what_is_there() -> None:
    """Each place that is looked through is really looked through."""
    secret = "sk-canary"

    class Careless:
        def _repr_html_(self) -> str:
            return secret

    for careless in (Careless(), {"key": secret}, minirag.DocumentInput(text=secret)):
        story = Story({"key": secret}, returned=[careless])
        with pytest.raises(AssertionError, match="key is in the"):
            [story.check(where, text) for where, text in story.texts()]
    story = Story({"key": secret})
    story.call(lambda: json.loads(f"{secret}!"))
    story.raised.append(ValueError(secret))
    with pytest.raises(AssertionError, match="is in the"):
        [story.check(where, text) for where, text in story.texts()]
    with pytest.raises(AssertionError, match="is in the file"):
        story.check("file", io.BytesIO(f"..{secret}..".encode("utf-16-le")).read())
