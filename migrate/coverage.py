"""Which layer types of NeuralNetwork.proto have a builder, as a table."""

from __future__ import annotations

from migrate import registry


def layer_table() -> str:
    """Return a Markdown table: a row per file of builders, the layer types that it covers."""
    sections: dict[str, list[str]] = {}
    table = registry.layers()
    fields = registry.known_fields()
    for field in fields:
        home = _home(table[field].build) if field in table else "none yet"
        sections.setdefault(home, []).append(field)
    rows = [f"| {home} | {len(kinds)} | {', '.join(kinds)} |" for home, kinds in sections.items()]
    covered = sum(field in table for field in fields)
    head = ["| builders | types | layer types of NeuralNetwork.proto |", "|---|---|---|"]
    return "\n".join([*head, *rows, "", f"{covered} of {len(fields)} layer types."])


def _home(build: registry.Builder) -> str:
    """Return the file that a builder stands in; of a row of a table, that of the table."""
    return str(getattr(build, "func", build).__module__).rpartition(".")[2]
