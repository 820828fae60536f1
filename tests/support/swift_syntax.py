"""Swift sources as syntax trees: what is wrong in them, what they declare, what they use."""

from __future__ import annotations

from dataclasses import dataclass

import tree_sitter_swift
from tree_sitter import Language, Parser

PARSER = Parser(Language(tree_sitter_swift.language()))
TYPES = ("class_declaration", "protocol_declaration", "typealias_declaration")
OWN = ("function_declaration", "property_declaration", "enum_entry", "tuple_type_item", *TYPES)
NAMING = ("parameter", "lambda_parameter", "function_declaration", "enum_entry", "tuple_type_item")
LABELLING = ("value_argument_label", "call_suffix", "identifier", "attribute", "directive")


@dataclass(frozen=True)
class Use:
    """A name used; `labels` are those of a call, `since` the system it may count on there."""

    name: str
    owner: str  # the type before the dot, if one is written there
    is_member: bool
    labels: tuple[str, ...] | None
    since: tuple[int, ...]
    line: int

    def __str__(self):
        before = f"{self.owner}." if self.is_member else ""
        labels = "" if self.labels is None else f"({''.join(f'{x}:' for x in self.labels)})"
        return f"line {self.line}: {before}{self.name}{labels}"


def tree(source):
    return PARSER.parse(source.encode()).root_node


def each(node):
    yield node
    for child in node.children:
        yield from each(child)


def text(node):
    return node.text.decode().strip("`")


def faults(root):
    """What the grammar does not accept, by line."""
    found = [n for n in each(root) if n.is_error or n.is_missing]
    return [f"line {n.start_point[0] + 1}: {text(n)[:40]!r}" for n in found]


def names_in(node):
    return [text(n) for n in each(node) if n.type == "simple_identifier"]


def declared(root):
    """(types, functions, properties, cases and tuple labels; locals and parameters)."""
    members, others = set(), set()
    for node in each(root):
        names = node.children_by_field_name("name")
        if node.type in OWN:
            local = node.type == "property_declaration" and node.parent.type == "statements"
            for name in names:
                if name.type in ("simple_identifier", "type_identifier"):
                    members.add(text(name))
                elif name.type == "pattern":
                    (others if local else members).update(names_in(name))
        if node.type in ("parameter", "lambda_parameter"):
            others.update(text(n) for n in names if n.type == "simple_identifier")
        bound = node.child_by_field_name("bound_identifier")
        if bound is not None:
            others.add(text(bound))
        if node.type == "for_statement":
            others.update(names_in(node.child_by_field_name("item")))
    return members, others - members


def stored(root):
    """The stored properties of each struct, in order, by its name."""
    found = {}
    for node in each(root):
        if node.type == "class_declaration" and node.children[0].type == "struct":
            found[text(node.child_by_field_name("name"))] = [
                names_in(name)[0]
                for member in node.child_by_field_name("body").children
                if member.type == "property_declaration"
                and member.child_by_field_name("computed_value") is None
                for name in member.children_by_field_name("name")
            ]
    return found


def uses(node, since=()):
    """Yield every name that is used, with the systems that its surroundings make sure of."""
    attributes = [c for m in node.children if m.type == "modifiers" for c in m.children]
    since = max([since, *map(_version, attributes)])
    if (used := _use(node, since)) is not None:
        yield used
    inside = since
    for child in node.children:
        if node.type == "if_statement" and child.type == "availability_condition":
            inside = max(since, _version(child))
        elif child.type == "else":
            inside = since
        yield from uses(child, inside)
        if child.type == "guard_statement":  # counts for what follows it
            inside = max([inside, *map(_version, child.children)])


def _version(node):
    """The iOS that an @available or #available names; () of anything else."""
    if node.type not in ("attribute", "availability_condition") or "iOS" not in names_in(node):
        return ()
    return tuple(int(n.text) for n in node.children if n.type == "integer_literal")


def _use(node, since):
    parent, line = node.parent, node.start_point[0] + 1
    if node.type == "type_identifier":
        if parent.type in TYPES and node in parent.children_by_field_name("name"):
            return None
        return Use(text(node), "", False, None, since, line)
    if node.type != "simple_identifier" or text(node).startswith("$"):
        return None
    if parent.type in (*NAMING, *LABELLING) or _is_bound(node):
        return None
    before = node.prev_sibling
    is_member = before is not None and before.type == "."
    whole = _whole(node) if is_member else node
    target = whole.child_by_field_name("target") if whole.type == "navigation_expression" else None
    owner = text(target) if target is not None and target.type == "simple_identifier" else ""
    owner = owner if owner[:1].isupper() else ""
    return Use(text(node), owner, is_member, _labels(whole), since, line)


def _is_bound(node):
    return node == node.parent.child_by_field_name("bound_identifier")


def _whole(node):
    """The expression that ends in this member: a.b.member, or .member alone."""
    if node.parent.type == "navigation_suffix":
        return node.parent.parent
    return node.parent if node.parent.type == "prefix_expression" else node


def _labels(callee):
    """The labels of the call of this expression, those of trailing closures too; None if none."""
    call = callee.parent
    if call.type != "call_expression" or call.children[0] != callee:
        return None
    found = []
    for suffix in call.children[1:]:
        for child in suffix.children:
            if child.type == "value_arguments" and child.children[0].type == "[":
                return None  # a subscript
            if child.type == "simple_identifier":
                found.append(text(child))
            for argument in child.named_children if child.type == "value_arguments" else ():
                label = argument.child_by_field_name("name")
                found.append("_" if label is None else text(label))
    return tuple(found)
