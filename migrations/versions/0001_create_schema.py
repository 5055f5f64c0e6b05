"""The first schema: history, zones, health, access. What the tables mean is told in geodns/store/schema.py.

An empty database gets its lineage here, at the moment at which it is made (link.md section 1), with a first revision that holds nothing.
There is no way down: going back means restoring the copy that was made before.
"""

import secrets
import time
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TWO_63 = 1 << 63


def upgrade() -> None:
    _create_tables()
    _begin_lineage()


def _create_tables() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_subject_id", "audit", ["subject", "id"], unique=False)
    op.create_table(
        "check_states",
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("vantage", sa.Text(), nullable=False),
        sa.Column("vote", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("is_known", sa.Boolean(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("successes", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("latency_s", sa.Double(), nullable=True),
        sa.Column("last_attempt", sa.BigInteger(), nullable=True),
        sa.Column("flaps", sa.Integer(), nullable=False),
        sa.Column("is_released", sa.Boolean(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", "vantage", name="pk_check_states"),
    )
    op.create_index("ix_check_states_updated", "check_states", ["updated"], unique=False)
    op.create_table(
        "check_transitions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("vantage", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("votes", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_check_transitions"),
        sa.UniqueConstraint("endpoint_id", "at", "vantage", "verdict", name="uq_check_transitions_endpoint_id_at_vantage_verdict"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("lineage", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("tag", sa.BigInteger(), nullable=False),
        sa.Column("next_value_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_head_one_row"),
        sa.PrimaryKeyConstraint("id", name="pk_head"),
    )
    op.create_table(
        "lineages",
        sa.Column("lineage", sa.Uuid(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("lineage", name="pk_lineages"),
    )
    op.create_table(
        "list_changes",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=True),
        sa.Column("after", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("revision", "name", name="pk_list_changes"),
    )
    op.create_table(
        "lists",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("prefixes", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lists"),
    )
    op.create_table(
        "overrides",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "target", name="pk_overrides"),
    )
    op.create_table(
        "revisions",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lineage", sa.Uuid(), nullable=False),
        sa.Column("tag", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_revisions"),
    )
    op.create_table(
        "rrset_changes",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("apex", sa.LargeBinary(), nullable=False),
        sa.Column("owner_key", sa.LargeBinary(), nullable=False),
        sa.Column("rtype", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.LargeBinary(), nullable=False),
        sa.Column("before_ttl", sa.BigInteger(), nullable=True),
        sa.Column("before_body", sa.LargeBinary(), nullable=True),
        sa.Column("before_dynamic", sa.Text(), nullable=True),
        sa.Column("before_octodns", sa.Text(), nullable=True),
        sa.Column("after_ttl", sa.BigInteger(), nullable=True),
        sa.Column("after_body", sa.LargeBinary(), nullable=True),
        sa.Column("after_dynamic", sa.Text(), nullable=True),
        sa.Column("after_octodns", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("revision", "apex", "owner_key", "rtype", name="pk_rrset_changes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "generation", name="pk_secrets"),
    )
    op.create_table(
        "switches",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_switches"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.create_table(
        "tombstones",
        sa.Column("apex", sa.LargeBinary(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("soa", sa.Text(), nullable=False),
        sa.Column("nameservers", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("apex", name="pk_tombstones"),
    )
    op.create_table(
        "vantages",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("heartbeat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_vantages"),
    )
    op.create_table(
        "zone_changes",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("apex", sa.LargeBinary(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("revision", "apex", name="pk_zone_changes"),
    )
    op.create_table(
        "zones",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("apex", sa.LargeBinary(), nullable=False),
        sa.Column("zone_key", sa.LargeBinary(), nullable=False),
        sa.Column("mname", sa.LargeBinary(), nullable=False),
        sa.Column("rname", sa.LargeBinary(), nullable=False),
        sa.Column("refresh", sa.BigInteger(), nullable=False),
        sa.Column("retry", sa.BigInteger(), nullable=False),
        sa.Column("expire", sa.BigInteger(), nullable=False),
        sa.Column("minimum", sa.BigInteger(), nullable=False),
        sa.Column("soa_ttl", sa.BigInteger(), nullable=False),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("default_ttl", sa.BigInteger(), nullable=False),
        sa.Column("mirrored", sa.Boolean(), nullable=False),
        sa.Column("rrset_count", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_zones"),
        sa.UniqueConstraint("apex", name="uq_zones_apex"),
        sa.UniqueConstraint("zone_key", name="uq_zones_zone_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lineage_parents",
        sa.Column("lineage", sa.Uuid(), nullable=False),
        sa.Column("parent", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["lineage"], ["lineages.lineage"], name="fk_lineage_parents_lineage"),
        sa.PrimaryKeyConstraint("lineage", "parent", name="pk_lineage_parents"),
    )
    op.create_table(
        "rrsets",
        sa.Column("zone_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("owner_key", sa.LargeBinary(), nullable=False),
        sa.Column("rtype", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.LargeBinary(), nullable=False),
        sa.Column("ttl", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("steered", sa.Boolean(), nullable=False),
        sa.Column("dynamic", sa.Text(), nullable=True),
        sa.Column("octodns", sa.Text(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name="fk_rrsets_zone_id"),
        sa.PrimaryKeyConstraint("zone_id", "owner_key", "rtype", name="pk_rrsets"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_rrsets_steered",
        "rrsets",
        ["zone_id", "owner_key", "rtype"],
        unique=False,
        sqlite_where=sa.text("steered = 1"),
        postgresql_where=sa.text("steered"),
    )
    op.create_table(
        "value_ids",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("owner_key", sa.LargeBinary(), nullable=False),
        sa.Column("rtype", sa.Integer(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name="fk_value_ids_zone_id"),
        sa.PrimaryKeyConstraint("id", name="pk_value_ids"),
        sa.UniqueConstraint("zone_id", "owner_key", "rtype", "pool", "value", name="uq_value_ids_zone_id_owner_key_rtype_pool_value"),
    )


def _begin_lineage() -> None:
    """A random lineage with revision 1, so that even the empty state has a triple that can be compared."""
    lineage, tag, at = uuid.uuid4(), secrets.randbits(64) - _TWO_63, time.time_ns() // 1000
    columns = {
        "lineage": sa.Uuid,
        "revision": sa.BigInteger,
        "tag": sa.BigInteger,
        "at": sa.BigInteger,
        "actor": sa.Text,
        "reason": sa.Text,
    }

    def insert(table: str, **values: object) -> None:
        known: list[sa.ColumnClause[object]] = [sa.column(name, columns.get(name, sa.BigInteger)) for name in values]
        op.execute(sa.table(table, *known).insert().values(**values))

    insert("lineages", lineage=lineage, at=at, actor="geodns", reason="the database was made")
    insert("revisions", revision=1, lineage=lineage, tag=tag, at=at, actor="geodns")
    insert("head", id=1, lineage=lineage, revision=1, tag=tag, next_value_id=1)
