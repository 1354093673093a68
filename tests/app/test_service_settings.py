from __future__ import annotations

import json
import os

import pytest

from metarec.app.service.run import listening_at, serve
from metarec.app.service.settings import ServiceSettings
from metarec.app.service.settings_sources import load_settings
from metarec.data.schema import BadInput
from served_model import saved_model


def test_flags_win_over_environment_over_file_over_defaults(tmp_path):
    file = tmp_path / "service.toml"
    file.write_text(
        '[service]\nmodel = "from-file"\nport = 1\nworkers = 3\nburst = 7\n'
        'cors_origins = ["http://a"]\n'
    )
    settings = load_settings(
        file, {"METAREC_PORT": "2", "METAREC_WORKERS": "4", "UNRELATED": "x"}, port=5, workers=None
    )
    assert (settings.model, settings.port, settings.workers, settings.burst, settings.host) == (
        "from-file",
        5,
        4,
        7,
        "127.0.0.1",
    )
    assert settings.cors_origins == ("http://a",)


def test_text_of_the_environment_is_read_as_its_type():
    settings = load_settings(
        None,
        {
            "METAREC_MODEL": "m",
            "METAREC_LOG_SLATES": "no",
            "METAREC_WATCH_SECONDS": "0.5",
            "METAREC_CORS_ORIGINS": "http://a, http://b",
            "METAREC_KEYS": "s:e:cret:admin, other:read",
        },
    )
    assert settings.log_slates is False
    assert settings.watch_seconds == 0.5
    assert settings.cors_origins == ("http://a", "http://b")
    assert settings.keys == {"s:e:cret": "admin", "other": "read"}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({}, "no model given"),
        ({"model": "m", "color": "red"}, "no setting 'color'; there are: model"),
        ({"model": "m", "port": "eighty"}, "setting port must be a whole number, got 'eighty'"),
        ({"model": "m", "port": 99999}, "port must be 65535 or less, got 99999"),
        ({"model": "m", "workers": 0}, "workers must be 1 or more, got 0"),
        ({"model": "m", "workers": 2.5}, "setting workers must be a whole number, got 2.5"),
        ({"model": "m", "retrain_hours": True}, "setting retrain_hours must be a number, got True"),
        ({"model": "m", "watch_seconds": 0}, "watch_seconds must be 0.01 or more, got 0.0"),
        ({"model": "m", "shutdown_seconds": -3}, "shutdown_seconds must be 0 or more, got -3"),
        ({"model": "m", "inline_items": -1}, "inline_items must be 0 or more, got -1"),
        ({"model": "m", "idle_seconds": "inf"}, "idle_seconds must be 0.1 or more, got inf"),
        (
            {"model": "m", "keys": "one:admin,one:read"},
            "setting keys must be key:role for each key, with commas between and no key twice",
        ),
        (
            {"model": "m", "log_slates": "perhaps"},
            "setting log_slates must be yes or no, got 'perhaps'",
        ),
        ({"model": "m", "wokers": 2}, "no setting 'wokers'; did you mean 'workers'"),
        (
            {"model": "m", "keys": {"k": "king"}},
            "role of an API key must be one of read, write, admin, got 'king'",
        ),
        (
            {"model": "m", "host": "0.0.0.0"},
            "listening at 0.0.0.0 lets anyone read and forget users",
        ),
    ],
)
def test_bad_settings_are_said(flags, says):
    with pytest.raises(BadInput, match=says):
        load_settings(None, {}, **flags)


@pytest.mark.parametrize("blank", ["", " ", "\t\n", " , "])
def test_a_blank_setting_is_refused_wherever_it_stands(tmp_path, blank):
    """`METAREC_FILTER=" "` served every item, without a word."""
    file = tmp_path / "service.toml"
    for name in ("filter", "store", "hosts", "keys", "mcp", "data"):
        said = f"^setting METAREC_{name.upper()} is blank; give a value, or leave it out$"
        with pytest.raises(BadInput, match=said):
            load_settings(None, {f"METAREC_{name.upper()}": blank}, model="m")
        file.write_text(f"[service]\n{name} = {json.dumps(blank)}\n", encoding="utf-8")
        with pytest.raises(BadInput, match=f"^setting {name} of .*service.toml' is blank; give a"):
            load_settings(file, {}, model="m")
    file.write_text(f'hosts = ["a", {json.dumps(blank)}]\n', encoding="utf-8")
    with pytest.raises(BadInput, match="setting hosts of"):
        load_settings(file, {}, model="m")


def test_a_service_that_is_no_table_is_refused(tmp_path):
    file = tmp_path / "service.toml"
    file.write_text("service = 5\n")
    with pytest.raises(BadInput, match=r"^service in .* must be a table, \[service\], got 5$"):
        load_settings(file, {}, model="m")


