"""What lies under deploy/ can be read, and names only what exists."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

pytest.importorskip("fastapi")

# imported after the skips: without the extra these would be errors
from metarec.app.cli import app  # noqa: E402
from metarec.app.service.monitoring.metrics import Metrics  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from metarec.app.service.settings_sources import PREFIX, load_settings  # noqa: E402

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
SETTINGS = {field.name for field in fields(ServiceSettings)}
COMMANDS = {one.name for one in app.registered_commands}
ROUTES = json.loads((DEPLOY.parent / "docs/reference/openapi.json").read_text("utf-8"))["paths"]


def documents(pattern):
    return [
        document
        for path in DEPLOY.rglob(pattern)
        for document in yaml.safe_load_all(path.read_text("utf-8"))
    ]


def test_there_is_one_of_each():
    names = {str(path.relative_to(DEPLOY)) for path in FILES}
    assert {"Dockerfile", "compose.yaml", "service.toml", "grafana/metarec.json"} <= names
    assert {"kubernetes/metarec.yaml", "prometheus/alerts.yaml"} <= names


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_setting_command_route_and_metric_exists(path):
    text = path.read_text("utf-8")
    assert {n.lower() for n in re.findall(rf"\b{PREFIX}([A-Z_]+)\b", text)} <= SETTINGS
    used = re.findall(r"metarec (?!serve)([a-z]+)\b(?= ?(?:--|;|$))", text, re.MULTILINE)
    assert set(used) <= COMMANDS
    found = re.findall(r"(?<![\w.])(/(?:v1/[a-z/]+|healthz|readyz|metrics))\b", text)
    assert set(found) <= set(ROUTES)
    metrics = {re.sub("_(bucket|sum|count)$", "", n) for n in re.findall(r"metarec_\w+", text)}
    page = Metrics().page().decode()
    known = {m for m in re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE)}
    assert metrics <= known


def test_settings_and_units_say_what_the_service_understands():
    said = tomllib.loads((DEPLOY / "service.toml").read_text("utf-8"))["service"]
    assert load_settings(DEPLOY / "service.toml", {}).port == said["port"]
    for path in DEPLOY.rglob("systemd/*"):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str
        unit.read_string(path.read_text("utf-8"))
        if unit.has_option("Service", "ExecStart"):
            words = unit["Service"]["ExecStart"].split()
            assert words[1] in COMMANDS
            assert words[2:] == ["--settings", "/etc/metarec/service.toml"]


def test_manifests_run_without_root_and_are_probed():
    kinds = {document["kind"]: document for document in documents("metarec.yaml")}
    assert set(kinds) == {"PersistentVolumeClaim", "Deployment", "Service", "CronJob"}
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["resources"]["requests"]
    assert {container[f"{n}Probe"]["httpGet"]["path"] for n in ("startup", "readiness")} == {
        "/readyz"
    }
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    job = kinds["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert {container["args"][0], job["args"][0]} <= COMMANDS
    services = documents("compose.yaml")[0]["services"]
    assert {"db", "service", "retrain"} == set(services)
    assert services["service"]["command"][0] in COMMANDS
    told = services["service"]["environment"]
    # A password may hold what ends it within an address
    assert "PASSWORD" not in told["METAREC_STORE"]
    assert "POSTGRES_PASSWORD" in told["PGPASSWORD"]
    # The image's check asks a service, which the others are not
    assert services["retrain"]["healthcheck"] == {"disable": True}
    docker = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert re.search(r"^USER (?!0|root)", docker, re.MULTILINE)


def test_the_builder_is_sent_what_is_copied_and_nothing_else():
    said = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    docker = (DEPLOY / "Dockerfile").read_text("utf-8")
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", docker, re.MULTILINE)
    assert said[1] == "*"
    assert sorted(said[2:]) == sorted(f"!{name}" for line in copied for name in line.split())


def test_dashboard_and_alerts_have_an_expression_each():
    panels = json.loads((DEPLOY / "grafana/metarec.json").read_text("utf-8"))["panels"]
    assert all(panel["targets"][0]["expr"] for panel in panels)
    rules = [rule for group in documents("alerts.yaml")[0]["groups"] for rule in group["rules"]]
    assert all(rule["expr"] and rule["annotations"]["summary"] for rule in rules)
