"""Settings of several workspaces: what all share, what each has alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segue.service import ServiceError, Settings, load_settings, load_shared
from segue.service.shared import OF_EACH, OF_THE_SERVER, is_name, secret_variables


def workspace(tmp_path: Path, shared: str = "", own: str = "", name: str = "sales") -> Path:
    """A workspace of several."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    (tmp_path / "workspaces.toml").write_text(shared)
    (folder / "segue.toml").write_text(own)
    return folder


def load(folder: Path, **more: Any) -> Settings:
    """Its settings, in an environment that says nothing."""
    return load_settings(folder, **{"environment": {}, **more})


def test_a_workspace_has_what_all_share_unless_it_says_otherwise(tmp_path: Path) -> None:
    """The defaults of an installation are written once; flags and the environment beat both files, as ever."""
    folder = workspace(tmp_path, "acts_max = 5\nretention_days = 7\n[outbound]\nallow_private = true", "acts_max = 9")

    found = load(folder, defaults={"failures": "hold"})

    assert (found.workspace, found.acts_max, found.retention_days, found.failures) == ("sales", 9, 7, "hold")
    assert found.outbound.allow_private
    assert load(folder, environment={"SEGUE_ACTS_MAX": "11"}).acts_max == 11
    assert load(folder, environment={"SEGUE_ACTS_MAX": "11"}, flags={"acts_max": 12}).acts_max == 12


def test_a_folder_beside_no_others_is_as_it_was(tmp_path: Path) -> None:
    """Nothing changes for whoever has one workspace."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "segue.toml").write_text("port = 1\nallow_processes = true\nsecrets_folder = 'x'")

    found = load(folder)

    assert (found.workspace, found.port, found.secret_variables) == ("default", 1, "SEGUE_SECRET_")


@pytest.mark.parametrize("source", ["the file", "the environment", "a flag"])
def test_each_workspace_has_an_address_of_its_own(tmp_path: Path, source: str) -> None:
    """A mail of one must not bring a link to another, whoever said where the server is."""
    said = "https://segue.example/"
    folder = workspace(tmp_path, f"public_url = '{said}'" if source == "the file" else "")
    found = load(
        folder,
        environment={"SEGUE_PUBLIC_URL": said} if source == "the environment" else {},
        flags={"public_url": said} if source == "a flag" else {},
    )
    assert found.public_url == "https://segue.example/w/sales"
    own = workspace(tmp_path, f"public_url = '{said}'", "public_url = 'https://sales.example'")
    assert load(own).public_url == "https://sales.example"


VALUES = {
    "workspace": "'x'",
    "secrets_folder": "'x'",
    "secret_variables": "'X_'",
    "connection_variables": "['X']",
    "key_file": "'x'",
    "audit_key_file": "'x'",
    "host": "'::1'",
    "port": "1",
    "allowed_hosts": "['x']",
    "behind_proxy": "['10.0.0.1']",
    "tls_cert_file": "'x'",
    "tls_key_file": "'x'",
    "max_body_bytes": "1",
    "guesses_per_minute": "1",
}


@pytest.mark.parametrize("name", sorted(OF_EACH))
def test_what_only_one_may_have_is_not_shared(tmp_path: Path, name: str) -> None:
    """One folder of secrets for all would be one border less."""
    folder = workspace(tmp_path, f"{name} = {VALUES[name]}")

    with pytest.raises(ServiceError, match="would count for every workspace"):
        load(folder)
    with pytest.raises(ServiceError, match="would count for every workspace"):
        load_shared(tmp_path, environment={})


@pytest.mark.parametrize("name", sorted((OF_THE_SERVER - {"tls_key_file"}) | {"secret_variables"}))
def test_what_is_the_servers_is_not_for_one_of_several_to_say(tmp_path: Path, name: str) -> None:
    """Ignored in silence, it would be believed to count."""
    with pytest.raises(ServiceError, match="not for one of several"):
        load(workspace(tmp_path, own=f"{name} = {VALUES[name]}"))


@pytest.mark.parametrize("where", ["shared", "own"])
def test_programs_are_refused_where_they_could_read_other_workspaces(tmp_path: Path, where: str) -> None:
    """They run as the user that all folders belong to."""
    with pytest.raises(ServiceError, match="could read the others"):
        load(workspace(tmp_path, **{where: "allow_processes = true"}))
    with pytest.raises(ServiceError, match="could read the folders of the others"):
        load_shared(tmp_path, environment={}, flags={"allow_processes": True})


@pytest.mark.parametrize("name", ["a", "sales-eu", "0", "x" * 63])
def test_such_names_are_a_workspaces(name: str) -> None:
    """They stand in addresses, folders and variables without any escape."""
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "A", "a--b", "-a", "a-", "a_b", "a.b", "..", "a/b", "a b", "ä", "a\n", "x" * 64]
)
def test_such_names_are_not(name: str) -> None:
    """Each would be written differently somewhere, or read as another."""
    assert not is_name(name)


def test_no_variable_of_one_workspace_is_one_of_another() -> None:
    """`SEGUE_SECRET_A__B__C` can be a secret of `a` and of no workspace `a-b` or `a--b`."""
    names = ["a", "a-b", "a-b-c", "b", "ab", "a0", "sales", "sales-eu"]
    beginnings = [secret_variables(name) for name in names]

    for one in beginnings:
        assert [other for other in beginnings if other.startswith(one)] == [one]
