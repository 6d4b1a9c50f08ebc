"""Routes of signing in, of people and accounts, and of their tokens."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit, root_of
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.api.guard import COOKIE, session_of
from segue.service import (
    AccountChangeView,
    AccountDecision,
    IdentityChange,
    IdentityView,
    Login,
    MadeToken,
    NewIdentity,
    NewToken,
    OwnPassword,
    Page,
    Session,
    TokenView,
    TotpCode,
    TotpSecret,
    WhoAmI,
)

router = APIRouter(tags=["identities"])
Kind = Annotated[Literal["person", "service"], Path(description="A person, or a service account.")]
Who = Annotated[str, Path(alias="identity", description="Its name.", min_length=1, max_length=63)]
Number = Annotated[int, Path(alias="change", description="Number of the change.", ge=1, le=2**53)]
ChangeState = Annotated[Literal["waiting", "approved", "refused", "lapsed", "all"], Query(description="Only these.")]
Token = Annotated[str, Path(alias="token", description="Id of the token.", min_length=1, max_length=64)]
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@router.post(
    "/login",
    **operation(
        "login",
        "Sign in",
        answers={200: json_answer(Session, "Signed in; the session is also in a cookie that no script reads.")},
        problems=("identity-unknown", "login-refused", "login-barred"),
        body=json_body(Login),
    ),
)
async def login(request: Request, service: Asked) -> Response:
    """The answer is the same for every wrong part, and takes as long for a name that nobody has."""
    return with_session(request, await service.sessions.login(await read_json(request, Login)))


def with_session(request: Request, session: Session) -> Response:
    """The session as an answer, and as a cookie."""
    return keep_session(request, session, json_response(session))


def keep_session(request: Request, session: Session, response: Response) -> Response:
    """The response, which leaves the session in a cookie that no script reads and no other page's request carries."""
    response.set_cookie(
        COOKIE,
        session.token,
        max_age=12 * 3600,
        path=root_of(request.scope) + "/",
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )
    return response


def is_secure(request: Request) -> bool:
    """A cookie may say `Secure`."""
    # A browser drops a secure cookie that came over plain HTTP; only this machine itself is spoken to like that.
    return request.url.scheme == "https" or request.url.hostname not in _LOOPBACK


@router.post(
    "/logout",
    **operation("logout", "Sign out", answers={200: {"description": "The session has ended."}}),
)
async def logout(request: Request, service: Asked) -> Response:
    """Ends the session of the cookie, or of the header."""
    headers = dict(request.scope["headers"])
    bearer = headers.get(b"authorization", b"").partition(b" ")[2].strip().decode("latin-1")
    await service.sessions.logout(bearer or session_of(headers))
    return forget_session(request, json_response({}))


def forget_session(request: Request, response: Response) -> Response:
    """The response, which takes that cookie away."""
    response.delete_cookie(COOKIE, path=root_of(request.scope) + "/")
    return response


@router.get(
    "/whoami",
    **operation("whoAmI", "Who the bearer is", answers={200: json_answer(WhoAmI, "And what they may do.")}),
)
async def whoami(service: Asked) -> Response:
    """Actions are those that no rule about a particular thing forbids."""
    return json_response(await service.sessions.whoami())


@router.post(
    "/me/password",
    **operation(
        "setOwnPassword",
        "Choose another password",
        answers={200: json_answer(IdentityView, "Every session and token of the person has ended.")},
        problems=("identity-unknown", "login-refused", "login-barred"),
        body=json_body(OwnPassword),
    ),
)
async def set_own_password(request: Request, service: Asked) -> Response:
    """At least twelve characters."""
    return json_response(await service.own_credentials.set_password(await read_json(request, OwnPassword)))


@router.post(
    "/me/totp",
    **operation(
        "beginTotp",
        "Get a secret for one-time codes",
        answers={200: json_answer(TotpSecret, "Shown this once.")},
        problems=("identity-unknown", "identity-refused"),
    ),
)
async def begin_totp(service: Asked) -> Response:
    """Codes are asked for once one was confirmed."""
    return json_response(await service.own_credentials.begin_totp())


@router.post(
    "/me/totp/confirm",
    **operation(
        "confirmTotp",
        "Ask for one-time codes from now on",
        answers={200: json_answer(IdentityView, "Every login asks for a code now.")},
        problems=("identity-unknown", "login-refused"),
        body=json_body(TotpCode),
    ),
)
async def confirm_totp(request: Request, service: Asked) -> Response:
    """Takes a code of the new secret."""
    return json_response(await service.own_credentials.confirm_totp(await read_json(request, TotpCode)))


