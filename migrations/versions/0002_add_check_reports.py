"""Reports of PUSH checks, so that every vantage hears what one of them was told.

There is no way down: going back means restoring the copy that was made before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "check_reports",
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("is_up", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", name="pk_check_reports"),
    )
    op.create_index("ix_check_reports_updated", "check_reports", ["updated"], unique=False)
