"""`$secrets.name.field`: the one use of secrets that an expression may make.

A secret is named by constants only, so the names are known before anything runs and can be checked against
what the document declares. Its value is not there when the expression runs; a `SecretText` stands for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from segue.dsl.expressions import tree
from segue.types import SecretText

if TYPE_CHECKING:
    from segue.dsl.expressions.codes import Scope
    from segue.dsl.expressions.compiler import Compiler

SECRETS: Final = "secrets"
_HINT: Final = "name one secret, as in $secrets.crm.token"


def secret_path(node: tree.Node) -> tuple[str, ...] | None:
    """The path of `$secrets.a.b`; None for anything else, `$secrets` alone included."""
    keys: list[str] = []
    while isinstance(node, tree.Index) and isinstance(node.key, tree.Constant):
        if type(node.key.value) is not str:
            return None
        keys.append(node.key.value)
        node = node.base
    if not keys or not isinstance(node, tree.Variable) or node.name != SECRETS:
        return None
    return tuple(reversed(keys))


def secret_reference(compiler: Compiler, node: tree.Node, scope: Scope) -> SecretText | None:
    """What stands for the secret that `node` names; None where it names none.

    Raises:
        ExpressionRefused: It uses `$secrets` in any other way.
    """
    if SECRETS in scope.variables and scope.variables[SECRETS] != SECRET_SLOT:
        return None  # The expression has bound a variable of its own by that name.
    if SECRETS not in scope.variables:
        return None
    path = secret_path(node)
    if path is not None:
        return SecretText.of(*path)
    base = node
    while isinstance(base, tree.Index | tree.Slice | tree.Iterate):
        base = base.base
    if isinstance(base, tree.Variable) and base.name == SECRETS:
        problem = "the secrets as a whole" if base is node else "secrets by a computed name"
        raise compiler.refuse(f"an expression cannot read {problem}", node, _HINT)
    return None


SECRET_SLOT: Final = -1
"""The slot `$secrets` is bound to: none, because it has no value."""
