"""The cluster files are valid by their platforms' own schemas, pin one Ray, and hold no secret."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml
from packaging.requirements import Requirement

from tuner.settings.config import make_config

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "cluster"
RAY_FILES = ("cluster.yaml", "gcp.yaml", "on_premises.yaml")
ALL_FILES = (*RAY_FILES, "kuberay.yaml")


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text_of(name)))


def ray_job() -> dict[str, Any]:
    return next(document for document in documents("kuberay.yaml") if document["kind"] == "RayJob")


@pytest.mark.parametrize("name", RAY_FILES)
def test_it_is_valid_by_rays_own_schema(name: str) -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(documents(name)[0], json.loads(schema.read_text()))


@pytest.mark.parametrize("name", ALL_FILES)
def test_it_pins_the_ray_of_the_package(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (pinned,) = (each for each in project["dependencies"] if each.startswith("ray["))
    version = pinned.partition("==")[2]
    versions = re.findall(r"\bray(?:\[default\]==|:|Version: \"?)(\d+\.\d+\.\d+)", text_of(name))
    assert versions
    assert set(versions) == {version}


@pytest.mark.parametrize("name", ALL_FILES)
def test_the_head_runs_no_trials(name: str) -> None:
    assert re.search(r'num-cpus(=0|: "0")|resources: \{"CPU": 0\}', text_of(name))


@pytest.mark.parametrize("name", RAY_FILES)
def test_the_dashboard_is_on_loopback(name: str) -> None:
    # On Kubernetes the operator must reach it; there a token and the cluster's network keep others out.
    assert "dashboard-host=127.0.0.1" in text_of(name)


@pytest.mark.parametrize("name", ALL_FILES)
def test_every_node_installs_the_versions_that_lie_beside_the_wheel(name: str) -> None:
    installs = [line for line in text_of(name).splitlines() if "-m pip install" in line]
    installs = [line for line in installs if "--no-deps" not in line]
    assert installs
    for line in installs:
        folder = re.search(r"-c (\S+)/constraints\.txt", line)
        assert folder is not None
        assert f"{folder[1]}/*.whl" in line
    assert "dist/constraints.txt" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", RAY_FILES)
def test_of_several_wheels_the_newest_is_installed(name: str, tmp_path: Path) -> None:
    """Files that are gone here stay on the nodes."""
    python, wheels = tmp_path / "tuner-env" / "bin" / "python", tmp_path / "tuner-wheel"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    wheels.mkdir()
    for age_s, version in enumerate(("0.10.0", "0.9.0", "0.11.0")):
        wheel = wheels / f"tuner-{version}.whl"
        wheel.touch()
        os.utime(wheel, (1e9 - age_s, 1e9 - age_s))
    commands = documents(name)[0]["setup_commands"]
    installs = [command for command in commands if "pip install" in command]
    assert len(installs) == 2
    for command in installs:
        told = subprocess.run(
            ["/bin/sh", "-c", command],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        (wheel,) = re.findall(r"\S+\.whl", told.stdout)
        assert wheel == f"{wheels}/tuner-0.10.0.whl"


def test_a_wheel_is_built_into_a_folder_without_older_ones() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nwheel:")[2]
    assert recipe.index("rm -f dist/*.whl") < recipe.index("-m hatchling build -t wheel -d dist")


@pytest.mark.parametrize("name", ["cluster.yaml", "gcp.yaml", "kuberay.yaml"])
def test_a_cluster_with_gpus_installs_what_tensorflow_needs_for_them(name: str) -> None:
    assert ')[gpu]"' in text_of(name)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (needed,) = map(Requirement, extras["optional-dependencies"]["gpu"])
    assert needed.extras == {"and-cuda"}
    assert needed.marker is not None
    platforms = [p for p in ("linux", "darwin") if needed.marker.evaluate({"sys_platform": p})]
    assert platforms == ["linux"]  # there are no such wheels for others


def test_deleting_with_the_files_command_keeps_the_runs() -> None:
    assert "kubectl delete rayjob tuner" in text_of("kuberay.yaml")
    assert "kubectl delete -f" not in text_of("kuberay.yaml")


@pytest.mark.parametrize("name", RAY_FILES)
def test_it_asks_for_a_token_that_lies_elsewhere(name: str) -> None:
    content = documents(name)[0]
    starts = [*content["head_start_ray_commands"], *content["worker_start_ray_commands"]]
    started = [command for command in starts if "ray start" in command]
    assert len(started) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in started)
    assert content["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_metadata_of_machines_on_aws_is_given_with_a_token_only() -> None:
    for kind in documents("cluster.yaml")[0]["available_node_types"].values():
        assert kind["node_config"]["MetadataOptions"] == {"HttpTokens": "required"}


@pytest.mark.parametrize("name", ALL_FILES)
def test_the_token_is_made_for_this_user_alone(name: str) -> None:
    for line in text_of(name).splitlines():
        assert "get-auth-token" not in line or "umask 077" in line


def test_no_personal_key_travels_to_a_head() -> None:
    assert "id_ed25519" not in text_of("on_premises.yaml")


@pytest.mark.parametrize("name", ALL_FILES)
def test_its_commands_stand_at_the_top(name: str) -> None:
    comment = re.match(r"(#.*\n)+", text_of(name))
    assert comment is not None
    wanted = ["make wheel", "tuner" if name != "kuberay.yaml" else "kubectl cp"]
    wanted += ["kubectl apply"] if name == "kuberay.yaml" else [f"ray up cluster/{name}"]
    assert all(command in comment[0] for command in wanted)


def test_kubernetes_takes_every_pod() -> None:
    specification = ray_job()["spec"]["rayClusterSpec"]
    groups = [specification["headGroupSpec"], *specification["workerGroupSpecs"]]
    for group in groups:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod", **group["template"].get("metadata", {})},
            "spec": group["template"]["spec"],
        }
        kubernetes_validate.validate(pod, "1.30", strict=True)
    for document in documents("kuberay.yaml"):
        if document["kind"] != "RayJob":
            kubernetes_validate.validate(document, "1.30", strict=True)


def test_the_ray_job_has_the_fields_that_kuberay_knows() -> None:
    job = ray_job()
    assert job["apiVersion"] == "ray.io/v1"
    # Of KubeRay 1.5's RayJobSpec, RayClusterSpec, HeadGroupSpec and WorkerGroupSpec, those that are used here.
    assert set(job["spec"]) == {
        *("entrypoint", "submissionMode", "backoffLimit", "shutdownAfterJobFinishes"),
        *("ttlSecondsAfterFinished", "rayClusterSpec"),
    }
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) == {
        *("rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions"),
        *("headGroupSpec", "workerGroupSpecs"),
    }
    assert cluster["authOptions"] == {"mode": "token"}
    (group,) = cluster["workerGroupSpecs"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    # Ray takes strings only: `num-cpus: 0` would be refused.
    parameters = [cluster["headGroupSpec"]["rayStartParams"], group["rayStartParams"]]
    assert all(isinstance(value, str) for each in parameters for value in each.values())


@pytest.mark.parametrize(("name", "gpus"), [("run.yaml", "auto"), ("run_on_cpus.yaml", 0)])
def test_the_settings_in_the_file_make_a_search(name: str, gpus: str | int) -> None:
    config = make_config({}, config_file=FOLDER / name)
    assert (config.run_name, config.gpus_per_trial) == ("team-imdb", gpus)


@pytest.mark.parametrize("name", RAY_FILES)
def test_a_cluster_that_pays_for_gpus_trains_on_them(name: str) -> None:
    (content,) = documents(name)
    has_gpus = '[gpu]"' in " ".join(content["setup_commands"])
    settings = "run" if has_gpus else "run_on_cpus"
    assert content["file_mounts"]["~/run.yaml"] == f"cluster/{settings}.yaml"


def test_the_two_settings_differ_in_processors_only() -> None:
    on_gpus, on_cpus = (yaml.safe_load(text_of(f"run{each}.yaml")) for each in ("", "_on_cpus"))
    differing = {key for key in on_gpus | on_cpus if on_gpus.get(key) != on_cpus.get(key)}
    assert differing == {"cpus_per_trial", "gpus_per_trial"}