@router.get(
    "/identities",
    **operation(
        "listIdentities",
        "List people and accounts",
        answers={200: json_answer(Page[IdentityView], "By kind and name.")},
    ),
)
async def list_identities(service: Asked, limit: Limit = 50, after: After = None) -> Response:
    """Also those that were removed: records name them."""
    return json_response(await service.accounts.page(limit=limit, after=after))


@router.post(
    "/identities",
    **operation(
        "addIdentity",
        "Add a person or a service account",
        answers={201: json_answer(IdentityView, "Added.")},
        problems=("identity-taken", "identity-refused"),
        body=json_body(NewIdentity),
    ),
)
async def add_identity(request: Request, service: Asked) -> Response:
    """A person may get a password; a service account gets tokens."""
    added = await service.accounts.add(await read_json(request, NewIdentity))
    return json_response(added, 201, {"Location": f"/api/v1/identities/{added.kind}/{added.id}"})


@router.get(
    "/identities/{kind}/{identity}",
    **operation(
        "getIdentity",
        "Read a person or account",
        answers={200: json_answer(IdentityView, "Nothing of its credentials.")},
        problems=("identity-unknown",),
    ),
)
async def get_identity(kind: Kind, identity: Who, service: Asked) -> Response:
    """Roles, groups, limits and state."""
    return json_response(await service.accounts.get(kind, identity))


@router.post(
    "/identities/{kind}/{identity}",
    **operation(
        "changeIdentity",
        "Change, lock or remove a person or account",
        answers={200: json_answer(IdentityView, "As it is now.")},
        problems=("identity-unknown", "identity-refused"),
        body=json_body(IdentityChange),
    ),
)
async def change_identity(kind: Kind, identity: Who, request: Request, service: Asked) -> Response:
    """What is left out stays. Whoever is locked or removed is signed in nowhere, at once."""
    wanted = await read_json(request, IdentityChange)
    return json_response(await service.accounts.change(kind, identity, wanted))


@router.get(
    "/identities/{kind}/{identity}/tokens",
    **operation(
        "listTokens",
        "List the tokens of a person or account",
        answers={200: json_answer(list[TokenView], "Oldest first; nothing that their bearers hold.")},
        problems=("identity-unknown",),
    ),
)
async def list_tokens(kind: Kind, identity: Who, service: Asked) -> Response:
    """With scope, expiry and last use."""
    return json_response(await service.tokens.of(kind, identity))


@router.post(
    "/identities/{kind}/{identity}/tokens",
    **operation(
        "makeToken",
        "Make a token",
        answers={201: json_answer(MadeToken, "`token` is shown this once.")},
        problems=("identity-unknown", "identity-refused"),
        body=json_body(NewToken),
    ),
)
async def make_token(kind: Kind, identity: Who, request: Request, service: Asked) -> Response:
    """Worth what its identity may, or the scopes of it that are named."""
    made = await service.tokens.make(kind, identity, await read_json(request, NewToken))
    return json_response(made, 201)


@router.delete(
    "/tokens/{token}",
    **operation(
        "revokeToken",
        "End a token",
        answers={200: json_answer(TokenView, "It counts no longer.")},
        problems=("token-unknown",),
    ),
)
async def revoke_token(token: Token, service: Asked) -> Response:
    """At once."""
    return json_response(await service.tokens.revoke(token))


@router.get(
    "/identity-changes",
    **operation(
        "listIdentityChanges",
        "Changes of people that wait for a second administrator",
        answers={200: json_answer(Page[AccountChangeView], "Newest first.")},
    ),
)
async def list_changes(
    service: Asked, state: ChangeState = "waiting", limit: Limit = 50, after: After = None
) -> Response:
    """With who wants it, whom it is about, and what it would do; never a password."""
    chosen = None if state == "all" else state
    return json_response(await service.account_changes.page(state=chosen, limit=limit, after=after))


@router.post(
    "/identity-changes/{change}/decide",
    **operation(
        "decideIdentityChange",
        "Approve or refuse somebody else's change of a person",
        answers={200: json_answer(AccountChangeView, "As it was decided.")},
        problems=(
            *("account-change-unknown", "account-change-decided", "identity-unknown", "identity-taken"),
            "identity-refused",
        ),
        body=json_body(AccountDecision),
    ),
)
async def decide_change(change: Number, request: Request, service: Asked) -> Response:
    """Approving makes it as it was asked for."""
    return json_response(await service.account_changes.decide(change, await read_json(request, AccountDecision)))
