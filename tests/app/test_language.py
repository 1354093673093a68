"""Commands and the service in Chinese: METAREC_LANG, the setting `lang`, Accept-Language."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

# imported after the skips: without the extra these would be errors
from starlette.testclient import TestClient  # noqa: E402

from metarec.app.service.application import create_app  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from metarec.app.service.settings_sources import load_settings  # noqa: E402
from metarec.data.schema import BadInput  # noqa: E402
from served_model import saved_model  # noqa: E402

SHOP = str(Path(__file__).parent.parent.parent / "examples" / "chinese-shop")
CHINESE = {"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    place = tmp_path_factory.mktemp("language")
    model = shutil.copytree(saved_model(), place / "model")
    app = create_app(ServiceSettings(model=str(model), store=str(place / "events.db")))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_errors_of_commands_are_chinese(run, monkeypatch):
    monkeypatch.setenv("METAREC_LANG", "zh_CN.UTF-8")
    code, _, error = run("fit", "no-such-data", "--out", "model")
    assert (code, error.count("\n")) == (2, 1)
    assert "no-such-data 不存在；请给出数据文件夹" in error
    code, _, error = run("fit")
    assert (code, error) == (2, "metarec: 缺少参数 'DATA'；见 --help\n")


def test_an_unknown_language_is_one_line(run, monkeypatch):
    monkeypatch.setenv("METAREC_LANG", "tlh")
    code, _, error = run("domains")
    assert (code, error) == (2, "metarec: METAREC_LANG must be one of en, zh, got 'tlh'\n")


def test_what_commands_print_is_chinese_and_names_are_not(run, monkeypatch):
    monkeypatch.setenv("METAREC_LANG", "zh")
    _, shown, _ = run("domains", "finance")
    assert "不展示：'barred_countries' 中写有该用户某项 'country' 的物品" in shown
    _, shown, _ = run("domains", "finance", "--json")
    assert json.loads(shown)["name"] == "finance"


def test_reasons_follow_the_header(service):
    asked = {"k": 3, "explain": True, "history": []}
    english = service.post("/v1/recommendations", json=asked).json()
    answer = service.post("/v1/recommendations", json=asked, headers=CHINESE)
    chinese = answer.json()
    assert answer.headers["content-language"] == "zh"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert [one["title"] for one in chinese["items"]] == [one["title"] for one in english["items"]]
    assert all(one["reasons"][0].startswith(("because", "although")) for one in english["items"])
    assert all(one["reasons"][0].startswith(("因为", "尽管")) for one in chinese["items"])


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("POST", "/v1/recommendations", {"k": 0}, "必须不小于 1，实际为 0"),
        ("POST", "/v1/recommendations", {"K": 1}, "body.K：这里不认识它"),
        ("POST", "/v1/recommendations", {"filter": "nope = 1"}, "物品目录中没有 'nope' 列"),
        ("GET", "/v1/nowhere", None, "这个地址什么也没有"),
        ("GET", "/v1/users/nobody", None, "没有保存该用户的任何信息"),
        ("DELETE", "/v1/recommendations", None, "这个地址不接受 DELETE"),
    ],
)
def test_refusals_follow_the_header(service, method, path, body, told):
    asked = service.request(method, path, json=body, headers=CHINESE)
    assert asked.status_code >= 400
    assert told in asked.json()["error"]


def test_without_a_header_it_is_the_setting(tmp_path):
    model = shutil.copytree(saved_model(), tmp_path / "model")
    settings = ServiceSettings(model=str(model), store=str(tmp_path / "events.db"), lang="zh")
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        assert "这个地址什么也没有" in client.get("/v1/nowhere").json()["error"]
        english = client.get("/v1/nowhere", headers={"accept-language": "en"})
        assert english.json()["error"].startswith("there is nothing")
        assert client.get("/healthz", headers=CHINESE).status_code == 200


def test_the_setting_comes_from_the_environment_and_must_be_known():
    assert load_settings(environment={"METAREC_LANG": "zh"}, model="m").lang == "zh"
    with pytest.raises(BadInput, match="lang must be one of en, zh, got 'tlh'"):
        ServiceSettings(model="m", lang="tlh")


def test_the_page_files_pass_through(service):
    page = service.get("/index.html", headers=CHINESE)
    assert page.status_code == 200 and "<html" in page.text
    head = service.head("/v1/models", headers=CHINESE)
    assert head.status_code in (200, 405)


def test_reports_are_chinese_pages(run, monkeypatch, tmp_path):
    monkeypatch.setenv("METAREC_LANG", "zh")
    page = tmp_path / "report.html"
    code, _, error = run("data", "check", SHOP, "--html", str(page))
    assert code == 0, error
    told = page.read_text("utf-8")
    assert '<html lang="zh">' in told
    assert "<h1>数据报告：chinese-shop</h1>" in told
    assert ">每个用户的事件数</td>" in told
