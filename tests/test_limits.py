"""How long a module and a function may be, and how many parameters one may take."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from .test_house import MODULES, PACKAGE, name_of

MAX_LINES = 350
MAX_LINES_OF = {"agent": 450}
"""The public API in call order: nearly all of it is docstrings."""
MAX_LINES_OF_CODE = 40
"""Of a function: its docstring, comments and blank lines are not counted."""
MAX_PARAMETERS = 8
"""``self`` and ``cls`` are not counted."""
# The public API: what an app says in one call, by keyword, or one of the ways in which a hub goes wrong.
OF_ANY_LENGTH = {
    "agent.Agent.__init__",
    "agent.Agent.update",
    "hub.client.HubClient.__init__",
    "emulator.emulator.Emulator.__init__",
    "emulator.trouble.WithTrouble.fail",
}
NO_CODE = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def functions_in(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    """Every function below a node, those within functions too, by its name from the package down."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield f"{prefix}.{child.name}", child
        if isinstance(child, Function | ast.ClassDef):
            yield from functions_in(child, f"{prefix}.{child.name}")
        else:
            yield from functions_in(child, prefix)


def lines_of_code(source: str) -> set[int]:
    """The numbers of the lines that hold more than a comment."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return lines


def span_of(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def length_of(function: Function, code: set[int]) -> int:
    """How many of a module's lines of code are a function's, its signature among them."""
    counted = span_of(function) & code
    return len(counted if ast.get_docstring(function) is None else counted - span_of(function.body[0]))


def is_for_type_checkers(function: Function) -> bool:
    """Whether it is a signature without code: one parameter for each field of a value."""
    return all(isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) for part in function.body)


def parameters_of(function: Function) -> int:
    arguments = function.args
    named = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len(named) - (named[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_and_no_function_is_over_its_limit(path: Path) -> None:
    source, module = (PACKAGE / path).read_text("utf-8"), name_of(path)
    over: list[str] = []
    length, limit = len(source.splitlines()), MAX_LINES_OF.get(module, MAX_LINES)
    if length > limit:
        over.append(f"{module}: {length} lines, at most {limit}")
    code = lines_of_code(source)
    for name, function in functions_in(ast.parse(source), module):
        if name in OF_ANY_LENGTH or is_for_type_checkers(function):
            continue
        if length_of(function, code) > MAX_LINES_OF_CODE:
            over.append(f"{name}: {length_of(function, code)} lines of code, at most {MAX_LINES_OF_CODE}")
        if parameters_of(function) > MAX_PARAMETERS:
            over.append(f"{name}: {parameters_of(function)} parameters, at most {MAX_PARAMETERS}")
    assert over == []


@pytest.mark.slow
def test_exceptions_from_the_limits_are_functions_that_exist() -> None:
    found = {
        name
        for path in MODULES
        for name, _ in functions_in(ast.parse((PACKAGE / path).read_text("utf-8")), name_of(path))
    }
    assert found >= OF_ANY_LENGTH
    assert {name_of(path) for path in MODULES} >= MAX_LINES_OF.keys()


def test_lengths_and_parameters_are_counted_as_said() -> None:
    source = '''
class Some:
    def method(self, one, /, two, *rest, three, **others):
        """A docstring
        of two lines."""

        # a comment
        text = """a text
        of two lines"""  # a comment
        return text
'''
    [(name, function)] = functions_in(ast.parse(source), "module")
    assert name == "module.Some.method"
    assert (length_of(function, lines_of_code(source)), parameters_of(function)) == (4, 3)
