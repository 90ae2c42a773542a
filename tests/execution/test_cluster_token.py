"""The cluster's token: who may read it, and over which way it leaves this machine."""

from pathlib import Path

import pytest

from tuner.errors import ConfigError
from tuner.execution.cluster_token import check_token

LOOPBACK = "http://localhost:8265"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "auth_token"
    path.write_text("t0ken")
    path.chmod(0o600)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_token_that_others_may_read_is_refused(token: Path, mode: int) -> None:
    token.chmod(mode)
    with pytest.raises(ConfigError, match=f"may read the cluster's token; chmod 600 {token}"):
        check_token(LOOPBACK)


@pytest.mark.parametrize(
    "address", [LOOPBACK, "http://127.0.0.1:8265", "http://[::1]:8265", "https://head.example:8265"]
)
def test_a_private_way_needs_no_word(
    token: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    check_token(address)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("address", ["http://10.0.0.7:8265", "http://head:8265", "http://[::2]"])
def test_a_token_that_leaves_this_machine_unencrypted_is_told(
    token: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    check_token(address)
    assert f"token goes to {address} unencrypted; `ray dashboard`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"), [("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "another")]
)
def test_a_file_that_is_not_used_is_not_refused(
    token: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    token.chmod(0o644)
    monkeypatch.setenv(name, value)
    check_token(LOOPBACK)


def test_without_a_token_nothing_is_said(token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token.unlink()
    check_token("http://10.0.0.7:8265")
    assert capsys.readouterr() == ("", "")
