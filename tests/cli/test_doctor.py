"""`tuner doctor`."""

from importlib.metadata import version

import pytest
from support.commands import Call

from tuner import doctor
from tuner.doctor import Check, Status


@pytest.mark.parametrize(
    ("status", "code"), [(Status.OK, 0), (Status.WARNING, 0), (Status.PROBLEM, 1)]
)
def test_doctor_prints_its_findings_and_the_remedies(
    call: Call, monkeypatch: pytest.MonkeyPatch, status: Status, code: int
) -> None:
    checks = [
        Check("python", Status.OK, version("pytest")),
        Check("disk", status, "little [b]left[/b]\x1b[2J", "rm 'a [file]'"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: checks)
    ended = call("doctor")
    assert (ended.code, ended.err) == (code, "")
    assert "little [b]left[/b]�[2J" in ended.out
    assert "rm 'a [file]'" in ended.out
    assert [line.split()[0] for line in ended.out.splitlines()[:2]] == ["ok", str(status)]
