"""Passwords and tokens in URLs, which nothing may write down or show."""

import pytest

from tuner.urls import holds_secret, without_secrets

SECRETS = {
    "sftp://anna:s3cr3t@host/runs": "sftp://anna:***@host/runs",
    "sftp://anna:s3@cr3t@host/runs": "sftp://anna:***@host/runs",
    "smb://:s3cr3t@host/share": "smb://:***@host/share",
    "postgresql+psycopg://u:s3cr3t@db:5432/x": "postgresql+psycopg://u:***@db:5432/x",
    "https://host/x?token=s3cr3t": "https://host/x?token=***",
    "https://host/x?a=1&X-Amz-Signature=s3cr3t&b=2": "https://host/x?a=1&X-Amz-Signature=***&b=2",
    "https://x.blob/c?sv=2&SIG=s3cr3t%2F#f": "https://x.blob/c?sv=2&SIG=***#f",
    "webhdfs://host/x?api_key=s3cr3t": "webhdfs://host/x?api_key=***",
}


@pytest.mark.parametrize("url", SECRETS)
def test_secrets_are_found_and_masked_also_within_a_sentence(url: str) -> None:
    assert holds_secret(url)
    assert without_secrets(url) == SECRETS[url]
    sentence = without_secrets(f"{url}: cannot be reached; 'see {url}'")
    assert "s3cr3t" not in sentence.replace("s3@", "")
    assert "cannot be reached; 'see" in sentence


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/runs",
        "sftp://anna@host:22/runs",
        "http://localhost:5000",
        "https://host/x?page=2",
        "at 10:30 write to a@b.c",
        "memory://x/y@z:1@w",
        "/home/a:b@c/runs",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert without_secrets(text) == text
