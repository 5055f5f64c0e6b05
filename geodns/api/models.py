"""What goes in and out of the REST API, as pydantic models; the OpenAPI document is made of them.

Records are the exception: what may stand in one is octoDNS's to say and judged by `geodns.model` with every problem at once, so that the
models here only describe a record's shape and let all JSON through.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel, SerializerFunctionWrapHandler, model_serializer

from geodns.api.auth import Role

MAX_CHANGES = 10_000
"""Changes in one changeset; a megabyte of JSON holds about as many."""

MAX_PREFIXES = 1_000_000
"""Prefixes of one CIDR list, which is what the dataplane is built for."""

MAX_ASSUMPTIONS = 1000
"""Of one simulation: more than an installation has sites and pools that go away together."""

MAX_POPULATION = 20_000
"""Prefixes of one simulation; a megabyte of JSON holds hardly more."""

MAX_TARGET = 1024
"""Characters: a name, a type and a pool."""

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

MAX_REASON = 1000

Ttl = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""RFC 2181 §8: 31 bits."""

Seconds = Annotated[int, Field(ge=0, le=2**31 - 1)]
Serial = Annotated[int, Field(ge=0, le=2**32 - 1)]
Reason = Annotated[str, Field(max_length=MAX_REASON)]


class Model(BaseModel):
    """What we send: every key is always there."""

    model_config = ConfigDict(frozen=True)


class Input(BaseModel):
    """What we are sent: an unknown key is an error, because it is a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


ItemT = TypeVar("ItemT")


class Page(Model, Generic[ItemT]):
    """Part of a list. `next` goes into `cursor` for the next part; null says that this was the last."""

    items: list[ItemT]
    next: str | None


class PageQuery(Input):
    """The part of a list that is wanted."""

    cursor: str | None = Field(default=None, max_length=2048, description="`next` of the part before")
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


# ---- errors ----


class ValidationProblem(Model):
    """One thing wrong with the input."""

    pointer: str = Field(description="RFC 6901 pointer into the body; `/query/…` for a query parameter")
    code: str
    message: str
    severity: Literal["error", "warning"]
    source: str | None = Field(default=None, description="file and line, for imports")


class ProblemDetails(Model):
    """RFC 9457 problem details."""

    type: str = Field(description="a stable URN")
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    hint: str | None = None
    errors: list[ValidationProblem] = Field(default_factory=list, description="every problem of the input, warnings included")
    errors_left_out: int = 0


# ---- zones ----


class SoaFields(Input):
    """Parts of a SOA; what is left out keeps its value, or at creation its default."""

    mname: str | None = Field(default=None, description="primary name server")
    rname: str | None = Field(default=None, description="mailbox of the responsible person, as a name or with an @")
    refresh: Seconds | None = None
    retry: Seconds | None = None
    expire: Seconds | None = None
    minimum: Seconds | None = Field(default=None, description="negative ttl, RFC 2308")
    ttl: Ttl | None = None


class ZoneInput(Input):
    """A new zone."""

    name: str = Field(description="with or without a final dot; the root zone is @")
    default_ttl: Ttl = 3600
    soa: SoaFields = SoaFields()
    nameservers: list[str] = Field(
        default_factory=list, max_length=32, description="NS records at the apex; without any, the setting zones.nameservers"
    )


class ZonePatch(Input):
    """Changes to a zone (RFC 7396): what is absent stays."""

    default_ttl: Ttl | None = None
    serial: Serial | None = Field(default=None, description="the next serial; counting goes on from it")
    soa: SoaFields = SoaFields()


class Soa(Model):
    """A zone's SOA."""

    mname: str
    rname: str
    serial: int
    refresh: int
    retry: int
    expire: int
    minimum: int
    ttl: int


class Zone(Model):
    """A zone."""

    name: str
    default_ttl: int
    soa: Soa
    mirrored: bool = Field(description="its truth is a file, and writes through the API answer 409")
    rrsets: int
    revision: int = Field(description="of the last change of anything in it")
    changed_at: datetime


class Written(Model):
    """What became of a write."""

    revision: int = Field(description="that the change took; without a change the store's present one")
    serial: int | None = Field(default=None, description="the zone's, where one was touched")
    changed: bool = Field(description="false when what was sent is what was stored")
    applied: bool = Field(description="false: committed, and not yet served by this node")
    warnings: list[ValidationProblem] = Field(default_factory=list)


# ---- records ----

RECORD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "description": "optional where the URL or the change names it"},
        "ttl": {"type": "integer", "minimum": 0, "description": "the zone's default when absent"},
        "value": {"description": "for types with one value, or a single value"},
        "values": {"type": "array", "items": {}},
        "dynamic": {"type": "object", "description": "octoDNS pools and rules"},
        "octodns": {"type": "object", "description": "healthcheck, and geodns' own block"},
    },
}


