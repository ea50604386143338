"""Only requests of a server's own pages and of local programs are answered."""

from __future__ import annotations

import pytest

from search.system.gate import refusal

OWN = {"host": "127.0.0.1:3000", "content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"host": "127.0.0.1:3000"}),
        ("GET", {"host": "LOCALHOST:3000"}),
        ("GET", {"host": "[::1]:3000", "origin": "http://[::1]:3000"}),
        ("POST", OWN),
        ("POST", OWN | {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}),
        ("POST", OWN | {"content-type": "application/json; charset=utf-8"}),
    ],
)
def test_own_requests_are_answered(method: str, headers: dict[str, str]) -> None:
    assert refusal(method, headers, 3000) is None


@pytest.mark.parametrize(
    ("method", "headers", "says"),
    [
        ("GET", {}, "Host"),
        ("GET", {"host": "127.0.0.1"}, "Host"),
        ("GET", {"host": "127.0.0.1:3001"}, "Host"),
        ("GET", {"host": "rebound.example:3000"}, "Host"),
        ("GET", {"host": "127.0.0.1:3000.example"}, "Host"),
        ("GET", {"host": "127.0.0.1:3000", "origin": "http://evil.example"}, "Origin"),
        ("GET", {"host": "127.0.0.1:3000", "origin": "null"}, "Origin"),
        ("GET", {"host": "127.0.0.1:3000", "origin": "http://localhost:3000"}, "Origin"),
        ("POST", OWN | {"origin": "https://127.0.0.1:3000"}, "Origin"),
        ("POST", OWN | {"sec-fetch-site": "cross-site"}, "another site"),
        ("POST", OWN | {"content-type": "text/plain"}, "Content-Type"),
        ("POST", OWN | {"content-type": "text/plain;application/json"}, "Content-Type"),
        ("POST", OWN | {"content-type": "multipart/form-data; boundary=x"}, "Content-Type"),
        ("POST", OWN | {"content-type": "application/x-www-form-urlencoded"}, "Content-Type"),
        ("POST", {"host": "127.0.0.1:3000"}, "Content-Type"),
    ],
)
def test_other_requests_are_refused(method: str, headers: dict[str, str], says: str) -> None:
    found = refusal(method, headers, 3000)
    assert found is not None and says in found
