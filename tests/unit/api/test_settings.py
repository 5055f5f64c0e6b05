"""Settings: four sources, one frozen value, and problems that say key, origin and mend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from geodns.errors import InvalidInput, StartupError
from geodns.settings import Alone, ListenAddress, LogFormat, Settings, ZonesMode, known_settings

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(flags: Mapping[str, object] | None = None, toml: str | None = None, **environ: str) -> Settings:
    if toml is not None:
        Path("geodns.toml").write_text(toml, encoding="utf-8")
    return Settings.load(flags, environ=environ)


def load_from(environ: Mapping[str, str]) -> Settings:
    return Settings.load(environ=environ)


def problems(flags: Mapping[str, object] | None = None, toml: str | None = None, **environ: str) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        load(flags, toml, **environ)
    return [str(problem) for problem in refused.value.problems]


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = load()
    assert settings.dns.listen == (ListenAddress("127.0.0.1", 5300),)
    assert settings.dns.workers >= 1
    assert settings.api.listen == ListenAddress("127.0.0.1", 8053)
    assert (settings.api.tls_certificate, settings.api.tls_key, settings.api.token) == (None, None, None)
    assert settings.database.url == f"sqlite:///{tmp_path}/var/geodns.db"
    assert settings.database.migrate is True
    assert settings.geo.databases == ()
    assert (settings.zones.directory, settings.zones.mode, settings.zones.nameservers) == (None, ZonesMode.SEED, ())
    assert settings.prober.allow_loopback is False
    assert settings.health.alone is Alone.ACT
    assert settings.state.directory == tmp_path / "var"
    assert settings.node.name
    assert settings.user is None
    assert settings.log.level.value == "info"
    assert settings.log.format is LogFormat.JSON
    assert settings.metrics.listen is None


def test_flags_stand_over_environment_over_file_over_defaults() -> None:
    toml = '[dns]\nworkers = 2\nlisten = ["127.0.0.1:1001"]\n[node]\nname = "file"\n[zones]\nmode = "mirror"\n'
    settings = load({"dns.workers": 4, "dns.listen": None}, toml, GEODNS_DNS_WORKERS="3", GEODNS_NODE_NAME="environment")
    assert settings.dns.workers == 4
    assert settings.node.name == "environment"
    assert settings.dns.listen == (ListenAddress("127.0.0.1", 1001),)
    assert settings.zones.mode is ZonesMode.MIRROR
    assert settings.api.listen.port == 8053


def test_zones_directory_is_found_when_it_exists(tmp_path: Path) -> None:
    (tmp_path / "zones").mkdir()
    assert load().zones.directory == tmp_path / "zones"


def test_the_database_follows_the_state_directory() -> None:
    assert load(GEODNS_STATE_DIRECTORY="/srv/geodns").database.url == "sqlite:////srv/geodns/geodns.db"
    assert load({"state.directory": Path("/srv/flag")}, "[database]\nmigrate = false\n").database.url == "sqlite:////srv/flag/geodns.db"


def test_lists_are_split_at_commas_and_replaced_not_merged() -> None:
    settings = load(
        None, '[geo]\ndatabases = ["/a.mmdb"]\n', GEODNS_GEO_DATABASES="/b.mmdb, /c.mmdb", GEODNS_ZONES_NAMESERVERS="NS1.example.net"
    )
    assert settings.geo.databases == (Path("/b.mmdb"), Path("/c.mmdb"))
    assert settings.zones.nameservers == ("ns1.example.net.",)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:53", ListenAddress("0.0.0.0", 53)),
        ("[::]:53", ListenAddress("::", 53)),
        ("[2001:db8:0:0::1]:853", ListenAddress("2001:db8::1", 853)),
    ],
)
def test_listen_addresses_read_and_print(text: str, address: ListenAddress) -> None:
    assert ListenAddress.parse(text) == address
    assert ListenAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "53", "127.0.0.1", "::1:53", "[::1]", "localhost:53", "127.0.0.1:65536", "1.2.3.4.5:53", "[127.0.0.1]:53", "127.0.0.1:-1"]
)
def test_other_listen_addresses_are_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 127\.0\.0\.1:5300 or \[::1\]:5300"):
        ListenAddress.parse(text)


@pytest.mark.parametrize(
    ("flags", "toml", "environ", "expected"),
    [
        ({"api.listen": "x"}, None, {}, "flag --api-listen /api/listen: api.listen: 'x' is not an address"),
        (
            {},
            None,
            {"GEODNS_DNS_LISTEN": "127.0.0.1:53,x"},
            "environment variable GEODNS_DNS_LISTEN /dns/listen/1: dns.listen: 'x' is not an address",
        ),
        ({}, "[dns]\nworkers = 0\n", {}, "geodns.toml /dns/workers: dns.workers: input should be greater than or equal to 1"),
        ({}, "[dns]\nworkerz = 2\n", {}, "geodns.toml /dns/workerz: dns.workerz is not a setting; did you mean dns.workers?"),
        ({}, "[dsn]\nworkers = 2\n", {}, "geodns.toml /dsn: dsn is not a setting; did you mean dns?"),
        ({}, "dns = 5\n", {}, "geodns.toml /dns: dns: input should be a valid dictionary"),
        ({}, "database = 5\n", {}, "geodns.toml /database: database: input should be a valid dictionary"),
        ({}, None, {"GEODNS_DNS_LISTEN": "127.0.0.1:0"}, "environment variable GEODNS_DNS_LISTEN /dns: dns: port 0"),
        ({}, None, {"GEODNS_DNS_LISTEN": "127.0.0.1:53,127.0.0.1:53"}, "an address stands twice"),
        (
            {},
            None,
            {"GEODNS_API_TLS_KEY": "/k.pem"},
            "environment variable GEODNS_API_TLS_KEY /api: api: tls_certificate and tls_key belong together",
        ),
        (
            {},
            None,
            {"GEODNS_DNS_DENY": "192.0.2.1/24"},
            "environment variable GEODNS_DNS_DENY /dns/deny/0: dns.deny: '192.0.2.1/24' has host bits; write 192.0.2.0/24",
        ),
        ({}, '[rrl]\nallow = ["fe80::%eth0/64"]\n', {}, "geodns.toml /rrl/allow/0: rrl.allow: 'fe80::%eth0/64' is not a network"),
        ({"rrl.rate": 100_001}, None, {}, "flag --rrl-rate /rrl/rate: rrl.rate: input should be less than or equal to 100000"),
        ({"rrl.slip": -1}, None, {}, "flag --rrl-slip /rrl/slip: rrl.slip: input should be greater than or equal to 0"),
        ({}, None, {"GEODNS_API_TOKEN": "two words"}, "environment variable GEODNS_API_TOKEN /api/token: api.token: not a bearer token"),
        ({}, None, {"GEODNS_ZONES_MODE": "follow"}, "input should be 'seed' or 'mirror'"),
        ({}, None, {"GEODNS_ZONES_NAMESERVERS": "a..b"}, "'a..b' is not a host name"),
        ({}, None, {"GEODNS_NODE_NAME": "n" * 65}, "longer than 64 bytes"),
        ({}, None, {"GEODNS_DATABASE_MIGRATE": "perhaps"}, "database.migrate: input should be a valid boolean"),
        ({}, "[dns\n", {}, "geodns.toml: not valid TOML"),
    ],
)
def test_a_bad_setting_is_named_with_its_origin_and_mend(
    flags: Mapping[str, object], toml: str | None, environ: dict[str, str], expected: str
) -> None:
    assert expected in "\n".join(problems(flags, toml, **environ))


def test_one_mistake_is_one_problem_laid_to_the_setting_that_holds_it() -> None:
    assert len(problems(GEODNS_DNS_LISTEN="localhost:53")) == 1, "not also that no address is left"
    (found,) = problems(GEODNS_API_LISTEN="127.0.0.1:8053", GEODNS_API_TLS_CERTIFICATE="/c.pem")
    assert found.startswith("environment variable GEODNS_API_TLS_CERTIFICATE")
    (found,) = problems(GEODNS_DNS_LISTEN="127.0.0.1:0", GEODNS_DNS_WORKERS="2")
    assert found.startswith("environment variable GEODNS_DNS_LISTEN")


def test_all_problems_are_reported_at_once() -> None:
    found = problems({"dns.workers": "x"}, "[geo]\nfoo = 1\n", GEODNS_API_LISTEN="y", GEODNS_ZONES_MODE="z")
    assert len(found) == 4


def test_a_bad_database_url_does_not_show_its_password() -> None:
    assert "secret" not in "\n".join(problems(None, None, GEODNS_DATABASE_URL="mysql://geodns:secret@db/geodns"))


def test_secrets_are_not_printed() -> None:
    shown = repr(load_from({"GEODNS_API_TOKEN": "secret-token", "GEODNS_DATABASE_URL": "postgresql://geodns:secret-password@db/geodns"}))
    assert "secret-" not in shown


def test_an_empty_variable_and_a_stranger_are_ignored() -> None:
    settings = load(GEODNS_API_TOKEN="", GEODNS_API_PORT="tcp://192.0.2.1:8053")
    assert settings.api.token is None


def test_a_settings_file_that_is_named_must_exist() -> None:
    with pytest.raises(InvalidInput, match=r"elsewhere\.toml does not exist"):
        Settings.load(environ={"GEODNS_CONFIG": "elsewhere.toml"})


def test_settings_are_frozen() -> None:
    settings = load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.dns.workers = 3


def test_the_start_digest_follows_what_a_running_dataplane_cannot_change() -> None:
    base = load(GEODNS_DNS_WORKERS="2", GEODNS_DNS_LISTEN="127.0.0.1:53,[::1]:53")
    same = load(
        GEODNS_DNS_WORKERS="2", GEODNS_DNS_LISTEN="[::1]:53,127.0.0.1:53", GEODNS_LOG_LEVEL="debug", GEODNS_API_LISTEN="127.0.0.1:1"
    )
    assert len(base.start_digest) == 32
    assert base.start_digest == same.start_digest
    for changed in ({"GEODNS_DNS_WORKERS": "3"}, {"GEODNS_USER": "nobody"}, {"GEODNS_DNS_LISTEN": "127.0.0.1:54"}):
        variables = {"GEODNS_DNS_WORKERS": "2", "GEODNS_DNS_LISTEN": "127.0.0.1:53,[::1]:53"} | changed
        assert load_from(variables).start_digest != base.start_digest


def test_the_machine_is_checked_before_a_start(tmp_path: Path) -> None:
    load().check_machine()
    with pytest.raises(StartupError, match=r"zones\.directory: .* is not a directory"):
        load(GEODNS_ZONES_DIRECTORY=str(tmp_path / "absent")).check_machine()
    with pytest.raises(StartupError, match=r"api\.tls_certificate: .* cannot be read"):
        load(GEODNS_API_TLS_CERTIFICATE="c.pem", GEODNS_API_TLS_KEY="k.pem").check_machine()
    with pytest.raises(StartupError, match="there is no user"):
        load(GEODNS_USER="no-such-user-here").check_machine()


def test_every_setting_is_documented() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    for setting in known_settings():
        assert f"| `{setting.key}` | `{setting.environment}` | {setting.default} | {setting.description} |" in page


def test_sentinels_and_brakes() -> None:
    settings = load(GEODNS_HEALTH_SENTINELS="icmp://192.0.2.1, dns://192.0.2.53/example.net", GEODNS_HEALTH_BRAKE_RECORD="0.5")
    assert [(check.protocol.value, check.target) for check in settings.health.sentinel_checks] == [
        ("ICMP", "192.0.2.1"),
        ("DNS", "192.0.2.53"),
    ]
    assert (settings.health.brake_record, settings.health.brake_total) == (0.5, 1.0)
    (alone,) = problems({"health.sentinels": ["icmp://192.0.2.1"]})
    assert "name two or more" in alone
    (unknown,) = problems({"health.sentinels": ["icmp://192.0.2.1", "192.0.2.2"]})
    assert "'192.0.2.2' is not a sentinel; write icmp://ADDRESS" in unknown
    assert problems({"health.brake_total": 0})
    assert problems({"health.brake_record": 1.5})
