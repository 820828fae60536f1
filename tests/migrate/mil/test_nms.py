"""Non-maximum suppression against the rule box by box."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from programs import outputs_of

from migrate.coreml import coremltools
from migrate.mil.registry import ops

ct = coremltools()
mb = ct.converters.mil.Builder


def overlap(a, b):
    """Intersection over union, from the edges of two boxes."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    width = min(ax + aw / 2, bx + bw / 2) - max(ax - aw / 2, bx - bw / 2)
    height = min(ay + ah / 2, by + bh / 2) - max(ay - ah / 2, by - bh / 2)
    common = max(width, 0) * max(height, 0)
    return common / (aw * ah + bw * bh - common)


def suppressed(boxes, scores, iou, least, limit, per_class):
    """The indices that stay: each box is compared with all that have been kept before it."""
    best, classes = scores.max(1), scores.argmax(1)
    kept = []
    for i in np.argsort(-best, kind="stable"):
        rivals = [k for k in kept if not per_class or classes[k] == classes[i]]
        if best[i] >= least and all(overlap(boxes[i], boxes[k]) <= iou for k in rivals):
            kept.append(i)
    return (kept or [best.argmax()])[:limit]


def boxes_and_scores(seed, images=2, count=12, classes=3):
    random = np.random.RandomState(seed)
    boxes = random.randint(4, 24, (images, count, 4)).astype(np.float32) / 4
    return boxes, random.rand(images, count, classes).astype(np.float32)


def expected(boxes, scores, iou, least, limit, per_class):
    kept = [
        suppressed(b, s, iou, least, limit, per_class) for b, s in zip(boxes, scores, strict=True)
    ]
    chosen = np.full((len(kept), limit), -1)
    coordinates = np.zeros((len(kept), limit, 4))
    values = np.zeros((len(kept), limit, scores.shape[2]))
    for n, indices in enumerate(kept):
        chosen[n, : len(indices)] = indices
        coordinates[n, : len(indices)] = boxes[n, indices]
        values[n, : len(indices)] = scores[n, indices]
    return coordinates, values, chosen, [len(indices) for indices in kept]


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize(
    ("iou", "least", "limit"), [(0.2, 0.5, 12), (0.4, -1.0, 4), (0.1, 0.8, 20), (0.3, 5.0, 3)]
)
def test_boxes_that_overlap_a_better_one_are_dropped(per_class, iou, least, limit):
    boxes, scores = boxes_and_scores(limit)

    def build(boxes, scores):
        return mb.non_maximum_suppression(
            boxes=boxes,
            scores=scores,
            iou_threshold=iou,
            score_threshold=least,
            max_boxes=limit,
            per_class_suppression=per_class,
        )

    results = outputs_of(build, "iOS15", boxes=boxes, scores=scores)
    wanted = expected(boxes, scores, iou, least, limit, per_class)
    for result, value in zip(results, wanted, strict=True):
        np.testing.assert_allclose(result, value, rtol=1e-6)


@pytest.mark.parametrize("per_class", [False, True])
def test_that_of_ios_17_has_the_boxes_last_and_no_least_score(per_class):
    boxes, scores = boxes_and_scores(7)

    def build(boxes, scores):
        return mb.non_maximum_suppression(
            boxes=boxes,
            scores=scores,
            iou_threshold=0.25,
            max_boxes=9,
            per_class_suppression=per_class,
        )

    turned = {"boxes": boxes.transpose(0, 2, 1), "scores": scores.transpose(0, 2, 1)}
    results = outputs_of(build, "iOS17", **turned)
    coordinates, values, chosen, _ = expected(boxes, scores, 0.25, -np.inf, 9, per_class)
    np.testing.assert_allclose(results[0], coordinates.transpose(0, 2, 1))
    np.testing.assert_allclose(results[1], values.transpose(0, 2, 1))
    np.testing.assert_array_equal(results[2], chosen)


def test_float16_scores_decide_after_rounding():
    boxes, scores = boxes_and_scores(11)
    scores = scores.astype(np.float16).astype(np.float32)

    def build(boxes, scores):
        return mb.non_maximum_suppression(
            boxes=boxes, scores=scores, iou_threshold=0.25, score_threshold=0.5, max_boxes=6
        )

    results = outputs_of(build, "iOS16", half=True, boxes=boxes, scores=scores)
    wanted = expected(boxes, scores, 0.25, 0.5, 6, False)
    for result, value in zip(results, wanted, strict=True):
        np.testing.assert_array_equal(result, value)


def test_a_score_and_an_overlap_at_their_thresholds_are_kept():
    boxes = np.array([[[1, 1, 2, 2], [2, 1, 2, 2], [9, 9, 2, 2]]], np.float32)  # 1/3 of two
    scores = np.array([[[0.75], [0.5], [0.25]]], np.float32)
    suppress = ops()["non_maximum_suppression"].compute
    tensors = (torch.from_numpy(boxes), torch.from_numpy(scores))
    third = float(np.float32(1 / 3))
    kept = suppress(*tensors, iou_threshold=third, max_boxes=3, score_threshold=0.5)
    assert kept[2].tolist() == [[0, 1, -1]]
    kept = suppress(*tensors, iou_threshold=0.33, max_boxes=3, score_threshold=0.25)
    assert kept[2].tolist() == [[0, 2, -1]]
