"""Settings: read once, frozen, handed down. Flags stand over the environment, it over `geodns.toml`, that over the defaults.

Every setting has one dotted key (`dns.listen`), one environment variable (`GEODNS_DNS_LISTEN`) and one flag of `geodns serve`
(`--dns-listen`), derived from the fields below; `known_settings()` lists them for the CLI and for docs/settings.md. What is wrong is
reported all at once, each problem with its key, where the value came from, and the mend.

Deliberately not here: anything that looks at the machine beyond the working directory (`check_machine` does that for `serve` alone), and
unknown environment variables, which are left alone because Kubernetes makes variables such as GEODNS_API_PORT from a service's name.
"""

from __future__ import annotations

import difflib
import enum
import getpass
import hashlib
import ipaddress
import json
import os
import pwd
import re
import socket
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import dns.exception
import dns.name
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from geodns.errors import InvalidInput, Problem, StartupError
from geodns.model.check import Check
from geodns.model.sentinels import parse_sentinel

SETTINGS_FILE = "geodns.toml"
FILE_VARIABLE = "GEODNS_CONFIG"

MAX_WORKERS = 256
"""More workers than any machine has cores for; a slip of the keyboard must not open ten thousand sockets."""

MAX_NODE_NAME = 64
"""Bytes. The node's name is its NSID (RFC 5001), and the link carries at most 64."""


MAX_RATE = 100_000
"""Answers a second. The dataplane's bound: a limit beyond it protects nobody."""

MAX_DAYS = 36_500
"""A hundred years: for ever, as far as any database is concerned."""

MAX_SLIP = 100
"""The dataplane's bound: every hundredth is as good as never."""


class ZonesMode(enum.Enum):
    """`seed`: files fill zones that the store never had. `mirror`: files are the truth, followed live."""

    SEED = "seed"
    MIRROR = "mirror"


class Alone(enum.Enum):
    """What a node does with its own evidence while the database, and with it every other vantage, is away."""

    ACT = "act"
    FREEZE = "freeze"


