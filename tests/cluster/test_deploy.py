"""The files of ``deploy/cluster``: one against the schema that Ray ships, the other by what KubeRay would trip over."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "cluster"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def test_the_file_for_ray_up_fits_the_schema_of_ray() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    spec = find_spec("ray")  # found, and not imported
    if spec is None or spec.origin is None:
        pytest.skip("no Ray here")
    schema = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    config = read("autoscaler.yaml")
    problems = [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(config)]
    assert problems == []
    assert config["head_node_type"] in config["available_node_types"]


def test_the_cluster_for_kuberay_is_whole() -> None:
    cluster = read("kuberay.yaml")
    spec = cluster["spec"]
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    pinned = re.search(r"^ray==(\S+)", (ROOT / "requirements" / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None and spec["rayVersion"] == pinned[1], "the image is built with this version"
    assert spec["authOptions"] == {"mode": "token"}
    assert "enableInTreeAutoscaling" not in spec, "it would end nodes before the command is run"
    head, *workers = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert workers
    for group in (head, *workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        port = 6379 if group is head else int(group["rayStartParams"]["node-manager-port"])
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["tcpSocket"]["port"] == port
        names = {mount["name"] for mount in container["volumeMounts"]}
        assert names == {volume["name"] for volume in pod["volumes"]}
        environ = {entry["name"]: entry["value"] for entry in container["env"]}
        assert environ["IMGTOOL_CACHE_DIR"] in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert head["rayStartParams"]["num-cpus"] == "0"
    for group in workers:
        # Without an autoscaler KubeRay asks for both ends.
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
