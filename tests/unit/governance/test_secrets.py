"""Secret sources and the redactor."""

from __future__ import annotations

import base64
import logging
from pathlib import Path
from typing import Any

import pytest

from segue.governance import MASK, ChainedSecrets, EnvironmentSecrets, FileSecrets, Redactor, mentions_secret
from segue.types import SecretText, TaskFailure, failure


async def test_a_secret_is_read_from_the_variable_named_after_it() -> None:
    """An operator must be able to tell the variable from the name in the document."""
    secrets = EnvironmentSecrets(environment={"SEGUE_SECRET_CRM_TOKEN": "abc"})

    assert await secrets.read("crm-token") == "abc"


async def test_a_json_object_makes_a_structured_secret() -> None:
    """User name and password belong together, and `$secrets.crm.password` must find its field."""
    secrets = EnvironmentSecrets(
        environment={"SEGUE_SECRET_CRM": '{"password": "x"}', "SEGUE_SECRET_ODD": "{not json"}
    )

    assert await secrets.read("crm") == {"password": "x"}
    assert await secrets.read("odd") == "{not json"


async def test_an_absent_secret_names_the_variable_to_set() -> None:
    """The message must say what to do next."""
    with pytest.raises(TaskFailure, match="SEGUE_SECRET_GONE") as caught:
        await EnvironmentSecrets(environment={}).read("gone")

    assert caught.value.failure.status == 403


async def test_a_file_secret_loses_its_last_line_end_only(tmp_path: Path) -> None:
    """Editors add a line end; passwords may hold spaces."""
    (tmp_path / "crm").write_text(" pass word \n")

    assert await FileSecrets(tmp_path).read("crm") == " pass word "


@pytest.mark.parametrize("name", ["../etc/passwd", "", "a/b", ".hidden", "a\0b"])
async def test_a_secret_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    """The name comes from a document, and documents come from many authors."""
    with pytest.raises(TaskFailure, match="cannot be the name"):
        await FileSecrets(tmp_path).read(name)


async def test_a_file_that_others_may_read_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning at each read would bury the one that matters."""
    (tmp_path / "crm").write_text("x")
    (tmp_path / "crm").chmod(0o644)
    secrets = FileSecrets(tmp_path)

    with caplog.at_level(logging.WARNING):
        await secrets.read("crm")
        await secrets.read("crm")

    assert [record.message for record in caplog.records] == [
        "the secret file 'crm' can be read by others: set its mode to 0600"
    ]


async def test_a_chain_asks_in_order_and_reports_every_refusal(tmp_path: Path) -> None:
    """Somebody who set the secret in the wrong place must see all the places that were looked at."""
    chain = ChainedSecrets(EnvironmentSecrets(environment={"SEGUE_SECRET_A": "env"}), FileSecrets(tmp_path))
    (tmp_path / "a").write_text("file")
    (tmp_path / "b").write_text("file")

    assert await chain.read("a") == "env"
    assert await chain.read("b") == "file"
    with pytest.raises(TaskFailure, match=r"SEGUE_SECRET_C.*secrets folder"):
        await chain.read("c")


class _Fixed:
    async def read(self, name: str) -> Any:
        return {"crm": {"token": "s3cret/+value", "pin": "12"}, "number": 123456}[name]


async def test_references_are_revealed_at_any_depth() -> None:
    """A header, a nested body field and text around a reference must all arrive revealed."""
    value = {"a": [SecretText.of("crm", "token")], "b": SecretText.of("crm", "pin").joined_after("pin "), "c": 1}

    revealed = await Redactor().reveal(value, _Fixed())

    assert revealed == {"a": ["s3cret/+value"], "b": "pin 12", "c": 1}


async def test_a_missing_field_is_named_and_no_value_is_shown() -> None:
    """The message reaches the run's history."""
    with pytest.raises(TaskFailure) as caught:
        await Redactor().reveal(SecretText.of("crm", "tokn"), _Fixed())

    assert "'crm' has no field 'tokn'" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "echo",
    [
        "s3cret/+value",
        "before s3cret/+value after",
        "s3cret%2F%2Bvalue",
        base64.b64encode(b"s3cret/+value").decode(),
        {"deep": ["s3cret/+value"]},
        {"s3cret/+value": 1},
    ],
)
async def test_an_echoed_secret_is_masked_in_every_form(echo: Any) -> None:
    """Peers echo credentials in error messages, URLs and headers."""
    redactor = Redactor()
    await redactor.reveal(SecretText.of("crm", "token"), _Fixed())

    masked = str(redactor.mask(echo))

    assert MASK in masked
    assert "s3cret" not in masked
    assert base64.b64encode(b"s3cret/+value").decode() not in masked


async def test_a_short_secret_is_masked_only_as_a_whole() -> None:
    """Masking every '12' would destroy results and betray the secret by its holes."""
    redactor = Redactor()
    await redactor.reveal(SecretText.of("crm", "pin"), _Fixed())

    assert redactor.mask({"a": "12", "b": "on the 12th"}) == {"a": MASK, "b": "on the 12th"}


async def test_a_number_that_is_a_secret_is_masked() -> None:
    """A numeric secret comes back as a number from a peer that parses it."""
    redactor = Redactor()
    await redactor.reveal(SecretText.of("number"), _Fixed())

    assert redactor.mask([123456, 7, True]) == [MASK, 7, True]


async def test_failures_are_masked_in_all_their_texts() -> None:
    """A failure stands in history and is shown to people."""
    redactor = Redactor()
    redactor.note({"password": "hunter22"})

    masked = redactor.mask_failure(failure("communication", "login with hunter22 failed", status=401))

    assert masked.detail == f"login with {MASK} failed"
    assert masked.status == 401


@pytest.mark.parametrize("secret", ['qu"ote', "back\\slash", "tab\tnl\n", "häßlich", "9876543210", "ab"])
@pytest.mark.parametrize("place", ["value", "key", "inside", "number"])
def test_the_quick_search_overlooks_nothing(secret: str, place: str) -> None:
    """Values are first searched as bytes; what JSON writes differently must be found there too."""
    redactor = Redactor()
    redactor.note(secret)
    values: dict[str, Any] = {"value": [{"a": secret}], "key": {secret: 1}, "inside": {"a": [f"<{secret}>"]}}
    values["number"] = {"n": int(secret)} if secret.isdigit() else {"n": secret}

    masked = redactor.mask(values[place])

    if place == "inside" and len(secret) < 4:
        assert masked == values[place]
    else:
        assert masked != values[place]
        assert secret not in str(masked)


def test_a_redactor_that_revealed_nothing_hands_values_through() -> None:
    """Most acts use no secret and must not pay for a walk over their results."""
    value = {"large": [1, 2, 3]}

    assert Redactor().mask(value) is value


def test_text_that_looks_like_a_reference_reveals_nothing() -> None:
    """A stranger's text must not be able to ask for a secret."""
    assert not mentions_secret({"a": ["[secret crm.token]", "${ $secrets.crm }"]})
    assert mentions_secret({"a": [SecretText.of("crm")]})