class LogLevel(enum.Enum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.Enum):
    """Lines for people, or one JSON object a line."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An IP address and a port to bind; `str()` gives the form that `parse` takes."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ListenAddress:
        """`192.0.2.1:53` or `[2001:db8::1]:53`; raises ValueError with the mend."""
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})", text.strip())
        if match is None or int(match[3]) > 65535:
            raise ValueError(f"{text!r} is not an address and port; write 127.0.0.1:5300 or [::1]:5300")
        try:
            host = ipaddress.IPv6Address(match[1]) if match[1] else ipaddress.IPv4Address(match[2])
        except ValueError:
            raise ValueError(f"{text!r} has no valid IP address; write 127.0.0.1:5300 or [::1]:5300") from None
        return cls(str(host), int(match[3]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _parse_listen(value: object) -> object:
    return ListenAddress.parse(value) if isinstance(value, str) else value


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _absolute(value: object) -> object:
    return Path(value).expanduser().absolute() if isinstance(value, str | Path) and str(value) else value


def _parse_nameserver(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        name = dns.name.from_text(value, origin=dns.name.root)
    except (dns.exception.DNSException, UnicodeError):
        raise ValueError(f"{value!r} is not a host name; write ns1.example.net") from None
    return name.canonicalize().to_text()


def _parse_sentinel(value: object) -> object:
    if isinstance(value, str):
        parse_sentinel(value)
    return value


def _parse_network(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        interface = None
    if interface is None or "%" in value:
        raise ValueError(f"{value!r} is not a network; write 192.0.2.0/24 or 2001:db8::/32")
    if interface.ip != interface.network.network_address:
        raise ValueError(f"{value!r} has host bits; write {interface.network}")
    return str(interface.network)


def _parse_database_url(value: object) -> object:
    if isinstance(value, str) and not re.match(r"(sqlite:///|postgresql://)[^\s]+\Z", value):
        # The value itself stays out of the message: a misspelt PostgreSQL URL still holds a password.
        raise ValueError("not a database URL; write sqlite:///path/to/geodns.db or postgresql://user:password@host/database")
    return value


def _parse_token(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", value):
        raise ValueError("not a bearer token (RFC 6750 §2.1); use letters, digits and . _ ~ + / - only")
    return value


Listen = Annotated[ListenAddress, BeforeValidator(_parse_listen), PlainSerializer(str)]
CommaList = BeforeValidator(_split_commas)
AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
Sentinel = Annotated[str, BeforeValidator(_parse_sentinel)]
Nameserver = Annotated[str, BeforeValidator(_parse_nameserver)]
Networks = Annotated[tuple[Annotated[str, BeforeValidator(_parse_network)], ...], CommaList]


def _count_cores() -> int:
    """Cores that this process may run on, which in a container is fewer than the machine has."""
    return min(len(os.sched_getaffinity(0)), MAX_WORKERS)


def _find_zones_directory() -> Path | None:
    directory = Path("zones").absolute()
    return directory if directory.is_dir() else None


def _choose_log_format() -> LogFormat:
    return LogFormat.TEXT if sys.stderr.isatty() else LogFormat.JSON


def _read_host_name() -> str:
    return socket.gethostname()[:MAX_NODE_NAME] or "geodns"


class Section(BaseModel):
    """One table of `geodns.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True, validate_default=False)


class DnsSettings(Section):
    listen: Annotated[tuple[Listen, ...], CommaList] = Field(
        default=(ListenAddress("127.0.0.1", 5300),),
        min_length=1,
        description="Addresses and ports that answer DNS, each over UDP and TCP. `[::]` is IPv6 only.",
    )
    workers: int = Field(
        default_factory=_count_cores,
        ge=1,
        le=MAX_WORKERS,
        description="Threads that answer queries.",
        json_schema_extra={"shown": "one per core"},
    )
    allow: Networks = Field(default=(), description="Client networks that are answered; all when empty. Others are REFUSED.")
    deny: Networks = Field(default=(), description="Client networks that are REFUSED, whatever `dns.allow` says.")

    @model_validator(mode="after")
    def _check_listen(self) -> DnsSettings:
        if any(address.port == 0 for address in self.listen):
            raise ValueError("port 0 in listen would be a different port for every worker; name the port")
        if len(set(self.listen)) < len(self.listen):
            raise ValueError("an address stands twice in listen; remove one")
        return self


class RrlSettings(Section):
    rate: int = Field(
        default=0,
        ge=0,
        le=MAX_RATE,
        description="Replies a second over UDP to one client prefix; 0 = no limit. Neither TCP nor a valid server cookie is limited.",
    )
    slip: int = Field(
        default=2,
        ge=0,
        le=MAX_SLIP,
        description="Every so manieth limited reply is sent empty with TC, so that a real client asks again over TCP; 0 = none.",
    )
    ipv4_prefix: int = Field(default=24, ge=0, le=32, description="Length of the IPv4 prefixes that share a limit.")
    ipv6_prefix: int = Field(default=56, ge=0, le=128, description="Length of the IPv6 prefixes that share a limit.")
    allow: Networks = Field(default=(), description="Client networks that are never limited.")
    dry_run: bool = Field(
        default=False, description="Whether the limit is only counted (`geodns_dns_rate_limited_total`) and everything answered."
    )


class ApiSettings(Section):
    listen: Listen = Field(
        default=ListenAddress("127.0.0.1", 8053),
        description="Address and port of the REST API. Beyond loopback without TLS it warns at start.",
    )
    tls_certificate: AbsolutePath | None = Field(default=None, description="PEM file with the certificate chain; reloaded when it changes.")
    tls_key: AbsolutePath | None = Field(default=None, description="PEM file with the certificate's key; reloaded when it changes.")
    token: Annotated[SecretStr, BeforeValidator(_parse_token)] | None = Field(
        default=None,
        description="An admin token. Prefer the environment to the flag, which other users of the machine can read.",
        json_schema_extra={"shown": "made at first start, written 0600 in the state directory, printed once"},
    )

    @model_validator(mode="after")
    def _check_tls(self) -> ApiSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together; set both or neither")
        return self


class DatabaseSettings(Section):
    url: Annotated[str, BeforeValidator(_parse_database_url)] = Field(
        repr=False,
        description="Where zones are stored: `sqlite:///path` or `postgresql://user:password@host/database`.",
        json_schema_extra={"shown": "sqlite:///{state.directory}/geodns.db"},
    )
    migrate: bool = Field(
        default=True, description="Whether `serve` creates and migrates the schema; `geodns db upgrade` does it otherwise."
    )


class GeoSettings(Section):
    databases: Annotated[tuple[AbsolutePath, ...], CommaList] = Field(
        default=(), description="Location databases (.mmdb); the first that has a fact wins. Without one, geo rules never match."
    )


