"""The figures for Prometheus; and that dashboards and alerts ask for figures that there are."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from imgtool.service.metrics import process_memory
from tests import pictures, planted
from tests.conftest import ROOT
from tests.service.running import PLANTED, Running, png, running

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/imgtool.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
CONDITIONS = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
NAME = re.compile(r"\b(?:http_server|imgtool)_[a-z_]+")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("metrics")
    root = pictures.folder(folder / "root", [(1, 1, n) for n in range(3)])
    with running(*PLANTED, "--root", root, "--cache-dir", folder / "cache") as found:
        found.predict(png((1, 2, 3)))
        found.predict(png((1, 2, 3)))
        found.predict(png(planted.RED))
        found.get("/v1/nothing")
        found.post("/v1/jobs", json={"paths": ["."]})
        found.request("PROPFIND", "/v1/nothing/else")
        yield found


def samples(service: Running) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(service.get("/metrics").text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(service: Running, name: str, **labels: str) -> float:
    return samples(service)[name, frozenset(labels.items())]


def test_requests_are_counted_by_route_and_not_by_address(service: Running) -> None:
    labels = {"http_request_method": "POST", "http_route": "/v1/predict", "http_response_status_code": "200"}
    assert value(service, "http_server_request_duration_seconds_count", **labels) == 3
    routes = {dict(labels).get("http_route") for _, labels in samples(service)} - {None}
    assert routes <= {"/v1/predict", "/v1/jobs", "/readyz", "/metrics", "unknown"}
    methods = {dict(labels).get("http_request_method") for _, labels in samples(service)} - {None}
    assert methods == {"GET", "POST", "_OTHER"}


def test_what_the_engine_does_is_counted(service: Running) -> None:
    assert value(service, "imgtool_cache_requests_total", tier="local", outcome="hit") == 1
    assert value(service, "imgtool_cache_requests_total", tier="local", outcome="miss") >= 2
    assert value(service, "imgtool_images_total", status="partial") == 1
    assert value(service, "imgtool_worker_deaths_total") >= 2
    assert value(service, "imgtool_task_duration_seconds_count", task="text", engine="fine") >= 2
    assert value(service, "imgtool_model_load_seconds", task="text", engine="fine") >= 0
    assert value(service, "imgtool_problems_total", code="not_found") == 2
    assert value(service, "imgtool_queue_images") == 0
    assert sum(v for (name, _), v in samples(service).items() if name == "imgtool_jobs") == 1
    for process in ("service", "workers"):
        assert value(service, "imgtool_memory_bytes", process=process, kind="anon") > 1_000_000
    assert set(process_memory()) == {"service", "workers"}


def test_the_format_is_the_one_that_is_asked_for(service: Running) -> None:
    assert service.get("/metrics").headers["content-type"].startswith("text/plain")
    openmetrics = service.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


def test_dashboard_and_alerts_ask_for_figures_that_there_are(service: Running) -> None:
    exported = {name for name, _ in samples(service)}
    for query in [*QUERIES, *CONDITIONS]:
        asked = set(NAME.findall(query))
        assert (asked and asked <= exported) or "up{" in query, query


def test_the_dashboard_shows_the_figures_of_the_documents() -> None:
    titles = " ".join(panel["title"].lower() for panel in DASHBOARD["panels"])
    for word in ("requests", "time to answer", "hit rate", "tier", "queue", "workers", "memory", "errors", "jobs"):
        assert word in titles
    assert all(f"histogram_quantile({q}" in " ".join(QUERIES) for q in ("0.5", "0.95", "0.99"))
    names = {rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]}
    assert {"ImgtoolErrorRate", "ImgtoolCacheHitRate", "ImgtoolQueueFull", "ImgtoolWorkerDeaths"} <= names


def test_the_compose_file_runs_what_it_mounts() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(compose["services"]) >= {"imgtool", "redis", "prometheus", "grafana"}
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), (name, source)
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} would answer the whole network"
    assert compose["services"]["imgtool"]["command"][0] == "serve"


def test_the_unit_is_hardened_and_stops_later_than_the_service() -> None:
    unit = (DEPLOY / "systemd/imgtool.service").read_text()
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "DynamicUser=yes", "CapabilityBoundingSet=\n"):
        assert line in unit
    assert "imgtool serve" in unit and "TimeoutStopSec=45" in unit


needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")


@needs_prometheus
def test_a_real_prometheus_takes_the_rules_and_answers_every_query(service: Running, tmp_path: Path) -> None:
    subprocess.run(["promtool", "check", "rules", str(DEPLOY / "prometheus/alerts.yml")], check=True)
    shutil.copy(DEPLOY / "prometheus/alerts.yml", tmp_path)
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"][0].pop("authorization")
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    process = subprocess.Popen(
        ["prometheus", *arguments, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL
    )
    try:
        base = f"http://127.0.0.1:{port}/api/v1"
        empty = list(QUERIES)
        deadline = time.monotonic() + 60
        while empty and time.monotonic() < deadline:
            service.predict(png((1, 2, int(time.monotonic()) % 250)))
            service.predict(png((1, 2, 3)))
            service.get("/v1/nothing")
            time.sleep(1)
            empty = [query for query in empty if not _result(base, query)]
        assert empty == []
        rules = httpx.get(f"{base}/rules").json()["data"]["groups"][0]["rules"]
        assert len(rules) == len(CONDITIONS)
        assert {rule["health"] for rule in rules} == {"ok"}
    finally:
        process.terminate()
        process.wait()


def _result(base: str, query: str) -> object:
    filled = query.replace("$__rate_interval", "10s").replace("$instance", ".*")
    try:
        return httpx.get(f"{base}/query", params={"query": filled}).json()["data"]["result"]
    except httpx.TransportError:  # it is not up yet
        return None