class RecordInput(RootModel[dict[str, Any]]):
    """A record in octoDNS's form."""

    model_config = ConfigDict(frozen=True, json_schema_extra=RECORD_SCHEMA)


class Record(Model):
    """A record in octoDNS's form, exactly as it was sent, with its name and the revision of its last change."""

    name: str
    type: str
    ttl: int
    value: Any = None
    values: list[Any] | None = None
    dynamic: dict[str, Any] | None = None
    octodns: dict[str, Any] | None = None
    revision: int

    @model_serializer(mode="wrap")
    def _leave_out_absent(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`value` or `values`, and no `dynamic: null` that octoDNS would not take back."""
        return {key: value for key, value in serialize(self).items() if key in self.model_fields_set}


class RecordsQuery(PageQuery):
    """Which records."""

    name: str | None = Field(default=None, description="one owner name")
    type: str | None = Field(default=None, description="one type")


class Operation(enum.Enum):
    """What a change does; `upsert` replaces the whole rrset."""

    UPSERT = "upsert"
    DELETE = "delete"


class Change(Input):
    """One rrset of a changeset."""

    op: Operation
    name: str
    type: str | None = Field(default=None, description="optional where the record names it")
    record: RecordInput | None = Field(default=None, description="for upsert")


class Changeset(Input):
    """Changes that happen together or not at all, judged by their end state."""

    changes: list[Change] = Field(max_length=MAX_CHANGES)
    dry_run: bool = False


class ChangesetWritten(Written):
    """What became of a changeset."""

    dry_run: bool = False
    upserted: int = Field(description="rrsets that were made or changed")
    deleted: int


# ---- whole zones ----


class Format(enum.Enum):
    """How a whole zone is written."""

    YAML = "yaml"
    ZONE = "zone"


class ExportQuery(Input):
    """Which form."""

    format: Format = Format.YAML


class ImportHead(Input):
    """The first of the JSON lines that `geodns apply` sends; a record a line follows."""

    soa: SoaFields | None = None
    serial: Serial | None = None
    default_ttl: Ttl = 3600
    master: bool = Field(default=False, description="the zone was a master file, which cannot say how records are steered")


class ImportQuery(Input):
    """How the body is written, and what to do with it."""

    format: Format | None = Field(default=None, description="otherwise by Content-Type: text/dns or application/yaml")
    force: bool = Field(default=False, description="release the brake on removing much of a zone")
    dry_run: bool = False


# ---- health ----


class EndpointsQuery(PageQuery):
    """Which endpoints."""

    state: Literal["up", "down"] | None = None
    zone: str | None = Field(default=None, description="that has at least one of the values")


class VerdictView(enum.Enum):
    """What is believed of a check."""

    UP = "up"
    DOWN = "down"


class VoteView(enum.Enum):
    """What one vantage says; `withheld`: it sees silence and suspects itself."""

    UP = "up"
    DOWN = "down"
    WITHHELD = "withheld"


class CheckView(Model):
    """What is checked, and how often; bodies and headers are not shown."""

    protocol: str
    target: str
    port: int | None
    path: str | None
    host: str | None
    interval_s: float
    timeout_s: float
    fall: int
    rise: int


class CheckedValue(Model):
    """A value that this check decides."""

    zone: str
    record: str = Field(description="owner name without final dot")
    type: str
    pool: str
    value: str


class Endpoint(Model):
    """One check and what it found, as this node sees it. An unknown one counts as up until it has failed."""

    id: str
    verdict: VerdictView
    known: bool
    since: datetime | None = Field(description="of the last transition")
    cause: str
    evidence: str = Field(description="ok, answered badly, silent or no evidence")
    successes: int = Field(description="in a row")
    failures: int = Field(description="in a row")
    latency_ms: float | None = Field(description="smoothed")
    last_attempt: datetime | None
    hold_down_left_s: float
    awaits_operator: bool = Field(description="manual_return is set: an override to up brings it back")
    weight_factor: float = Field(description="below 1 while slow_start ramps the weight up")
    sentinel: bool
    held_back: str | None = Field(description="why a brake keeps it in service although it is seen down")
    votes: dict[str, VoteView] = Field(description="by vantage")
    votes_needed: int = Field(description="to see it down")
    check: CheckView
    values: list[CheckedValue]


class TransitionView(Model):
    """A verdict that changed."""

    at: datetime
    vantage: str
    previous: VerdictView
    verdict: VerdictView
    cause: str
    votes: Any = Field(description="who had voted how")
    detail: Any = Field(description="the values it concerned, and the answers that it changed")


class Report(Input):
    """What an endpoint, or a script beside it, says of itself."""

    state: VerdictView
    cause: str = Field(default="", max_length=200)


class EventsQuery(PageQuery):
    """Which events."""

    kind: str | None = Field(default=None, max_length=100)


class Event(Model):
    """Something that happened, newest first; with `Accept: text/event-stream` as it happens."""

    id: int
    at: datetime
    node: str
    kind: str
    subject: str
    detail: Any


class OverrideState(enum.Enum):
    """The operator's word."""

    UP = "up"
    DOWN = "down"
    DRAIN = "drain"


class OverrideInput(Input):
    """The operator's word over health."""

    state: OverrideState
    reason: Reason = ""
    expires_at: AwareDatetime | None = None


class Override(Model):
    """An override in force."""

    kind: str
    target: str
    state: OverrideState
    reason: str
    author: str
    set_at: datetime
    expires_at: datetime | None


class FreezeInput(Input):
    """Stop all changes by health, or let them go on."""

    frozen: bool
    reason: Reason = ""


class Freeze(Model):
    """Whether changes by health are stopped, and why."""

    frozen: bool
    reason: str | None


# ---- lists ----


class ListInput(Input):
    """The prefixes of a CIDR list."""

    prefixes: list[str] = Field(max_length=MAX_PREFIXES)


class NewListInput(ListInput):
    """A new CIDR list."""

    name: str = Field(min_length=1, max_length=255)


class ListSummary(Model):
    """A CIDR list without its prefixes."""

    name: str
    size: int
    revision: int
    changed_at: datetime


class CidrList(ListSummary):
    """A CIDR list."""

    prefixes: list[str]


# ---- the rest ----


class ExplainQuery(Input):
    """A question, and who asks it."""

    name: str
    type: str = "A"
    client: str | None = Field(default=None, description="ADDR is a sender, ADDR/LEN a client subnet; without it the sender is 127.0.0.1")


class AssumedState(enum.Enum):
    """What is assumed: an override's word, or with `fail` that the checks find it down."""

    UP = "up"
    DOWN = "down"
    DRAIN = "drain"
    FAIL = "fail"


class AssumptionInput(Input):
    """Something assumed of a target, which is written as an override's: `site/fra1`, `pool/www.example.com/A/eu`."""

    target: str = Field(max_length=MAX_TARGET)
    state: AssumedState


class PrefixWeight(Input):
    """Clients, and how much they count."""

    prefix: str = Field(max_length=64)
    weight: float = Field(default=1.0, ge=0, le=1e15, allow_inf_nan=False)


class SimulationInput(Input):
    """What if (docs/simulate.md)."""

    name: str | None = Field(
        default=None, max_length=1024, description="owner name of a record; without it, every steered record that is assumed something of"
    )
    type: str | None = Field(default=None, max_length=32, description="the record's type; without it, every steered type at the name")
    record: RecordInput | None = Field(default=None, description="stands at the name afterwards")
    assume: list[AssumptionInput] = Field(default_factory=list, max_length=MAX_ASSUMPTIONS)
    population: list[PrefixWeight] | None = Field(
        default=None, min_length=1, max_length=MAX_POPULATION, description="without it, all networks of the location databases by size"
    )
    ipv6_share: float = Field(default=0.5, ge=0, le=1, description="of all clients, where the location databases are the population")
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="of whatever is drawn; without it, another one each time")


