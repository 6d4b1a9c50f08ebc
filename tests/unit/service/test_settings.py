"""Settings: four sources, one order."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from segue.service import OutboundSettings, ServiceError, Settings, load_settings
from segue.service.settings import TABLES


def test_a_flag_beats_the_environment_that_beats_the_file(tmp_path: Path) -> None:
    """The nearer to the command, the stronger."""
    (tmp_path / "segue.toml").write_text('port = 1\nhost = "10.0.0.1"\nacts_max = 7\n')
    environment = {"SEGUE_PORT": "2", "SEGUE_HOST": "10.0.0.2"}

    settings = load_settings(tmp_path, environment=environment, flags={"port": 3, "host": None})

    assert (settings.port, settings.host, settings.acts_max) == (3, "10.0.0.2", 7)


def test_tables_merge_setting_by_setting(tmp_path: Path) -> None:
    """A variable for one limit must not reset the others."""
    (tmp_path / "segue.toml").write_text("[outbound]\nallow_private = true\nmax_redirects = 3\n")

    settings = load_settings(tmp_path, environment={"SEGUE_OUTBOUND_MAX_REDIRECTS": "5"})

    assert settings.outbound == OutboundSettings(allow_private=True, max_redirects=5)


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("SEGUE_ALLOW_PROCESSES", "yes", "allow_processes", True),
        ("SEGUE_ALLOW_PROCESSES", "0", "allow_processes", False),
        ("SEGUE_FUNCTIONS", "a:b, c:d", "functions", ("a:b", "c:d")),
        ("SEGUE_SECRETS_FOLDER", "/run/secrets", "secrets_folder", "/run/secrets"),
    ],
)
def test_the_environment_writes_values_as_text(variable: str, text: str, name: str, value: object) -> None:
    """Variables have no types, settings do."""
    assert getattr(load_settings(None, environment={variable: text}), name) == value


@pytest.mark.parametrize(
    ("file", "environment", "said"),
    [
        ("port = 'x'", {}, "segue.toml"),
        ("no_such = 1", {}, "no_such"),
        ("port = ", {}, "segue.toml"),
        ("port = 70000", {}, "70000"),
        ("max_body_bytes = 0", {}, "max_body_bytes"),
        ("", {"SEGUE_PORT": "many"}, "SEGUE_PORT"),
        ("", {"SEGUE_ALLOW_PROCESSES": "perhaps"}, "SEGUE_ALLOW_PROCESSES"),
        ("[outbound]\nallow_privat = true", {}, "allow_privat"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_source(
    tmp_path: Path, file: str, environment: dict[str, str], said: str
) -> None:
    """A typing error must not quietly mean the default."""
    (tmp_path / "segue.toml").write_text(file)

    with pytest.raises(ServiceError) as caught:
        load_settings(tmp_path, environment=environment)

    assert caught.value.kind == "setting-refused"
    assert said in caught.value.detail


def test_an_unknown_variable_is_told_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """Other programs may share the prefix, and typing errors happen."""
    with caplog.at_level(logging.WARNING):
        load_settings(None, environment={"SEGUE_PROT": "1", "SEGUE_SECRET_CRM": "s3cret", "SEGUE_URL": "http://x"})

    assert "SEGUE_PROT" in caplog.text
    assert "s3cret" not in caplog.text
    assert "SEGUE_SECRET_CRM" not in caplog.text


def test_every_setting_is_in_the_docs() -> None:
    """What is not documented does not exist for anybody."""
    text = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()

    for table, struct in (("", Settings), *((f"{name}.", struct) for name, struct in TABLES.items())):
        for field in msgspec.structs.fields(struct):
            if field.name in TABLES:
                continue
            assert f"`{table}{field.name}`" in text, f"docs/settings.md lacks {table}{field.name}"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"issuer": "http://login.example"}, "https"),
        ({"issuer": "https://login.example/?a=b"}, "https"),
        ({"issuer": "file:///etc"}, "https"),
        ({"scopes": ["profile"]}, "openid"),
        ({"roles": {"ops": ["owner"]}}, "owner"),
        ({"roles": {"ops": ["system"]}}, "owner"),
    ],
)
def test_a_provider_that_could_be_imitated_or_would_make_owners_is_refused(wrong: Any, said: str) -> None:
    """Whoever controls a group elsewhere must not come to own the folder; codes travel over TLS only."""
    oidc = {"issuer": "https://login.example", "client_id": "segue"}
    assert load_settings(None, environment={}, flags={"oidc": oidc}).oidc is not None
    with pytest.raises(ServiceError, match=said) as caught:
        load_settings(None, environment={}, flags={"oidc": oidc | wrong})
    assert caught.value.kind == "setting-refused"
