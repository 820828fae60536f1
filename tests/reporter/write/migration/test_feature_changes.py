"""Features of two specs side by side, and what of them is said to be lost."""

from __future__ import annotations

import pytest

from migrate.coreml import proto
from reporter.understand.migrated import ABSENT, FeatureChange
from reporter.write.migration.feature_changes import changes, lost

FLOAT32, DOUBLE, INT32, FLOAT16 = 65568, 65600, 131104, 65552


def described(*features):
    """A spec with features (role, name, shape or function of its type)."""
    spec = proto("Model_pb2").Model()
    for role, name, what in features:
        feature = getattr(spec.description, role).add(name=name)
        if callable(what):
            what(feature.type)
        else:
            feature.type.multiArrayType.shape.extend(what)
            feature.type.multiArrayType.dataType = FLOAT32
    return spec


def words(what):
    spec = described(("input", "x", what))
    (found,) = changes(spec, spec)
    assert found.before == found.after
    assert not found.changed
    return found.before


def array(shape, dtype=FLOAT32, optional=False, ranges=(), others=()):
    def fill(type_):
        type_.isOptional = optional
        type_.multiArrayType.shape.extend(shape)
        type_.multiArrayType.dataType = dtype
        for low, high in ranges:
            type_.multiArrayType.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
        for other in others:
            type_.multiArrayType.enumeratedShapes.shapes.add(shape=other)

    return fill


def image(width, height, color="RGB", ranges=(), others=()):
    def fill(type_):
        found = type_.imageType
        found.width, found.height, found.colorSpace = width, height, getattr(found, color)
        for name, (low, high) in zip(("widthRange", "heightRange"), ranges, strict=False):
            bounds = getattr(found.imageSizeRange, name)
            bounds.lowerBound, bounds.upperBound = low, high
        for w, h in others:
            found.enumeratedSizes.sizes.add(width=w, height=h)

    return fill


def of_kind(kind):
    return lambda type_: getattr(type_, f"{kind}Type").SetInParent()


def test_features_are_paired_by_name_then_by_order():
    before = described(("output", "a", [1]), ("output", "b c", [2]), ("output", "d", [3]))
    after = described(("output", "b_c", [2]), ("output", "a", [1]), ("input", "new", [4]))
    found = {c.name_before: c for c in changes(before, after)}
    assert not found["a"].changed
    assert (found["b c"].name_after, found["b c"].after) == ("b_c", "2 FLOAT32")
    assert found["b c"].changed
    assert (found["d"].name_after, found["d"].after, found["d"].changed) == ("d", ABSENT, True)
    assert (found["new"].before, found["new"].role) == (ABSENT, "input")


def test_inputs_come_first_each_in_the_order_of_before():
    before = described(("output", "z", [1]), ("input", "y", [1]), ("input", "x", [1]))
    after = described(("input", "x", [1]), ("input", "y", [1]), ("output", "z", [1]),
                      ("output", "more", [1]))  # fmt: skip
    assert [(c.role, c.name_before) for c in changes(before, after)] == [
        ("input", "y"), ("input", "x"), ("output", "z"), ("output", "more"),
    ]  # fmt: skip


def test_a_name_that_is_an_input_and_an_output_is_two_features():
    before = described(("input", "x", [1]), ("output", "x", [2]))
    after = described(("input", "x", [1]), ("output", "x_output", [2]))
    assert [(c.role, c.name_after, c.changed) for c in changes(before, after)] == [
        ("input", "x", False), ("output", "x_output", True),
    ]  # fmt: skip


def test_two_renamed_features_keep_their_order():
    before = described(("input", "a b", [1]), ("input", "c", [9]), ("input", "d e", [2]))
    after = described(("input", "a_b", [1]), ("input", "d_e", [2]), ("input", "c", [9]))
    found = {c.name_before: c.name_after for c in changes(before, after)}
    assert found == {"a b": "a_b", "c": "c", "d e": "d_e"}


def test_models_without_features_have_no_changes():
    assert changes(described(), described()) == ()


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (array([1, 2, 4]), "1x2x4 FLOAT32"),
        (array([7], DOUBLE), "7 DOUBLE"),
        (array([1], INT32), "1 INT32"),
        (array([2], FLOAT16, optional=True), "2 FLOAT16, optional"),
        (array([]), "no shape FLOAT32"),
        (array([2, 3], ranges=[(1, 5), (3, 3)]), "(1..5)x3 FLOAT32"),
        (array([2, 3], ranges=[(1, -1), (0, 4)]), "(1..)x(0..4) FLOAT32"),
        (array([2, 3], others=[(2, 3)]), "2x3 FLOAT32"),
        (array([2, 3], others=[(2, 3), (4, 3)]), "2x3 or 1 other FLOAT32"),
        (array([2, 3], others=[(4, 3), (2, 3), (5, 3)]), "2x3 or 2 others FLOAT32"),
        (image(5, 4), "image 5x4 RGB"),
        (image(5, 4, "GRAYSCALE"), "image 5x4 GRAYSCALE"),
        (image(5, 4, "BGR", ranges=[(1, 9), (4, 4)]), "image (1..9)x4 BGR"),
        (image(5, 4, "RGB", ranges=[(1, -1), (2, -1)]), "image (1..)x(2..) RGB"),
        (image(5, 4, "RGB", others=[(5, 4), (7, 8)]), "image 5x4 or 1 other RGB"),
        (of_kind("dictionary"), "dictionary"),
        (of_kind("string"), "string"),
        (of_kind("int64"), "int64"),
        (of_kind("double"), "double"),
    ],
)
def test_a_feature_in_words(what, text):
    assert words(what) == text


def change(role="output", before="1 FLOAT32", after="1 FLOAT32", name="y"):
    return FeatureChange(role=role, before=before, after=after, name_before=name, name_after=name)


def test_what_is_lost_is_said():
    found = lost(
        (
            change(),
            change("input", "image 5x4 RGB", ABSENT, "x"),
            change("output", "dictionary", "3 FLOAT32", "p"),
            change("output", "dictionary", "dictionary", "q"),
            change("output", "dictionary", ABSENT, "r"),
            change("output", ABSENT, "1 FLOAT32", "new"),
        )
    )
    assert found == [
        "input 'x' (image 5x4 RGB) is not carried over to the ML Program",
        "output 'p' is a dictionary; the ML Program gives 3 FLOAT32 unlabelled",
        "output 'r' (dictionary) is not carried over to the ML Program",
    ]
    assert lost(()) == []
