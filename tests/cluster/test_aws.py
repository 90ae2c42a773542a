"""`ray up cluster/cluster.yaml` against an AWS on this machine: the machines and rules that it requests."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
REGION = "us-west-2"

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_ray_up_asks_for_a_small_head_behind_a_closed_door(aws: None, tmp_path: Path) -> None:
    ec2 = boto3.resource("ec2", region_name=REGION)
    content = yaml.safe_load((ROOT / "cluster" / "cluster.yaml").read_text(encoding="utf-8"))
    # The file's own does not exist here, and listing those that do takes seconds.
    image = boto3.client("ec2", region_name=REGION).register_image(Name="any")["ImageId"]
    for node in content["available_node_types"].values():
        node["node_config"]["ImageId"] = image
    # Ray would make it, and wait for a quarter of a minute.
    boto3.client("iam", region_name=REGION).create_instance_profile(
        InstanceProfileName="ray-autoscaler-v1"
    )
    # What would follow needs machines that really start.
    content["file_mounts"] = {}
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "ray.scripts.scripts", "up", "--yes"]
    command += [
        "--no-config-cache",
        "cluster.yaml",
    ]  # or an earlier test's home would be looked for
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "RAY_TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as up:
        output = wait_for_ssh(up)
    (head,) = ec2.instances.all()
    assert head.instance_type == "m5.large", output
    tags = {tag["Key"]: tag["Value"] for tag in head.tags}
    assert tags["ray-cluster-name"] == "tuner"
    assert tags["ray-node-type"] == "head"
    assert tags["ray-user-node-type"] == "head"
    assert head.instance_lifecycle is None  # no spot
    (group,) = (ec2.SecurityGroup(each["GroupId"]) for each in head.security_groups)
    assert group.group_name == "ray-tuner"
    assert open_to_the_world(group) == [(22, 22)]
    assert head.iam_instance_profile is not None


def wait_for_ssh(up: "subprocess.Popen[str]") -> str:
    """Ends `ray up` when it tries to reach the head, which is no machine; returns its output."""
    lines = []
    assert up.stdout is not None
    for line in up.stdout:
        lines.append(line)
        if "Waiting for SSH to become available" in line:
            break
    up.kill()
    return "".join(lines)


def open_to_the_world(group: Any) -> list[tuple[int, int]]:
    return [
        (rule["FromPort"], rule["ToPort"])
        for rule in group.ip_permissions
        if any(source["CidrIp"] == "0.0.0.0/0" for source in rule.get("IpRanges", ()))
    ]
