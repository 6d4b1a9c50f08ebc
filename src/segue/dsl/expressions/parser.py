"""Tokens to tree.

A query is pipes of commas of expressions; an expression is a precedence climb over postfix terms. The
precedences, weakest first: `|` `,` `//` assignments `or` `and` comparisons `+ -` `* / %`. `def`, `label` and
`... as $x |` take everything to their right, up to the bracket that holds them.

Depth is bounded twice. Brackets may nest `NESTING_MAX` deep, so that a hostile text meets a clear error long
before the interpreter's own limit; and a tree may be `HEIGHT_MAX` high, which also bounds long chains such as
`.a + .a + ...`, because every later pass recurses over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NoReturn

from segue.dsl.expressions import tree
from segue.dsl.expressions.errors import ExpressionRefused, ExpressionSyntaxError
from segue.dsl.expressions.numbers import number_from_text
from segue.dsl.expressions.tokens import NESTING_MAX, Token, tokenize
from segue.dsl.expressions.tree import Node, Pattern

TEXT_CHARS_MAX: Final = 64 * 1024
"""Characters of one expression. What is longer is a program and belongs into a function."""

HEIGHT_MAX: Final = 400
"""Levels of one tree, so terms of one sum or steps of one pipe."""

_ASSIGNMENTS: Final = frozenset({"=", "|=", "+=", "-=", "*=", "/=", "%=", "//="})
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_LEVELS: Final = {
    "//": 1,
    **dict.fromkeys(_ASSIGNMENTS, 2),
    "or": 3,
    "and": 4,
    **dict.fromkeys(_COMPARISONS, 5),
    "+": 6,
    "-": 6,
    "*": 7,
    "/": 7,
    "%": 7,
}


def parse(text: str) -> Node:
    """The tree of `text`.

    Raises:
        ExpressionSyntaxError: `text` is no expression; the column says where it stops being one.
        ExpressionRefused: It imports modules.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise ExpressionSyntaxError(
            f"the expression has {len(text)} characters, more than {TEXT_CHARS_MAX}",
            hint="split it over several tasks or functions",
        )
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str, tokens: list[Token] | None = None, depth: int = 0) -> None:
        self._text = text
        self._tokens = tokens if tokens is not None else tokenize(text)
        self._at = 0
        self._token = self._tokens[0]
        self._depth = depth

    def whole(self) -> Node:
        if self._token.kind == "end":
            self._fail("the expression is empty", "write . for the data itself")
        node = self._query()
        if self._token.kind != "end":
            self._unexpected("the end")
        check_height(node, self._text)
        return node

    # Tokens

    def _advance(self) -> Token:
        token = self._token
        self._at += 1
        if self._at < len(self._tokens):
            self._token = self._tokens[self._at]
        return token

    def _is(self, text: str) -> bool:
        token = self._token
        return token.text == text and token.kind in ("op", "keyword")

    def _accept(self, text: str) -> bool:
        if self._is(text):
            self._advance()
            return True
        return False

    def _expect(self, text: str, why: str = "") -> Token:
        if not self._is(text):
            self._unexpected(f"{text!r}{why}")
        return self._advance()

    def _fail(self, message: str, hint: str = "", *, column: int | None = None) -> NoReturn:
        place = self._token.start + 1 if column is None else column
        raise ExpressionSyntaxError(message, column=place, text=self._text, hint=hint)

    def _unexpected(self, wanted: str) -> NoReturn:
        token = self._token
        if token.kind == "end":
            self._fail(f"the expression ends where {wanted} is expected")
        self._fail(f"{self._text[token.start : token.end]!r} stands where {wanted} is expected")

    def _end(self) -> int:
        return self._tokens[self._at - 1].end if self._at else 0

    def _nested(self, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > NESTING_MAX:
            self._fail(f"brackets are nested more than {NESTING_MAX} deep", "bind parts to variables with as")
        node = read()
        self._depth -= 1
        return node

    # Queries

    def _query(self) -> Node:
        steps = [self._commas()]
        while self._accept("|"):
            steps.append(self._commas())
        node = steps.pop()
        while steps:
            left = steps.pop()
            node = tree.Pipe(left.column, node.end, left, node)
        return node

    def _commas(self) -> Node:
        items = [self._element()]
        while self._accept(","):
            items.append(self._element())
        if len(items) == 1:
            return items[0]
        return tree.Comma(items[0].column, self._end(), tuple(items))

    def _element(self) -> Node:
        if self._is("def"):
            return self._nested(self._define)
        if self._is("label"):
            return self._nested(self._label)
        node = self._expression(0)
        if self._accept("as"):
            patterns = self._patterns()
            self._expect("|", " and what to do with the variable")
            body = self._nested(self._query)
            return tree.As(node.column, self._end(), node, patterns, body)
        return node

    def _define(self) -> Node:
        column = self._advance().start + 1
        if self._token.kind not in ("name", "keyword"):
            self._unexpected("the name of a function")
        name = self._advance().text
        parameters: list[tuple[str, bool]] = []
        if self._accept("("):
            parameters.append(self._parameter())
            while self._accept(";"):
                parameters.append(self._parameter())
            self._expect(")")
        self._expect(":")
        body = self._nested(self._query)
        self._expect(";", " after the function")
        rest = self._query()
        return tree.Define(column, self._end(), name, tuple(parameters), body, rest)

    def _parameter(self) -> tuple[str, bool]:
        if self._token.kind not in ("name", "variable", "keyword"):
            self._unexpected("a parameter")
        token = self._advance()
        return token.text, token.kind == "variable"

    def _label(self) -> Node:
        column = self._advance().start + 1
        name = self._variable_name()
        self._expect("|")
        body = self._query()
        return tree.Label(column, self._end(), name, body)

    def _variable_name(self) -> str:
        if self._token.kind != "variable":
            self._unexpected("a variable such as $x")
        return self._advance().text

    # Expressions

    def _expression(self, floor: int) -> Node:
        left = self._prefixed()
        while True:
            operator = self._token.text if self._token.kind in ("op", "keyword") else ""
            level = _LEVELS.get(operator, 0)
            if level == 0 or level <= floor:
                return left
            self._advance()
            # `//` groups to the right, the others to the left; assignments and comparisons not at all.
            right = self._expression(level - 1 if operator == "//" else level)
            left = _join(operator, left, right)
            if operator in _COMPARISONS and self._token.text in _COMPARISONS and self._token.kind == "op":
                self._fail("comparisons cannot be chained", "join them with and")
            if operator in _ASSIGNMENTS and self._token.text in _ASSIGNMENTS and self._token.kind == "op":
                self._fail("assignments cannot be chained", "write them one after another with |")

    def _prefixed(self) -> Node:
        if self._is("-"):
            column = self._advance().start + 1
            operand = self._nested(self._prefixed)
            return tree.Negate(column, operand.end, operand)
        if self._is("try"):
            return self._nested(self._try)
        return self._postfix()

    def _try(self) -> Node:
        column = self._advance().start + 1
        body = self._prefixed()
        handler = self._prefixed() if self._accept("catch") else None
        return tree.Try(column, self._end(), body, handler)

    def _postfix(self) -> Node:
        is_access = self._token.kind == "field" or self._is(".")
        node = self._term()
        while True:
            token = self._token
            if token.kind == "field":
                node = tree.Index(node.column, token.end, node, _key(self._advance()))
            elif token.kind != "op":
                return node
            elif token.text == "." and self._next_is_string_or_bracket():
                self._advance()
                if self._token.kind == "string":
                    node = tree.Index(node.column, self._token.end, node, self._string())
            elif token.text == "[":
                node = self._bracket(node)
            elif token.text == "?":
                self._advance()
                node = _forgiven(node, token.end, is_access=is_access)
                is_access = False
                continue
            elif token.text == "?//":
                # Patterns never come here, so `.a?//1` means `.a? // 1`.
                self._tokens[self._at] = self._token = Token("op", "//", token.start + 1, token.end)
                return _forgiven(node, token.start + 1, is_access=is_access)
            else:
                return node
            is_access = True

    def _next_is_string_or_bracket(self) -> bool:
        following = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else self._token
        return following.kind == "string" or (following.kind == "op" and following.text == "[")

    def _bracket(self, base: Node) -> Node:
        return self._nested(lambda: self._inside_bracket(base))

    def _inside_bracket(self, base: Node) -> Node:
        self._expect("[")
        column = base.column
        if self._accept("]"):
            return tree.Iterate(column, self._end(), base)
        if self._accept(":"):
            high = self._query()
            self._expect("]")
            return tree.Slice(column, self._end(), base, None, high)
        key = self._query()
        if self._accept(":"):
            limit = None if self._is("]") else self._query()
            self._expect("]")
            return tree.Slice(column, self._end(), base, key, limit)
        self._expect("]")
        return tree.Index(column, self._end(), base, key)

    # Terms

    def _term(self) -> Node:
        token = self._token
        column = token.start + 1
        match token.kind:
            case "field":
                self._advance()
                return tree.Index(column, token.end, tree.Identity(column, column), _key(token))
            case "number":
                self._advance()
                return tree.Constant(column, token.end, number_from_text(token.text))
            case "string":
                return self._string()
            case "format":
                return self._format()
            case "variable":
                self._advance()
                if token.text == "__loc__":
                    return tree.Location(column, token.end, self._text.count("\n", 0, token.start) + 1)
                return tree.Variable(column, token.end, token.text)
            case "name":
                return self._name()
            case "op":
                return self._bracketed(token, column)
            case "keyword":
                return self._keyword(token)
        return self._unexpected("a value")

    def _bracketed(self, token: Token, column: int) -> Node:
        if token.text == ".":
            self._advance()
            here = tree.Identity(column, token.end)
            if self._token.kind == "string":
                return tree.Index(column, self._token.end, here, self._string())
            return here
        if token.text == "..":
            self._advance()
            return tree.RecurseAll(column, token.end)
        if token.text == "(":
            self._advance()
            node = self._nested(self._query)
            self._expect(")")
            return node
        if token.text == "[":
            self._advance()
            content = None if self._is("]") else self._nested(self._query)
            self._expect("]")
            return tree.ArrayOf(column, self._end(), content)
        if token.text == "{":
            return self._nested(self._object)
        return self._unexpected("a value")

    def _string(self) -> Node:
        token = self._advance()
        if len(token.pieces) == 1 and isinstance(token.pieces[0], str):
            return tree.Constant(token.start + 1, token.end, token.pieces[0])
        return tree.Format(token.start + 1, token.end, "text", self._pieces(token))

    def _pieces(self, token: Token) -> tuple[str | Node, ...]:
        return tuple(p if isinstance(p, str) else self._interpolated(p) for p in token.pieces)

    def _interpolated(self, tokens: list[Token]) -> Node:
        inner = _Parser(self._text, tokens, self._depth + 1)
        if inner._depth > NESTING_MAX:
            self._fail(f"strings are interpolated more than {NESTING_MAX} deep")
        if tokens[0].kind == "end":
            inner._fail("the interpolation is empty", r"write \(.) for the data itself")
        node = inner._query()
        if inner._token.kind != "end":
            inner._unexpected("')'")
        return node

    def _format(self) -> Node:
        token = self._advance()
        column = token.start + 1
        if self._token.kind != "string":
            return tree.Format(column, token.end, token.text, None)
        string = self._advance()
        return tree.Format(column, string.end, token.text, self._pieces(string))

    def _name(self) -> Node:
        token = self._advance()
        column = token.start + 1
        if "::" in token.text:
            raise ExpressionRefused(
                f"{token.text!r} names a module, and modules are not available",
                column=column,
                text=self._text,
                hint="define the function in place with def",
            )
        constants = {"null": None, "true": True, "false": False}
        if token.text in constants and not self._is("("):
            return tree.Constant(column, token.end, constants[token.text])
        arguments: list[Node] = []
        if self._accept("("):
            arguments.append(self._nested(self._query))
            while self._accept(";"):
                arguments.append(self._nested(self._query))
            self._expect(")")
        elif token.text == "break":
            name = self._variable_name()
            return tree.Break(column, self._end(), name)
        return tree.Call(column, self._end(), token.text, tuple(arguments))

    def _keyword(self, token: Token) -> Node:
        match token.text:
            case "reduce" | "foreach":
                return self._nested(self._fold)
            case "if":
                return self._nested(self._if)
            case "import" | "include":
                raise ExpressionRefused(
                    f"{token.text} reads modules, and modules are not available",
                    column=token.start + 1,
                    text=self._text,
                    hint="define the function in place with def",
                )
            case "def" | "label":
                self._fail(f"{token.text!r} cannot stand here", "put it into parentheses")
        return self._unexpected("a value")

    def _if(self) -> Node:
        column = self._advance().start + 1
        condition = self._query()
        self._expect("then")
        yes = self._query()
        if self._is("elif"):
            no = self._nested(self._if)
            return tree.If(column, self._end(), condition, yes, no)
        no = self._query() if self._accept("else") else tree.Identity(column, column)
        self._expect("end", " of the if")
        return tree.If(column, self._end(), condition, yes, no)

    def _fold(self) -> Node:
        token = self._advance()
        column = token.start + 1
        source = self._expression(0)
        self._expect("as")
        patterns = self._patterns()
        self._expect("(")
        start = self._query()
        self._expect(";")
        update = self._query()
        if token.text == "reduce":
            self._expect(")")
            return tree.Reduce(column, self._end(), source, patterns, start, update)
        extract = self._query() if self._accept(";") else None
        self._expect(")")
        return tree.Foreach(column, self._end(), source, patterns, start, update, extract)

    # Objects and patterns

    def _object(self) -> Node:
        column = self._expect("{").start + 1
        entries: list[tuple[Node, Node]] = []
        while not self._is("}"):
            entries.append(self._entry())
            if not self._accept(","):
                break
        self._expect("}", " or ',' in the object")
        return tree.ObjectOf(column, self._end(), tuple(entries))

    def _entry(self) -> tuple[Node, Node]:
        token = self._token
        column = token.start + 1
        if token.kind == "variable":
            value = self._term()
            return tree.Constant(column, token.end, token.text), value
        if self._is("("):
            self._advance()
            key = self._nested(self._query)
            self._expect(")")
            self._expect(":", " after a computed key")
            return key, self._entry_value()
        key = self._entry_key()
        if self._accept(":"):
            return key, self._entry_value()
        return key, tree.Index(column, key.end, tree.Identity(column, column), key)

    def _entry_key(self) -> Node:
        token = self._token
        match token.kind:
            case "name" | "keyword":
                self._advance()
                return tree.Constant(token.start + 1, token.end, token.text)
            case "string":
                return self._string()
            case "format":
                key = self._format()
                if isinstance(key, tree.Format) and key.pieces is None:
                    self._unexpected("a string")
                return key
            case "number":
                self._fail("a number cannot be a key", f'write "{token.text}"')
        return self._unexpected("a key")

    def _entry_value(self) -> Node:
        node = self._expression(0)
        if not self._is("|"):
            return node
        self._advance()
        right = self._entry_value()
        return tree.Pipe(node.column, right.end, node, right)

    def _patterns(self) -> tuple[Pattern, ...]:
        patterns = [self._pattern()]
        while self._accept("?//"):
            patterns.append(self._pattern())
        return tuple(patterns)

    def _pattern(self) -> Pattern:
        self._depth += 1
        if self._depth > NESTING_MAX:
            self._fail(f"patterns are nested more than {NESTING_MAX} deep")
        column = self._token.start + 1
        pattern: Pattern
        if self._token.kind == "variable":
            name = self._advance().text
            pattern = tree.VariablePattern(column, self._end(), name)
        elif self._accept("["):
            items = [self._pattern()]
            while self._accept(","):
                items.append(self._pattern())
            self._expect("]")
            pattern = tree.ArrayPattern(column, self._end(), tuple(items))
        elif self._accept("{"):
            entries = [self._pattern_entry()]
            while self._accept(","):
                entries.append(self._pattern_entry())
            self._expect("}")
            pattern = tree.ObjectPattern(column, self._end(), tuple(entries))
        else:
            self._unexpected("a variable, [...] or {...}")
        self._depth -= 1
        return pattern

    def _pattern_entry(self) -> tuple[Node, str | None, Pattern | None]:
        token = self._token
        if token.kind == "variable":
            self._advance()
            key: Node = tree.Constant(token.start + 1, token.end, token.text)
            return key, token.text, self._pattern() if self._accept(":") else None
        if self._accept("("):
            key = self._nested(self._query)
            self._expect(")")
        else:
            key = self._entry_key()
        self._expect(":", " and a variable")
        return key, None, self._pattern()


def _forgiven(node: Node, end: int, *, is_access: bool) -> Node:
    """`node?`. Behind an access it forgives that access; errors of what stands before it remain."""
    if is_access and isinstance(node, tree.Index | tree.Slice | tree.Iterate):
        return replace(node, end=end, optional=True)
    return tree.Try(node.column, end, node, None)


def _key(token: Token) -> Node:
    return tree.Constant(token.start + 1, token.end, token.text)


def _join(operator: str, left: Node, right: Node) -> Node:
    column, end = left.column, right.end
    if operator == "//":
        return tree.Alternative(column, end, left, right)
    if operator in ("and", "or"):
        return tree.Logic(column, end, operator, left, right)
    if operator in _ASSIGNMENTS:
        return tree.Assign(column, end, operator, left, right)
    return tree.Binary(column, end, operator, left, right)


def check_height(node: Node, text: str) -> None:
    """Refuse a tree that later passes could not recurse over."""
    level, height = [node], 0
    while level:
        height += 1
        if height > HEIGHT_MAX:
            raise ExpressionSyntaxError(
                f"the expression is nested or chained more than {HEIGHT_MAX} deep",
                column=level[0].column,
                text=text,
                hint="use reduce or add for long sums, or split it over several tasks",
            )
        level = [child for parent in level for child in tree.children(parent)]
