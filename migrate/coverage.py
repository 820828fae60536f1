"""Which layer types of NeuralNetwork.proto have a builder, and which no ML Program has in full."""

from __future__ import annotations

from migrate import registry

UNEXPRESSED = {
    "any": "its blobs have more than 5 dimensions, the most that MIL has",
    "NonMaximumSuppression": "the model computes its thresholds or maxBoxes, which are constants "
    "of MIL's non_maximum_suppression",
    "sliceDynamic": "the model computes its strides or masks, which are constants of MIL's "
    "slice_by_index",
    "fillDynamic, reshapeDynamic": "the model computes even the number of dimensions, which is "
    "fixed in MIL",
    "branch, loop": "a blob has another rank on another way through them; the rank is fixed in MIL",
    "splitND": "an axis of any size is divided evenly; sizes are constants of MIL's split",
    "scatterAlongAxis, scatterND": "all dimensions are of any size, on which coremltools 9.0 fails",
    "upsample": "it is bilinear, of images of any size, for iOS 15, whose MIL wants constants",
    "gru, simpleRecurrent, LSTMs": "the sequence is of any length, and the activations or the "
    "coupled gates are none of MIL's, so that each step is written out",
}  # fmt: skip


def layer_table() -> str:
    """Return both tables, in Markdown."""
    return f"{covered_table()}\n\n{unexpressed_table()}"


def unexpressed_table() -> str:
    """Return a Markdown table of what keeps a layer from being expressed in an ML Program."""
    rows = [f"| {kinds} | {reason} |" for kinds, reason in UNEXPRESSED.items()]
    return "\n".join(["| layer | has no ML Program where |", "|---|---|", *rows])


def covered_table() -> str:
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
