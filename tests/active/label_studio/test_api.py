"""The client of Label Studio's API: its tokens, and all that may go wrong."""

from __future__ import annotations

import pytest
from fake_studio import PERSONAL, TOKEN, FakeStudio

from usl.active.label_studio.api import Api, AwayError, NotThereError
from usl.active.label_studio.project import open_project
from usl.core.errors import DataError, UsageError


@pytest.fixture
def other():
    """A Label Studio with nothing in its project."""
    made = FakeStudio()
    yield made
    made.stop()


@pytest.mark.parametrize("token", [TOKEN, PERSONAL])
def test_both_kinds_of_tokens_open(other, token):
    api = Api(other.url, token)
    found = open_project(api, None)
    assert str(found) == f"project 3 ('Pets') of {other.url}"
    refreshed = [path for _, path, _ in other.requests if path == "/api/token/refresh/"]
    assert len(refreshed) == (token == PERSONAL)


def test_what_a_person_has_to_mend_is_said(other):
    with pytest.raises(DataError, match=r"does not take the token \(Invalid token.\)"):
        Api(other.url, "0" * 40).get("/api/projects/")
    with pytest.raises(DataError, match=r"has no project 9, but 3 \('Pets'\)"):
        open_project(Api(other.url, TOKEN), 9)
    with pytest.raises(NotThereError):
        Api(other.url, TOKEN).get("/api/tasks/1/")


def test_no_redirect_is_followed(other):
    other.redirect = "http://elsewhere.example/"
    with pytest.raises(DataError, match=r"leads elsewhere, to http://elsewhere\.example/"):
        Api(other.url, TOKEN).get("/api/projects/")


def test_what_may_pass_is_told_apart(other):
    api = Api(other.url, TOKEN)
    other.broken = True
    with pytest.raises(AwayError, match="status 503"):
        api.get("/api/projects/")
    other.broken = False
    other.stop()
    with pytest.raises(AwayError, match="does not answer"):
        Api(other.url, TOKEN).get("/api/projects/")


@pytest.mark.parametrize(
    ("url", "token", "words"),
    [
        ("localhost:8080", TOKEN, "url"),
        ("ftp://host", TOKEN, "url"),
        ("http://a:b@host", TOKEN, "url"),
        ("http://", TOKEN, "url"),
        ("http://host", "", "token"),
        ("http://host", "a\r\nb: c", "token"),
    ],
)
def test_addresses_and_tokens_are_checked(url, token, words):
    with pytest.raises(UsageError, match=words):
        Api(url, token)
