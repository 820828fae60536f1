"""The oracle: boxes visited in order of score, each compared with every box kept so far."""

from __future__ import annotations

import numpy as np
import pytest
from programs import case, differences

import migrate
from migrate.errors import UnsupportedError

SQUARES = np.array(  # [x, y, width, height]; the second overlaps the first by 1/3, the third 0
    [[[2.0, 2.0, 4.0, 4.0], [4.0, 2.0, 4.0, 4.0], [10.0, 2.0, 4.0, 4.0]]]
)


def run(run_layer, boxes, scores, *inputs, **fields):
    return run_layer(
        "NonMaximumSuppression",
        [boxes, scores, *(np.array([float(n)]) for n in inputs)],
        outputs=4,
        **fields,
    )


def iou(a, b):
    """Count the overlap of two [x, y, width, height] boxes from their edges."""
    edges = [[(c - s / 2, c + s / 2) for c, s in zip(r[:2], r[2:], strict=True)] for r in (a, b)]
    common = np.prod(
        [max(0, min(p[1], q[1]) - max(p[0], q[0])) for p, q in zip(*edges, strict=True)]
    )
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def suppressed(boxes, scores, threshold, least, limit, per_class):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i].max()):
        rivals = [j for j in kept if not per_class or scores[i].argmax() == scores[j].argmax()]
        free = all(iou(boxes[i], boxes[j]) <= threshold for j in rivals)
        if scores[i].max() >= least and free and len(kept) < limit:
            kept.append(i)
    return kept or [int(scores.max(1).argmax())]


def expected(boxes, scores, threshold, least, limit, per_class):
    batch, _, classes = scores.shape
    outputs = [
        np.zeros((batch, limit, 4)),
        np.zeros((batch, limit, classes)),
        -np.ones((batch, limit)),
        np.zeros(batch),
    ]
    for b in range(batch):
        kept = suppressed(boxes[b], scores[b], threshold, least, limit, per_class)
        n = len(kept)
        outputs[0][b, :n], outputs[1][b, :n] = boxes[b, kept], scores[b, kept]
        outputs[2][b, :n], outputs[3][b] = kept, n
    return outputs


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("limit", [1, 4, 40])
@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.75])
@pytest.mark.parametrize("as_inputs", [False, True])
def test_against_every_pair(run_layer, per_class, limit, threshold, as_inputs):
    random = np.random.RandomState(3)
    boxes = np.concatenate(
        [random.uniform(0, 8, (2, 30, 2)), random.uniform(0.5, 4, (2, 30, 2))], -1
    )
    scores = random.permutation(180).reshape(2, 30, 3) / 180
    least = 0.5
    fields = {"perClassSuppression": per_class}
    if as_inputs:
        inputs = [threshold, least, limit]
        fields |= {"iouThreshold": 0.9, "scoreThreshold": 2.0, "maxBoxes": 7}
    else:
        inputs = []
        fields |= {"iouThreshold": threshold, "scoreThreshold": least, "maxBoxes": limit}
    found = run(run_layer, boxes, scores, *inputs, **fields)
    for got, want in zip(
        found, expected(boxes, scores, threshold, least, limit, per_class), strict=True
    ):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("threshold", "scores", "per_class", "kept"),
    [
        (0.25, [[0.5], [0.9], [0.7]], False, [1, 2]),  # 1/3 is over 0.25: the first goes
        (0.5, [[0.5], [0.9], [0.7]], False, [1, 2, 0]),
        (0.25, [[0.5, 0.1], [0.1, 0.9], [0.7, 0.2]], True, [1, 2, 0]),  # of another class
        (0.25, [[0.1, 0.5], [0.1, 0.9], [0.7, 0.2]], True, [1, 2]),
        (0.25, [[0.5, 0.1], [0.1, 0.9], [0.7, 0.2]], False, [1, 2]),
        (0.25, [[0.5], [0.5], [0.5]], False, [0, 2]),  # equal scores: the first comes first
    ],
)
def test_by_hand(run_layer, threshold, scores, per_class, kept):
    scores = np.array([scores])
    boxes, best, indices, count = run(
        run_layer,
        SQUARES,
        scores,
        iouThreshold=threshold,
        maxBoxes=4,
        perClassSuppression=per_class,
    )
    empty = 4 - len(kept)
    assert indices.tolist() == [kept + [-1] * empty]
    assert count.tolist() == [len(kept)]
    np.testing.assert_array_equal(boxes[0], np.append(SQUARES[0, kept], np.zeros((empty, 4)), 0))
    np.testing.assert_array_equal(best[0, : len(kept)], scores[0, kept])
    assert not best[0, len(kept) :].any()


