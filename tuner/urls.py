"""Passwords and tokens in URLs: settings that hold one are refused, texts are written without.

A run folder records its settings, reports show them, and clusters get them, so no secret may be in one.
"""

import re

_MASK = "***"
_USER = re.compile(r"\b([A-Za-z][\w+.-]*://[^/\s:@]*):[^/\s]*@")
_QUERY = re.compile(
    r"([?&;][^=&;\s]*(?:pass|pwd|secret|token|key|sig|auth|cred)[^=&;\s]*=)[^&;#\s'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """`text` with *** in place of passwords and tokens in its URLs: `sftp://anna:***@host/runs`."""
    return _QUERY.sub(rf"\1{_MASK}", _USER.sub(rf"\1:{_MASK}@", text))


def holds_secret(url: str) -> bool:
    """Whether a password or a token is in `url`."""
    return without_secrets(url) != url