class Document(RootModel[dict[str, Any]]):
    """A JSON object whose keys a page of its own describes."""


class AuditQuery(PageQuery):
    """Which entries."""

    subject: str | None = Field(
        default=None, max_length=1024, description="what it was about: a zone's name, `token/…`, `override/…`, `list/…`"
    )


class AuditEntry(Model):
    """Who did what, newest first."""

    id: int
    at: datetime
    actor: str
    source: str = Field(description="api, cli, seed, mirror or system")
    address: str | None
    request_id: str | None
    action: str
    subject: str
    revision: int | None
    detail: Any


class RecordChange(Model):
    """What a revision did to a record; both sides as a PUT takes them."""

    zone: str
    name: str
    type: str
    before: dict[str, Any] | None = Field(description="null = it was made")
    after: dict[str, Any] | None = Field(description="null = it was removed")


class TokenInput(Input):
    """A new token."""

    name: str = Field(min_length=1, max_length=100, description="whose it is; the audit trail shows it")
    role: Role
    expires_at: AwareDatetime | None = None


class Token(Model):
    """A token without its secret."""

    id: str
    name: str
    role: Role
    created_at: datetime
    created_by: str
    last_used_at: datetime | None = Field(description="to about ten minutes")
    expires_at: datetime | None
    revoked_at: datetime | None


class NewToken(Token):
    """A token with its secret, which is shown this once."""

    token: str


class Deleted(Model):
    """Something that is gone."""

    deleted: str


class Health(Model):
    """Whether the process is alive, or the node ready."""

    status: str
    reason: str = ""