def test_equal_scores_keep_their_order(run_layer):
    boxes = np.tile([0.0, 0.0, 1.0, 1.0], (1, 99, 1)) + np.arange(99.0)[:, None] * [2, 0, 0, 0]
    found = run(run_layer, boxes, np.ones((1, 99, 1)), iouThreshold=0.5, maxBoxes=99)
    assert found[2].tolist() == [list(range(99))]


def test_an_overlap_of_just_the_threshold_survives(run_layer):
    """Of two halves of a square, half of the square is in common: 0.5 is not over 0.5."""
    boxes = np.array([[[2.0, 2.0, 4.0, 4.0], [2.0, 1.0, 4.0, 2.0]]])
    scores = np.array([[[0.75], [0.5]]])
    for threshold, count in ((0.5, 2), (0.4375, 1)):
        found = run(run_layer, boxes, scores, iouThreshold=threshold, maxBoxes=2)
        assert found[3].tolist() == [count]


def test_a_score_at_the_threshold_is_not_below_it(run_layer):
    scores = np.array([[[0.25], [0.5], [0.75]]])
    found = run(run_layer, SQUARES, scores, iouThreshold=1, scoreThreshold=0.5, maxBoxes=3)
    assert found[2].tolist() == [[2, 1, -1]]


def test_without_a_survivor_the_best_box_is_given(run_layer):
    scores = np.array([[[0.25], [0.5], [0.125]]])
    found = run(run_layer, SQUARES, scores, iouThreshold=0.5, scoreThreshold=0.75, maxBoxes=2)
    assert found[2].tolist() == [[1, -1]]
    assert found[3].tolist() == [1]
    np.testing.assert_array_equal(found[0], [[SQUARES[0, 1], np.zeros(4)]])


def test_outputs_have_the_dtype_of_the_boxes(one_layer):
    spec = one_layer("NonMaximumSuppression", [(1, 3, 4), (1, 3, 1)], outputs=4, maxBoxes=2)
    found = migrate.to_torch(spec).predict({"in0": SQUARES, "in1": np.ones((1, 3, 1))})
    assert {str(v.dtype) for v in found.values()} == {"float32"}


# as an ML Program

X = np.random.default_rng(0)
BOXES = np.concatenate([X.uniform(0, 9, (2, 12, 2)), X.uniform(2, 6, (2, 12, 2))], -1)
SCORES = X.permutation(72).reshape(2, 12, 3) / 72  # all of them different
LIMITS = {"iouThreshold": 0.3, "scoreThreshold": 0.2, "maxBoxes": 5}


def suppressing(*inputs, scores=SCORES, **fields):
    arrays = [BOXES, scores, *([n] for n in inputs)]
    stored = range(2, len(arrays))
    return case(
        "NonMaximumSuppression",
        arrays,
        "non_maximum_suppression",
        outputs=4,
        stored=stored,
        **fields,
    )


PROGRAMS = {
    "boxes": suppressing(**LIMITS),
    "boxes of each class": suppressing(**LIMITS, perClassSuppression=True),
    "one class": suppressing(**LIMITS, scores=SCORES[..., :1]),
    "more boxes than there are": suppressing(iouThreshold=0.5, maxBoxes=20),
    "no score is high enough": suppressing(iouThreshold=0.5, scoreThreshold=2, maxBoxes=3),
    "stored thresholds": suppressing(0.3, 0.2, 4),
    "some scores are too low": suppressing(iouThreshold=0.5, scoreThreshold=0.9, maxBoxes=8),
    "a stored threshold": suppressing(0.4, scoreThreshold=0.3, maxBoxes=6),
}


@pytest.mark.parametrize("target", ["iOS15", "iOS18"])
def test_as_an_ml_program(target):
    assert differences(PROGRAMS, target) == {}


def test_a_threshold_that_is_computed_is_refused(one_layer):
    spec = one_layer("NonMaximumSuppression", [(1, 4, 4), (1, 4, 2), (1,)], outputs=4, maxBoxes=2)
    with pytest.raises(UnsupportedError, match=r"'tested' \(NonMaximumSuppression\), .*: a limit"):
        migrate.to_mlprogram(spec)
