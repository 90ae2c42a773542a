"""Help: options by group, in lines that fit the terminal; and options that are passed on to a cluster's head."""

import re

import pytest
from support.commands import Call

from tuner.cli import options

GROUPS = ["Arguments", "Data", "Budget", "Resources", "Search", "Tracking", "Other options"]


def test_the_options_of_a_search_are_listed_by_group(call: Call) -> None:
    out = call("search", "--help").out
    assert re.findall(r"^(\S.*):$", out, re.MULTILINE) == GROUPS
    by_group = re.split(r"^\S.*:$", out, flags=re.MULTILINE)[1:]
    for flag, group in {
        "--tokens words|characters|symbols": "Data",
        "--max-epochs N": "Budget",
        "--storage-path PATH|URL": "Resources",
        "--objectives METRIC,COST": "Search",
        "--tensorboard / --no-tensorboard": "Tracking",
        "-h, --help": "Other options",
    }.items():
        assert [name for name, text in zip(GROUPS, by_group, strict=True) if flag in text] == [
            group
        ]


def test_options_without_groups_are_one_list(call: Call) -> None:
    out = call("leaderboard", "--help").out
    assert re.findall(r"^(\S.*):$", out, re.MULTILINE) == ["Arguments", "Options"]
    assert "Usage: tuner leaderboard [OPTIONS] [RUN]...\n" in out
    assert "Default: table." in out


def test_the_help_of_confirm_tells_which_addresses_mean_a_job_server(call: Call) -> None:
    out = " ".join(call("confirm", "--help").out.split())
    assert "with the http:// address of its job server, the run is on its head" in out


@pytest.mark.parametrize(("columns", "widest"), [("60", 60), ("80", 80), ("200", 100)])
def test_help_fits_the_terminal(
    call: Call, monkeypatch: pytest.MonkeyPatch, columns: str, widest: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lengths = [len(line) for line in call("search", "--help").out.splitlines()]
    assert widest - 25 < max(lengths) <= widest


def test_no_command_is_cut_in_the_list_of_commands(call: Call) -> None:
    commands = call("--help").out.partition("Commands:\n")[2]
    assert len(commands.splitlines()) == 17
    assert "..." not in commands


def test_a_hidden_setting_is_in_no_help(call: Call) -> None:
    assert "--trainer" not in call("search", "--help").out


def test_a_confirmation_on_a_cluster_gets_the_flags_that_were_given(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def run(arguments: list[str], *, cluster: str | None, address: str | None) -> int:
        asked.append((arguments, cluster, address))
        return 3

    monkeypatch.setattr(options, "stream_from_head", run)
    flags = ("--top", "2", "--train-on", "train+validation", "--gpus-per-trial", "0.5")
    assert call("confirm", "mine", *flags, "--cluster", "c.yaml").code == 3
    assert call("confirm", "mine", "--address", "http://head:8265").code == 3
    given = ["--top=2", "--train-on=train+validation", "--gpus-per-trial=0.5", "--address=auto"]
    assert asked == [
        (["confirm", "runs/mine", *given], "c.yaml", None),
        (["confirm", "runs/mine", "--address=auto"], None, "http://head:8265"),
    ]