class ZonesSettings(Section):
    directory: AbsolutePath | None = Field(
        default_factory=_find_zones_directory,
        description="Directory of zone sources (`<zone>.yaml`, `<zone>.zone`).",
        json_schema_extra={"shown": "`zones` when it exists"},
    )
    mode: ZonesMode = Field(
        default=ZonesMode.SEED,
        description="`seed`: files fill zones that the store never had. `mirror`: files are the truth, followed live.",
    )
    nameservers: Annotated[tuple[Nameserver, ...], CommaList] = Field(
        default=(), description="NS records for zones that have none at their apex."
    )


class ProberSettings(Section):
    allow_loopback: bool = Field(default=False, description="Whether checks may connect to loopback addresses.")
    deny: Networks = Field(
        default=(), description="Networks that checks may not contact, beside those that are always guarded (docs/health.md section 1)."
    )

    @property
    def denied(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """`deny`, to be asked about addresses."""
        return tuple(ipaddress.ip_network(network) for network in self.deny)


class HealthSettings(Section):
    alone: Alone = Field(
        default=Alone.ACT, description="While the database is away: `act` on this node's own checks, or `freeze` all health changes."
    )
    sentinels: Annotated[tuple[Sentinel, ...], CommaList] = Field(
        default=(),
        description="Targets that stand for a working way out, two or more: `icmp://ADDRESS`, `tcp://ADDRESS:PORT`, `dns://ADDRESS/NAME`, "
        "`https://HOST/`. When all are silent, silence of others is not believed.",
    )
    brake_record: float = Field(
        default=1.0, gt=0, le=1, description="Share of a record's checked values that one vantage alone may take out; 1 = no brake."
    )
    brake_total: float = Field(
        default=1.0, gt=0, le=1, description="Share of all checked values that one vantage alone may take out; 1 = no brake."
    )

    @property
    def sentinel_checks(self) -> list[Check]:
        """`sentinels`, as checks."""
        return [parse_sentinel(text) for text in self.sentinels]

    @model_validator(mode="after")
    def _check_sentinels(self) -> HealthSettings:
        if len(set(self.sentinels)) == 1:
            raise ValueError("a single entry in sentinels may be down itself; name two or more")
        return self


class RetentionSettings(Section):
    health_days: int = Field(
        default=90,
        ge=1,
        le=MAX_DAYS,
        description="Days for which transitions of verdicts and events are kept: last night's story, last month's.",
    )
    audit_days: int = Field(
        default=400,
        ge=1,
        le=MAX_DAYS,
        description="Days for which the audit trail, and what each revision changed, are kept: a year and the time to look into it.",
    )


class StateSettings(Section):
    directory: AbsolutePath = Field(
        default_factory=lambda: Path("var").absolute(),
        description="Directory of the dataplane's state, the lock, the sockets and the token file.",
        json_schema_extra={"shown": "var"},
    )


class NodeSettings(Section):
    name: str = Field(
        default_factory=_read_host_name,
        min_length=1,
        description="This node's name: its vantage in votes and its NSID.",
        json_schema_extra={"shown": "the host's name"},
    )

    @model_validator(mode="after")
    def _check_name(self) -> NodeSettings:
        if len(self.name.encode()) > MAX_NODE_NAME or not self.name.isprintable():
            raise ValueError(f"name is longer than {MAX_NODE_NAME} bytes or not printable; shorten it")
        return self


class LogSettings(Section):
    level: LogLevel = Field(default=LogLevel.INFO, description="The least severe line written: `debug`, `info`, `warning` or `error`.")
    format: LogFormat = Field(
        default_factory=_choose_log_format,
        description="`text` for people, `json` for one object a line; on standard error.",
        json_schema_extra={"shown": "text on a terminal, else json"},
    )


class MetricsSettings(Section):
    listen: Listen | None = Field(
        default=None, description="Address and port for /metrics alone; without it the API's listener serves them."
    )


class Settings(BaseSettings):
    """All settings of a node; attributes follow the dotted keys."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    dns: DnsSettings = Field(default_factory=DnsSettings)
    rrl: RrlSettings = Field(default_factory=RrlSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    database: DatabaseSettings
    geo: GeoSettings = Field(default_factory=GeoSettings)
    zones: ZonesSettings = Field(default_factory=ZonesSettings)
    prober: ProberSettings = Field(default_factory=ProberSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    state: StateSettings = Field(default_factory=StateSettings)
    node: NodeSettings = Field(default_factory=NodeSettings)
    user: str | None = Field(
        default=None,
        min_length=1,
        description="User to become after binding, when started as root; the dataplane then keeps CAP_NET_BIND_SERVICE alone.",
    )
    log: LogSettings = Field(default_factory=LogSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)

    @model_validator(mode="before")
    @classmethod
    def _place_database(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The default database lies in the state directory, wherever that is."""
        database = values.get("database", {})
        state = values.get("state", {})
        if not isinstance(database, Mapping) or "url" in database:
            return values
        directory = state.get("directory", "var") if isinstance(state, Mapping) else "var"
        path = Path(str(directory)).expanduser().absolute() / "geodns.db"
        return {**values, "database": {**database, "url": f"sqlite:///{path}"}}

    @classmethod
    def load(
        cls, flags: Mapping[str, object] | None = None, *, environ: Mapping[str, str] | None = None, file: Path | None = None
    ) -> Settings:
        """Read every source once.

        `flags` maps dotted keys to values; None values count as not given. `file` None means $GEODNS_CONFIG, else `geodns.toml` in the
        working directory when there is one; a file that is named must exist. Raises InvalidInput with all problems.
        """
        environ = os.environ if environ is None else environ
        flags_given = {key: value for key, value in (flags or {}).items() if value is not None}
        variables = _read_environment(environ)
        path, contents = _read_file(file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None))
        origins = _Origins(flags_given, variables, path, contents)
        sources: tuple[PydanticBaseSettingsSource, ...] = (
            InitSettingsSource(cls, _nest(flags_given)),
            InitSettingsSource(cls, _nest(variables)),
            InitSettingsSource(cls, contents),
        )
        try:
            # `_build_sources` is how pydantic-settings takes sources that were made outside; its type is not visible to mypy.
            return cast("Settings", cast(Any, cls)(_build_sources=(sources, {})))
        except ValidationError as error:
            problems = [origins.explain(detail) for detail in _without_echoes(error.errors(include_url=False))]
            raise InvalidInput(problems, _summarise(problems), hint="see docs/settings.md, or `geodns serve --help`") from None

    @property
    def token_file(self) -> Path:
        """Where the admin token made at first start is kept (0600)."""
        return self.state.directory / "token"

    @property
    def start_digest(self) -> bytes:
        """SHA-256 of what a running dataplane cannot change: control replaces one whose HELLO has another."""
        start = {
            "listen": sorted(str(address) for address in self.dns.listen),
            "workers": self.dns.workers,
            "user": self.user,
            "state": str(self.state.directory),
        }
        return hashlib.sha256(json.dumps(start, sort_keys=True, separators=(",", ":")).encode()).digest()

    def check_machine(self) -> None:
        """What only the machine can say, judged before anything starts; raises StartupError with one sentence."""
        directory = self.zones.directory
        if directory is not None and not directory.is_dir():
            raise StartupError(f"zones.directory: {directory} is not a directory", hint="create it, or name another one")
        for key, path in (("api.tls_certificate", self.api.tls_certificate), ("api.tls_key", self.api.tls_key)):
            if path is not None and not os.access(path, os.R_OK):
                raise StartupError(f"{key}: {path} cannot be read", hint="check the path and the file's owner and mode")
        if self.user is not None:
            self._check_user(self.user)

    def _check_user(self, user: str) -> None:
        try:
            account = pwd.getpwnam(user)
        except KeyError:
            raise StartupError(f"user: there is no user {user!r}", hint="create the account, or name another one") from None
        if os.geteuid() not in (0, account.pw_uid):
            raise StartupError(
                f"user: only root can become {user!r}, and this is {getpass.getuser()!r}", hint="leave out the setting `user`"
            )