def test_an_empty_variable_of_every_command_is_one_that_is_not_set():
    """`METAREC_LANG= metarec fit` and `METAREC_LANG= metarec serve` mean the same."""
    settings = load_settings(None, {"METAREC_LANG": "", "METAREC_DEVICE": ""}, model="m")
    assert (settings.lang, settings.device) == ("en", "cpu")


def test_a_key_that_cannot_be_read_is_not_shown():
    with pytest.raises(BadInput, match=r"setting keys must be key:role .*\(not shown\)") as caught:
        load_settings(None, {"METAREC_KEYS": "hunter2"}, model="m")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("more", [{"keys": {"k": "read"}}, {"open_to_all": True}])
def test_beyond_this_machine_with_keys_or_on_purpose(more):
    assert ServiceSettings(model="m", host="0.0.0.0", **more).host == "0.0.0.0"


def test_an_unreadable_file_is_said(tmp_path):
    with pytest.raises(BadInput, match="cannot read the settings"):
        load_settings(tmp_path / "none.toml", {})


def test_the_store_lies_beside_the_model_unless_given():
    assert ServiceSettings(model="a").store_url.endswith("events.db")
    assert ServiceSettings(model="a", store="postgresql://x/y").store_url == "postgresql://x/y"


def test_settings_survive_the_way_to_a_worker():
    settings = ServiceSettings(model="m", keys={"k": "read"}, cors_origins=("http://a",))
    assert ServiceSettings.from_json(settings.to_json()) == settings


def test_a_service_that_could_not_start_leaves_no_metrics_folder_behind(tmp_path, monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)

    with pytest.raises(FileNotFoundError):
        serve(
            str(tmp_path / "none"),
            store=f"sqlite:///{tmp_path}/events.db",
            host="127.0.0.1",
            port=8000,
        )

    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ


def test_short_keys_are_refused_where_the_service_is_started():
    from metarec.app.service.run import serve

    with pytest.raises(BadInput, match="role 'admin' has 7 characters, fewer than min_key_leng"):
        serve("m", keys={"hunter2": "admin"})
    ServiceSettings(model="m", keys={"x" * 16: "admin"}).check_keys()
    ServiceSettings(model="m", keys={"sha256:" + "0" * 64: "admin"}).check_keys()
    ServiceSettings(model="m", keys={"hunter2": "admin"}, min_key_length=7).check_keys()


def test_a_digest_that_is_none_is_refused_without_being_shown():
    with pytest.raises(BadInput, match="needs the 64 hexadecimal digits of a SHA-256") as error:
        ServiceSettings(model="m", keys={"sha256:beef": "admin"})
    assert "beef" not in str(error.value)


def test_a_digest_can_come_from_the_environment():
    digest = "sha256:" + "ab" * 32
    read = load_settings(None, {"METAREC_KEYS": f"{digest}:admin"}, model="m")
    assert read.keys == {digest: "admin"}


def test_a_filter_that_no_item_passes_is_told_at_the_start(clients, tmp_path, caplog):
    for n, (only, told) in enumerate([('title = "none"', 1), ('not (title = "none")', 0)]):
        caplog.clear()
        client = clients(model=str(saved_model()), store=str(tmp_path / f"{n}.db"), filter=only)
        assert client.get("/readyz").status_code == 200
        said = [one for one in caplog.records if "no item passes the filter" in one.message]
        assert len(said) == told


def test_port_0_is_a_free_port_that_is_told(tmp_path):
    """It was told as port 0, where nothing listens."""
    told = []

    def checked(*port):
        told.extend(port)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        serve(str(saved_model()), str(tmp_path / "events.db"), port=0, checked=checked)
    assert told and told[0] > 0
    every = [*listening_at("127.0.0.1", told[0]), *listening_at("", 0)]  # the first is free again
    ports = [one.getsockname()[1] for one in every]
    for one in every:
        one.close()
    assert ports[0] == told[0]
    assert len(set(ports[1:])) == 1


def test_a_variable_that_is_nearly_a_setting_s_is_refused():
    with pytest.raises(BadInput, match="METAREC_PROT is no setting; did you mean METAREC_PORT"):
        load_settings(None, {"METAREC_PROT": "9000"}, model="m")
    others = {"METAREC_ONLINE": "1", "METAREC_SERVICE": "{}", "METAREC_PRESET": "tiny"}
    assert load_settings(None, others, model="m").port == ServiceSettings(model="m").port


@pytest.mark.parametrize("name", ["alert_psi", "explore", "heavy_seconds"])
def test_what_is_no_number_is_no_limit(name):
    with pytest.raises(BadInput, match=f"{name} must be .* or more, got nan"):
        load_settings(None, {f"METAREC_{name.upper()}": "nan"}, model="m")
