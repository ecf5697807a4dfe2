"""What a changed configuration means for a service that runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from sluice.actors.settings import LimitSettings, Rate
from sluice.ops.config import Config, load
from sluice.ops.config.schema import SCHEMA, WITHOUT_EFFECT, Table
from sluice.ops.control.limits import adopted
from sluice.ops.reload import EFFECTS, Plan, pem_files, plan

PROVIDER = "[providers.a]\nbase_url = 'http://a'\n[models.m]\nprovider = 'a'\n"


def config_of(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "sluice.toml"
    file.write_text(text + PROVIDER)
    return load(str(file), {"KEY": "sk-secret-value", "OTHER": "sk-another-value"})


def between(tmp_path: Path, old: str, new: str, *, several: bool = True) -> Plan:
    return plan(config_of(tmp_path, old), config_of(tmp_path, new), several=several)


def test_every_key_of_the_configuration_has_an_effect() -> None:
    sections = {path[0] for path in EFFECTS}
    idle = {path[0] for path in WITHOUT_EFFECT}
    assert sections == set(SCHEMA.keys) - (idle - sections)
    server = SCHEMA.keys["server"]
    assert isinstance(server, Table)
    assert {path[1] for path in EFFECTS if path[0] == "server"} == set(server.keys)
    assert sections == set(Config.__struct_fields__) - {"source", "notices"}


def test_the_same_configuration_changes_nothing(tmp_path: Path) -> None:
    assert between(tmp_path, "", "# another comment\n").changes_nothing


def test_each_changed_key_is_named_by_what_it_needs(tmp_path: Path) -> None:
    found = between(
        tmp_path,
        "[connections]\nlimit = 50\n[server]\nlog_level = 'info'\n[timeouts]\nidle = 20\n",
        "[connections]\nlimit = 60\n[server]\nlog_level = 'debug'\nbind = '127.0.0.1:9'\n"
        "data_dir = '/elsewhere'\n[cors]\norigins = ['http://h']\n[timeouts]\nidle = 25\n",
    )
    assert set(found.live) == {"connections.limit", "server.log_level"}
    assert set(found.workers) == {"timeouts.idle", "cors.origins", "models.m"}
    assert set(found.restart) == {"server.bind", "server.data_dir"}


def test_what_needs_a_restart_stays_and_all_else_is_in_force(tmp_path: Path) -> None:
    old = config_of(tmp_path, "[store]\nurl = 'redis://h'\n[connections]\nlimit = 50\n")
    new = config_of(tmp_path, "[server]\nbind = '127.0.0.1:9'\n[connections]\nlimit = 60\n")
    found = plan(old, new, several=True)
    assert found.config.server == old.server
    assert found.config.store == old.store
    assert found.config.connections.limit == 60
    again = plan(found.config, new, several=True)
    assert (again.live, again.restart) == ((), found.restart)


def test_providers_and_models_are_named_that_came_went_or_changed(tmp_path: Path) -> None:
    old = "[providers.x]\nbase_url = 'http://x'\n[providers.y]\nbase_url = 'http://y'\n"
    new = "[providers.y]\nbase_url = 'http://yy'\n[providers.z]\nbase_url = 'http://z'\n"
    found = between(tmp_path, old, new)
    assert set(found.workers) == {"providers.x", "providers.y", "providers.z"}


def test_in_one_process_what_workers_hold_needs_a_restart_and_stays(tmp_path: Path) -> None:
    old = config_of(tmp_path, "[providers.x]\nbase_url = 'http://x'\n[timeouts]\nidle = 20\n")
    new = config_of(
        tmp_path,
        "[providers.z]\nbase_url = 'http://z'\n[connections]\nlimit = 7\nsoft_ratio = 0.5\n",
    )
    found = plan(old, new, several=False)
    assert set(found.live) == {"connections.limit", "connections.soft_ratio"}
    assert found.workers == ()
    assert set(found.restart) == {"providers.x", "providers.z", "timeouts.idle", "models.m"}
    assert found.config == msgspec.structs.replace(
        old, connections=new.connections, notices=new.notices
    )


def test_a_secret_that_changed_is_named_and_not_shown(tmp_path: Path) -> None:
    text = "[providers.x]\nbase_url = 'http://127.0.0.1'\napi_key = 'env:{}'\n"
    found = between(tmp_path, text.format("KEY"), text.format("OTHER"))
    assert found.workers == ("providers.x",)


def test_a_file_whose_content_changed_is_named(tmp_path: Path) -> None:
    config = config_of(tmp_path, "")
    assert pem_files(config) == []
    assert plan(config, config, several=True, files=["/c.pem"]).workers == (
        "the content of /c.pem",
    )
    assert plan(config, config, several=False, files=["/c.pem"]).restart == (
        "the content of /c.pem",
    )


def test_a_breakers_figures_change_live_and_whether_there_is_one_needs_new_workers(
    tmp_path: Path,
) -> None:
    found = between(tmp_path, "", "[breaker]\nfailures = 3\nwindow = 5\ncooldown = 7\n")
    assert set(found.live) == {"breaker.failures", "breaker.window", "breaker.cooldown"}
    assert (found.workers, found.restart) == ((), ())
    off = between(tmp_path, "", "[breaker]\nenabled = false\n")
    assert (off.live, off.workers) == ((), ("breaker.enabled",))


def test_a_limit_that_changed_is_one_key_and_changes_at_once(tmp_path: Path) -> None:
    old = config_of(tmp_path, "[limits]\nip = '5/minute'\ntoken = 'off'\n")
    new = config_of(tmp_path, "[limits]\nip = '6/hour'\ntoken = '7/day'\n")
    found = plan(old, new, several=True)
    assert (found.live, found.workers, found.restart) == (("limits.ip", "limits.token"), (), ())
    operators = replace(old.limits, user=Rate(1, "second"), ip=None)
    assert adopted(operators, new.limits, found.live) == LimitSettings(
        ip=Rate(6, "hour"), user=Rate(1, "second"), token=Rate(7, "day")
    )


def test_credentials_that_changed_are_had_by_new_workers(tmp_path: Path) -> None:
    old = config_of(tmp_path, "")
    new = config_of(tmp_path, f"[auth.tokens.a]\nsha256 = '{'0' * 64}'\n")
    assert plan(old, new, several=True).workers == ("auth.tokens.a",)
    assert plan(old, new, several=False).restart == ("auth.tokens.a",)
