"""What the planner is told about bots: that a bot belongs to one tenant.

Without it the planner takes tenant and bot for independent, and with thousands of tenants each bot for less than a row. Then of two
indexes that begin with both it may take the one that names nothing else, and read a bot through for each check of a foreign key.
"""

from __future__ import annotations

from typing import Final

from alembic import op

__all__ = ["downgrade", "upgrade"]

revision: Final = "0003"
down_revision: Final = "0002"

_OF_BOTS: Final = ("sources", "documents", "chunks", "embeddings", "chunk_fields")


def upgrade() -> None:
    """Have statistics of both columns together gathered with the others."""
    for table in _OF_BOTS:
        op.execute(f"CREATE STATISTICS st_{table} (ndistinct, dependencies) ON tenant_id, bot_id FROM {table}")


def downgrade() -> None:
    """Drop them."""
    for table in _OF_BOTS:
        op.execute(f"DROP STATISTICS IF EXISTS st_{table}")
