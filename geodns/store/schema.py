"""The tables, as SQLAlchemy Core knows them, and the column types that both databases read back alike.

The migrations under `migrations/` create them; a test holds the two against each other. Rules of the layout:

- Nothing depends on a database's own time, JSON or unsigned types: instants are microseconds since 1970 in UTC, JSON is text (so that
  it comes back exactly as sent), 64-bit tags are kept in signed columns.
- Names are wire form (docs/link-protocol.md section 1) and are ordered by their keys (`encoding.py`), never by text.
- `rrsets` is clustered by (zone, owner key, rtype): one owner name, one zone in order, and one rrset are each a range of one index.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

# The newest revision under migrations/versions; the program refuses to work on any other (a test compares).
SCHEMA_VERSION = "0002"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TWO_64 = 1 << 64


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware instant as microseconds since 1970, UTC."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else from_microseconds(value)


class Unsigned64(sa.types.TypeDecorator[int]):
    """An unsigned 64-bit number in a signed column (two's complement), because neither database has unsigned integers."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> int | None:
        return value if value is None or value < _TWO_64 // 2 else value - _TWO_64

    def process_result_value(self, value: int | None, dialect: sa.Dialect) -> int | None:
        return value if value is None or value >= 0 else value + _TWO_64


class JsonText(sa.types.TypeDecorator[Any]):
    """JSON as text, keys in the order in which they were sent."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else to_json(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


def to_json(value: Any) -> str:
    """JSON as the store writes it: compact, order kept. YAML has dates, which become the text that stood in the file."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def to_microseconds(instant: datetime) -> int:
    """Exact microseconds since 1970 (a float would lose the last digits)."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_microseconds(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def now() -> datetime:
    """The wall clock, for records; intervals are measured elsewhere, on the monotonic clock."""
    return datetime.now(UTC)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in a column declared INTEGER; AUTOINCREMENT forbids it to hand out a number twice.
_Identity = sa.BigInteger().with_variant(sa.Integer, "sqlite")


lineages = sa.Table(
    "lineages",
    metadata,
    sa.Column("lineage", sa.Uuid, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

lineage_parents = sa.Table(
    "lineage_parents",
    metadata,
    sa.Column("lineage", sa.Uuid, sa.ForeignKey("lineages.lineage"), primary_key=True),
    sa.Column("parent", sa.Uuid, primary_key=True),  # no foreign key: a parent may be known only to a dataplane
)

head = sa.Table(
    "head",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("lineage", sa.Uuid, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("tag", Unsigned64, nullable=False),
    sa.Column("next_value_id", sa.BigInteger, nullable=False),
    sa.CheckConstraint("id = 1", name="one_row"),
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("lineage", sa.Uuid, nullable=False),
    sa.Column("tag", Unsigned64, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
)

zone_changes = sa.Table(
    "zone_changes",
    metadata,
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("apex", sa.LargeBinary, primary_key=True),
    sa.Column("op", sa.Text, nullable=False),
    sa.Column("before", JsonText),
    sa.Column("after", JsonText),
)

rrset_changes = sa.Table(
    "rrset_changes",
    metadata,
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("apex", sa.LargeBinary, primary_key=True),
    sa.Column("owner_key", sa.LargeBinary, primary_key=True),
    sa.Column("rtype", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.LargeBinary, nullable=False),
    sa.Column("before_ttl", sa.BigInteger),
    sa.Column("before_body", sa.LargeBinary),
    sa.Column("before_dynamic", sa.Text),
    sa.Column("before_octodns", sa.Text),
    sa.Column("after_ttl", sa.BigInteger),
    sa.Column("after_body", sa.LargeBinary),
    sa.Column("after_dynamic", sa.Text),
    sa.Column("after_octodns", sa.Text),
    sqlite_with_rowid=False,
)

list_changes = sa.Table(
    "list_changes",
    metadata,
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("before", sa.LargeBinary),
    sa.Column("after", sa.LargeBinary),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", _Identity, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger),
    sa.Column("detail", JsonText),
    sa.Index(None, "subject", "id"),
    sqlite_autoincrement=True,
)


zones = sa.Table(
    "zones",
    metadata,
    sa.Column("id", _Identity, primary_key=True),
    sa.Column("apex", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("zone_key", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("mname", sa.LargeBinary, nullable=False),
    sa.Column("rname", sa.LargeBinary, nullable=False),
    sa.Column("refresh", sa.BigInteger, nullable=False),
    sa.Column("retry", sa.BigInteger, nullable=False),
    sa.Column("expire", sa.BigInteger, nullable=False),
    sa.Column("minimum", sa.BigInteger, nullable=False),
    sa.Column("soa_ttl", sa.BigInteger, nullable=False),
    sa.Column("serial", sa.BigInteger, nullable=False),
    sa.Column("default_ttl", sa.BigInteger, nullable=False),
    sa.Column("mirrored", sa.Boolean, nullable=False),
    sa.Column("rrset_count", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)

tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("apex", sa.LargeBinary, primary_key=True),
    sa.Column("serial", sa.BigInteger, nullable=False),
    sa.Column("soa", JsonText, nullable=False),
    sa.Column("nameservers", JsonText, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
)

rrsets = sa.Table(
    "rrsets",
    metadata,
    sa.Column("zone_id", sa.BigInteger, sa.ForeignKey("zones.id"), primary_key=True, autoincrement=False),
    sa.Column("owner_key", sa.LargeBinary, primary_key=True),
    sa.Column("rtype", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.LargeBinary, nullable=False),
    sa.Column("ttl", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("steered", sa.Boolean, nullable=False),
    sa.Column("dynamic", sa.Text),  # JSON text, compared as text to see whether anything changed
    sa.Column("octodns", sa.Text),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index(
    "ix_rrsets_steered",
    rrsets.c.zone_id,
    rrsets.c.owner_key,
    rrsets.c.rtype,
    sqlite_where=sa.text("steered = 1"),
    postgresql_where=sa.text("steered"),
)

value_ids = sa.Table(
    "value_ids",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("zone_id", sa.BigInteger, sa.ForeignKey("zones.id"), nullable=False),
    sa.Column("owner_key", sa.LargeBinary, nullable=False),
    sa.Column("rtype", sa.Integer, nullable=False),
    sa.Column("pool", sa.Text, nullable=False),  # "" = the rrset's own values
    sa.Column("value", sa.Text, nullable=False),
    sa.UniqueConstraint("zone_id", "owner_key", "rtype", "pool", "value"),
)

lists = sa.Table(
    "lists",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("prefixes", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
)


check_states = sa.Table(
    "check_states",
    metadata,
    sa.Column("endpoint_id", sa.Text, primary_key=True),
    sa.Column("vantage", sa.Text, primary_key=True),
    sa.Column("vote", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("is_known", sa.Boolean, nullable=False),
    sa.Column("since", UtcTime),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("successes", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("latency_s", sa.Double),
    sa.Column("last_attempt", UtcTime),
    sa.Column("flaps", sa.Integer, nullable=False),
    sa.Column("is_released", sa.Boolean, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False, index=True),  # the database's clock, microseconds
)

check_reports = sa.Table(
    "check_reports",
    metadata,
    sa.Column("endpoint_id", sa.Text, primary_key=True),
    sa.Column("is_up", sa.Boolean, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),  # when it was said: the database's clock, microseconds
    sa.Column("updated", sa.BigInteger, nullable=False, index=True),  # when it was written, by the same clock
)

check_transitions = sa.Table(
    "check_transitions",
    metadata,
    sa.Column("id", _Identity, primary_key=True),
    sa.Column("endpoint_id", sa.Text, nullable=False),
    sa.Column("vantage", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("votes", JsonText),
    sa.Column("detail", JsonText),
    sa.UniqueConstraint("endpoint_id", "at", "vantage", "verdict"),
    sqlite_autoincrement=True,
)

vantages = sa.Table(
    "vantages",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("heartbeat", sa.BigInteger, nullable=False),  # the database's clock, microseconds
)

overrides = sa.Table(
    "overrides",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("state", sa.Text),  # NULL = cleared, kept so that the later of two writes wins when a spool is merged
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("set_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime),
)

switches = sa.Table(
    "switches",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("is_on", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("set_at", UtcTime, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", _Identity, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("detail", JsonText),
    sqlite_autoincrement=True,
)


tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("last_used_at", UtcTime),
    sa.Column("expires_at", UtcTime),
    sa.Column("revoked_at", UtcTime),
)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("generation", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
)
