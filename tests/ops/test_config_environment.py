from pathlib import Path

import pytest

from sluice.actors.settings import LimitSettings, Rate, Secret
from sluice.ops.config import ConfigurationError, load
from sluice.ops.config.environment import variable

FILE = """
[connections]
limit = 10
[providers.openai]
base_url = "https://api.openai.com/v1"
[models."gpt-4o-mini"]
provider = "openai"
[models."sim-*"]
provider = "openai"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "sluice.toml"
    path.write_text(FILE)
    return str(path)


def mistakes(file: str | None, environment: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(file, environment)
    return str(caught.value).splitlines()


def test_a_variable_comes_before_the_file(file: str) -> None:
    assert load(file, {}).connections.limit == 10
    assert load(file, {"SLUICE_CONNECTIONS__LIMIT": "20"}).connections.limit == 20


def test_an_option_comes_before_a_variable(file: str) -> None:
    config = load(
        file,
        {"SLUICE_SERVER__BIND": "127.0.0.1:1"},
        {"--bind": (("server", "bind"), "127.0.0.1:2")},
    )
    assert config.server.bind == "127.0.0.1:2"


def test_a_mistake_in_an_option_names_the_option(file: str) -> None:
    with pytest.raises(ConfigurationError, match=r'^--workers: server\.workers: "x" is not a nu'):
        load(file, {}, {"--workers": (("server", "workers"), "x")})


def test_names_of_models_and_providers_are_matched_without_punctuation(file: str) -> None:
    config = load(
        file,
        {
            "SLUICE_MODELS__GPT_4O_MINI__UPSTREAM_MODEL": "gpt-5",
            "SLUICE_MODELS__SIM__TIMEOUTS__IDLE": "2.5",
            "SLUICE_PROVIDERS__OPENAI__API_KEY": "sk-1",
        },
    )
    assert config.models["gpt-4o-mini"].upstream_model == "gpt-5"
    assert config.models["sim-*"].timeouts.idle == 2.5
    assert config.providers["openai"].api_key == Secret("sk-1")


def test_a_whole_configuration_can_come_from_variables() -> None:
    config = load(
        None,
        {
            "SLUICE_PROVIDERS__LOCAL__BASE_URL": "http://127.0.0.1:9000/v1",
            "SLUICE_MODELS__LLAMA__PROVIDER": "local",
            "SLUICE_CORS__ORIGINS": "https://a.example, https://b.example",
            "SLUICE_SERVER__WORKERS": "0",
        },
    )
    assert config.models["llama"].provider == "local"
    assert config.cors.origins == ("https://a.example", "https://b.example")
    assert config.server.workers == 0


def test_an_array_may_be_written_as_in_toml() -> None:
    config = load(None, {"SLUICE_CORS__ORIGINS": '["https://a.example"]'})
    assert config.cors.origins == ("https://a.example",)
    (told,) = mistakes(None, {"SLUICE_CORS__ORIGINS": '["https://a.example"'})
    assert told.startswith('SLUICE_CORS__ORIGINS: cors.origins: "["https://a.example""')


def test_true_and_false_have_many_names(file: str) -> None:
    name = "SLUICE_MODELS__GPT_4O_MINI__PREFILL"
    for text, on in [("true", True), ("1", True), ("NO", False), ("off", False)]:
        assert load(file, {name: text}).models["gpt-4o-mini"].prefill == on
    assert mistakes(file, {name: "maybe"}) == [
        (
            f'{name}: models.gpt-4o-mini.prefill: "maybe" is neither true nor false; allowed: true '
            "or false"
        )
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "SLUICE_CONNECTIONS__LIMTI",
            '"LIMTI" is no known key, did you mean "LIMIT"?; allowed: LIMIT, SOFT_RATIO',
        ),
        ("SLUICE_CONNECTIONS__LIMIT__X", "connections.limit: nothing follows this key, so not 'X'"),
        (
            "SLUICE_CORS__",
            '"" is no known key; allowed: ORIGINS',
        ),
        (
            "SLUICE_SERVER__LIMITS",
            (
                "server.limits: this is a table, not a key; allowed: SLUICE_SERVER__LIMITS__BODY, "
                "SLUICE_SERVER__LIMITS__HEAD, SLUICE_SERVER__LIMITS__JSON_DEPTH, "
                "SLUICE_SERVER__LIMITS__HEAD_TIMEOUT, SLUICE_SERVER__LIMITS__BODY_TIMEOUT, "
                "SLUICE_SERVER__LIMITS__KEEPALIVE_TIMEOUT, SLUICE_SERVER__LIMITS__CONNECTIONS"
            ),
        ),
    ],
)
def test_a_variable_that_means_no_key_is_a_mistake(file: str, name: str, told: str) -> None:
    assert mistakes(file, {name: "1"}) == [f"{name}: {told}"]


def test_variables_that_are_not_ours_are_left_alone() -> None:
    foreign = {
        "SLUICE_SERVICE_HOST": "10.0.0.1",
        "SLUICE_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "SLUICE_CONFIG": "x",
        "HOME": "/x",
    }
    assert [notice.key for notice in load(None, foreign).notices] == ["models"]


def test_a_missing_underscore_is_pointed_out() -> None:
    notices = load(None, {"SLUICE_CONNECTIONS_LIMIT": "3"}).notices
    assert str(notices[0]) == (
        "SLUICE_CONNECTIONS_LIMIT: this variable is not read; SLUICE_CONNECTIONS__LIMIT is"
    )


def test_two_names_that_a_variable_cannot_tell_apart_are_told(tmp_path: Path) -> None:
    file = tmp_path / "sluice.toml"
    file.write_text(FILE + '[models.sim]\nprovider = "openai"\n')
    assert mistakes(str(file), {"SLUICE_MODELS__SIM__PREFILL": "true"}) == [
        'SLUICE_MODELS__SIM__PREFILL: "SIM" may mean "sim-*" and "sim"; allowed: the file'
    ]


def test_a_missing_key_of_a_new_entry_names_the_variable(file: str) -> None:
    (told,) = mistakes(file, {"SLUICE_PROVIDERS__NEW__FORMAT": "openai"})
    assert told.startswith("SLUICE_PROVIDERS__NEW__FORMAT: providers.new.base_url: it is missing")


def test_a_variable_over_a_broken_table_leaves_the_files_mistake(tmp_path: Path) -> None:
    file = tmp_path / "sluice.toml"
    file.write_text("connections = 5\n")
    (told,) = mistakes(str(file), {"SLUICE_CONNECTIONS__LIMIT": "3"})
    assert told.startswith(f"{file}:1: connections: 5 is a number, not a table")


def test_an_override_of_an_array_is_blamed_for_its_items(tmp_path: Path) -> None:
    file = tmp_path / "sluice.toml"
    file.write_text(f'{FILE}fallback = ["gpt-4o-mini"]\n')
    (told,) = mistakes(str(file), {"SLUICE_MODELS__SIM__FALLBACK": "nobody"})
    assert told.startswith('SLUICE_MODELS__SIM__FALLBACK: models."sim-*".fallback: there is no mo')


def test_the_seeds_names_work_and_count_in_the_seeds_windows() -> None:
    seeds = {
        "RATE_LIMIT_PER_IP": "50",
        "RATE_LIMIT_PER_USER": "10/second",
        "RATE_LIMIT_PER_TOKEN": "7",
        "CONNECTIONS_PER_REPLICA": "40",
    }
    config = load(None, seeds)
    assert config.connections.limit == 40
    assert config.limits == LimitSettings(
        ip=Rate(50, "minute"), user=Rate(10, "second"), token=Rate(7, "hour")
    )
    (mistake,) = mistakes(None, {"RATE_LIMIT_PER_IP": "lots"})
    assert mistake.startswith('RATE_LIMIT_PER_IP: limits.ip: "lots" is not a rate')


def test_our_name_comes_before_the_seeds() -> None:
    both = {"CONNECTIONS_PER_REPLICA": "40", "SLUICE_CONNECTIONS__LIMIT": "30"}
    assert load(None, both).connections.limit == 30


def test_a_keys_variable_can_be_told() -> None:
    assert variable(("models", "gpt-4o-mini", "timeouts", "idle")) == (
        "SLUICE_MODELS__GPT_4O_MINI__TIMEOUTS__IDLE"
    )


def test_numbers_too_long_to_be_meant_do_no_harm() -> None:
    (told,) = mistakes(None, {"SLUICE_CONNECTIONS__LIMIT": "9" * 10_000})
    assert len(told) < 300
