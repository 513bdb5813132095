"""What a workspace is opened with, from keywords, a mapping, a TOML file or the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, SecretStr, StrictStr, field_validator

from minirag.errors import ConfigurationError, InvalidInputError
from minirag.models.base import InputModel
from minirag.models.checks import check_text, clipped
from minirag.models.prices import check_prices
from minirag.models.urls import UrlPolicy
from minirag.types import MEMORY

__all__ = ["ENVIRONMENT", "WorkspaceConfig", "config_from", "config_from_environment"]

ENVIRONMENT: Final[Mapping[str, str]] = {
    "MINIRAG_WORKSPACE": "location",
    "MINIRAG_EMBEDDER": "embedder",
    "MINIRAG_LLM": "llm",
    "MINIRAG_RERANKER": "reranker",
    "MINIRAG_SECRET_KEY": "secret_key",
    "MINIRAG_CACHE_DIR": "cache_dir",
    "MINIRAG_MEMORY_BUDGET": "memory_budget",
    "MINIRAG_DURABILITY": "durability",
    "MINIRAG_ENV_CREDENTIALS": "env_credentials",
    "MINIRAG_READ_ONLY": "read_only",
}
"""Environment variables and the settings they give; read by `Workspace.from_env()` and the command line alone."""


class WorkspaceConfig(InputModel):
    """The settings of a workspace; see `Workspace.open` for what each does."""

    error: ClassVar[type[InvalidInputError]] = ConfigurationError

    location: StrictStr = Field(min_length=1)
    storage: str | dict[str, Any] | None = None
    index: str | dict[str, Any] | None = None
    embedder: str | dict[str, Any] | None = None
    llm: str | dict[str, Any] | None = None
    reranker: str | dict[str, Any] | None = None
    secret_key: SecretStr | None = None
    cache_dir: str | None = None
    memory_budget: int | None = Field(default=None, ge=1)
    durability: Literal["normal", "full"] = "normal"
    url_policy: UrlPolicy | None = None
    plugins: tuple[str, ...] | None = None
    env_credentials: bool = False
    prices: str | dict[str, Any] | None = None
    read_only: bool = False

    @field_validator("memory_budget", mode="before")
    @classmethod
    def _memory_budget(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("Input should be a number of bytes")
        return value

    @field_validator("url_policy", mode="before")
    @classmethod
    def _url_policy(cls, value: object) -> object:
        return UrlPolicy(**{str(name): item for name, item in value.items()}) if isinstance(value, Mapping) else value

    @field_validator("prices")
    @classmethod
    def _prices(cls, value: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
        if not isinstance(value, str):
            check_prices(value)
        return value

    def keywords(self) -> dict[str, Any]:
        """Return the settings as keywords of `Workspace.open`, the location among them."""
        keywords = {name: getattr(self, name) for name in type(self).model_fields}
        if self.secret_key is not None:
            # Two while it is being changed; no key has white space in it.
            keys = self.secret_key.get_secret_value().split()
            keywords["secret_key"] = keys if len(keys) > 1 else self.secret_key.get_secret_value()
        return keywords


def config_from(settings: object) -> WorkspaceConfig:
    """Return the settings in a mapping or a TOML file.

    Raises:
        ConfigurationError: naming the setting that is unknown or wrong, or the file that cannot be read.
    """
    if isinstance(settings, WorkspaceConfig):
        return settings
    if isinstance(settings, Mapping):
        return WorkspaceConfig(**{str(name): value for name, value in settings.items()})
    if not isinstance(settings, str | os.PathLike):
        raise ConfigurationError(f"a configuration is a mapping or the path of a TOML file, not {clipped(settings)}")
    try:
        text = check_text("a configuration's path", os.fspath(settings), maximum=4_000)
    except InvalidInputError as problem:
        raise ConfigurationError(f"{problem}; a configuration is a mapping or the path of a TOML file") from None
    path = Path(text)
    try:
        with path.open("rb") as file:
            loaded = tomllib.load(file)
    except OSError as problem:
        raise ConfigurationError(f"configuration {clipped(text, 300)} cannot be read: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise ConfigurationError(f"configuration {clipped(text, 300)} is not valid TOML: {problem}") from problem
    table = loaded.get("minirag", loaded)
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"configuration {clipped(text, 300)}: minirag must be a table, [minirag]")
    if "location" in table and isinstance(table["location"], str) and not _is_no_path(table["location"]):
        # A path in a file is meant from that file, wherever the program was started.
        table = {**table, "location": str(path.parent / table["location"])}
    if isinstance(table.get("prices"), str):
        table = {**table, "prices": str(path.parent / table["prices"])}
    return config_from(table)


def _is_no_path(location: str) -> bool:
    return "://" in location or location == MEMORY


def config_from_environment(environment: Mapping[str, str]) -> WorkspaceConfig:
    """Return the settings in environment variables, `MINIRAG_WORKSPACE` at least.

    Raises:
        ConfigurationError: naming the variable that is missing or wrong.
    """
    settings: dict[str, Any] = {
        field: environment[variable] for variable, field in ENVIRONMENT.items() if environment.get(variable)
    }
    if "location" not in settings:
        raise ConfigurationError("MINIRAG_WORKSPACE is not set; it names the workspace's folder or database URL")
    return WorkspaceConfig(**settings)
