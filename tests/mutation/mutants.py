"""Small faults in Python source: where each could be put, and the source with one of them.

A mutant is an edit of one node of the syntax tree. What cannot change what a program does is left
alone: annotations, docstrings, decorators, `__all__`, what only a type checker reads, and texts.
"""

from __future__ import annotations

import ast
import copy
from typing import NamedTuple

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.MatMult: ast.Mult,
}  # fmt: skip


class Mutant(NamedTuple):
    """One edit of a file: the how-many-eth of its sites, and in words where and what."""

    number: int
    line: int
    what: str


class _Sites(ast.NodeTransformer):
    """Walk a tree in its order; note each site, and edit the one that is asked for."""

    def __init__(self, wanted: int | None = None):
        self.wanted = wanted
        self.found: list[Mutant] = []

    def at(self, node, edited, what):
        """Note a site, and return the node, or the edited one if this is the site wanted."""
        number = len(self.found)
        self.found.append(Mutant(number, node.lineno, what))
        return ast.copy_location(edited, node) if number == self.wanted else node

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node
        return self._forced(node)

    def visit_IfExp(self, node):
        return self._forced(node)

    def _forced(self, node):
        node = self.generic_visit(node)
        for value in (True, False):
            other = copy.copy(node)
            other.test = ast.copy_location(ast.Constant(value), node.test)
            node = self.at(node, other, f"the condition is {value}")
        return node

    def visit_ClassDef(self, node):
        body = [statement for statement in node.body if not _is_text(statement)]
        node.body = [self.visit(statement) for statement in body] or node.body
        return node

    def visit_FunctionDef(self, node):
        body = [statement for statement in node.body if not _is_text(statement)]
        node.body = [self.visit(statement) for statement in body] or node.body
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        return node

    def visit_AnnAssign(self, node):
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_Assign(self, node):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        return node if "__all__" in names else self.generic_visit(node)

    def visit_Import(self, node):
        return node

    def visit_ImportFrom(self, node):
        return node

    def visit_Raise(self, node):
        return node  # the words of an error

    def visit_Compare(self, node):
        node = self.generic_visit(node)
        for i, operator in enumerate(node.ops):
            other = copy.copy(node)
            other.ops = [*node.ops[:i], COMPARISONS[type(operator)](), *node.ops[i + 1 :]]
            node = self.at(node, other, f"{_name(operator)} is {_name(other.ops[i])}")
        return node

    def visit_BinOp(self, node):
        if isinstance(node.op, ast.BitOr) and _is_type(node):
            return node
        node = self.generic_visit(node)
        other = copy.copy(node)
        other.op = ARITHMETIC[type(node.op)]()
        return self.at(node, other, f"{_name(node.op)} is {_name(other.op)}")

    def visit_BoolOp(self, node):
        node = self.generic_visit(node)
        other = copy.copy(node)
        other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return self.at(node, other, f"{_name(node.op)} is {_name(other.op)}")

    def visit_UnaryOp(self, node):
        node = self.generic_visit(node)
        return self.at(node, node.operand, f"{_name(node.op)} is left out")

    def visit_Return(self, node):
        node = self.generic_visit(node)
        if node.value is None or (isinstance(node.value, ast.Constant) and not node.value.value):
            return node
        other = ast.Return(ast.copy_location(ast.Constant(None), node))
        return self.at(node, other, "returns None")

    def visit_AugAssign(self, node):
        node = self.generic_visit(node)
        return self.at(node, ast.Pass(), "is left out")

    def visit_Call(self, node):
        node = self.generic_visit(node)
        for i, keyword in enumerate(node.keywords):
            other = copy.copy(node)
            other.keywords = [*node.keywords[:i], *node.keywords[i + 1 :]]
            node = self.at(node, other, f"without {keyword.arg or '**'}=")
        if len(node.args) == 2 and not any(isinstance(a, ast.Starred) for a in node.args):
            other = copy.copy(node)
            other.args = node.args[::-1]
            node = self.at(node, other, "arguments are swapped")
        return node

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            return self.at(node, ast.Constant(not node.value), f"{node.value} is its contrary")
        if isinstance(node.value, int):
            other = ast.Constant(node.value + 1)
            return self.at(node, other, f"{node.value} is {node.value + 1}")
        if isinstance(node.value, float):
            other = ast.Constant(node.value * 2 + 1)
            return self.at(node, other, f"{node.value} is {other.value}")
        return node

    def visit_JoinedStr(self, node):
        return node


def _is_text(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_type(node):
    """Whether `a | b` is of types, as in an alias: `Array | None`."""
    return any(isinstance(x, ast.Constant) and x.value is None for x in (node.left, node.right))


def _name(operator):
    return type(operator).__name__


def mutants(source):
    """Return every mutant of a source text."""
    sites = _Sites()
    sites.visit(ast.parse(source))
    return sites.found


def mutated(source, number, path):
    """Return the code of a source text with one mutant in it."""
    tree = _Sites(number).visit(ast.parse(source))
    return compile(ast.fix_missing_locations(tree), str(path), "exec")