@dataclass(frozen=True, slots=True)
class KnownSetting:
    """One setting as the operator meets it; `default` is text for people."""

    key: str
    environment: str
    flag: str
    default: str
    description: str
    is_list: bool


def known_settings() -> Iterator[KnownSetting]:
    """Every setting, in the order of the contract."""
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            for key, inner in section.model_fields.items():
                yield _describe(f"{name}.{key}", inner)
        else:
            yield _describe(name, field)


def _describe(key: str, field: FieldInfo) -> KnownSetting:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    is_list = isinstance(field.default, tuple)
    return KnownSetting(
        key=key,
        environment=environment_name(key),
        flag="--" + re.sub(r"[._]", "-", key),
        default=str(extra.get("shown") or _show_default(field.default)),
        description=field.description or "",
        is_list=is_list,
    )


def _show_default(default: object) -> str:
    match default:
        case None | ():
            return "none"
        case tuple():
            return ",".join(str(item) for item in default)
        case enum.Enum():
            return str(default.value)
        case bool():
            return str(default).lower()
        case _:
            return str(default)


def environment_name(key: str) -> str:
    """`dns.listen` → `GEODNS_DNS_LISTEN`."""
    return "GEODNS_" + key.replace(".", "_").upper()


def _read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Dotted key → text. An empty variable counts as not set, which is what compose files make of an unset one."""
    return {setting.key: environ[setting.environment] for setting in known_settings() if environ.get(setting.environment)}


def _read_file(path: Path | None) -> tuple[Path, dict[str, Any]]:
    chosen = path or Path(SETTINGS_FILE)
    try:
        return chosen, tomllib.loads(chosen.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path is None:
            return chosen, {}
        raise InvalidInput([Problem("", "no-file", f"{path} does not exist")], f"the settings file {path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = Problem("", "bad-toml", f"not valid TOML: {error}", source=str(chosen))
        raise InvalidInput([problem], str(problem), hint="strings need quotation marks, sections stand in [brackets]") from None
    except OSError as error:
        raise InvalidInput(
            [Problem("", "unreadable", f"{chosen}: {error.strerror}")], f"{chosen} cannot be read: {error.strerror}"
        ) from None


def _nest(flat: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        section, _, name = key.partition(".")
        if name:
            nested.setdefault(section, {})[name] = value
        else:
            nested[section] = value
    return nested


@dataclass(frozen=True, slots=True)
class _Origins:
    """Where each value came from, to be named when it is wrong."""

    flags: Mapping[str, object]
    variables: Mapping[str, str]
    path: Path
    contents: Mapping[str, Any]

    def explain(self, detail: ErrorDetails) -> Problem:
        parts = [str(part) for part in detail["loc"]]
        key = ".".join(parts[:2]) if parts else ""
        code = "unknown-key" if detail["type"] == "extra_forbidden" else "bad-value"
        if code == "unknown-key":
            message = f"{key} is not a setting" + self._suggest(key)
        else:
            message = f"{key}: {_mend(detail)}" if key else _mend(detail)
        return Problem("/" + "/".join(parts), code, message, source=self.find(self._key_at_fault(key, message)))

    def _key_at_fault(self, key: str, message: str) -> str:
        """A section's own problem is laid to the first given key of those that its sentence names."""
        named = [known for known in _keys() if known.startswith(key + ".") and known.removeprefix(key + ".") in message.split()]
        return next((known for known in named if self.find(known) != "default"), key)

    def find(self, key: str) -> str:
        """The source that wins for a key, in the operator's words; a section's own problem is laid to its first given key."""
        given = next((known for known in (*self.flags, *self.variables) if known == key or known.startswith(key + ".")), key)
        if given in self.flags:
            return "flag --" + re.sub(r"[._]", "-", given)
        if given in self.variables:
            return f"environment variable {environment_name(given)}"
        section, _, name = key.partition(".")
        table = self.contents.get(section)
        if section in self.contents and (not name or (isinstance(table, Mapping) and name in table)):
            return str(self.path)
        return "default"

    @staticmethod
    def _suggest(key: str) -> str:
        known = _keys()
        near = difflib.get_close_matches(key, known + sorted({text.partition(".")[0] for text in known}), n=1)
        return f"; did you mean {near[0]}?" if near else "; remove it, or see docs/settings.md"


def _keys() -> list[str]:
    return [setting.key for setting in known_settings()]


def _without_echoes(details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Without what only follows from another problem: a list whose every item is wrong is also reported as too short."""
    places = [detail["loc"] for detail in details]
    for detail in details:
        inside = (place for place in places if len(place) > len(detail["loc"]) and place[: len(detail["loc"])] == detail["loc"])
        if detail["type"] != "too_short" or next(inside, None) is None:
            yield detail


def _mend(detail: ErrorDetails) -> str:
    """pydantic's message without its preamble; it already names what is allowed."""
    message = detail["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _summarise(problems: list[Problem]) -> str:
    first = f"{problems[0].source}: {problems[0].message}"
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"
