"""Non-maximum suppression."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from migrate.mil.registry import op


@op("non_maximum_suppression")
def non_maximum_suppression(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: Any,
    max_boxes: Any,
    score_threshold: Any = None,
    per_class_suppression: bool = False,
) -> tuple[Tensor, ...]:
    """Return boxes that overlap no better one, best first, and their scores and indices.

    That of iOS 17 knows no score_threshold, has the boxes along the last axis, and does not return
    how many are valid; the others are padded with 0, indices with -1.
    """
    limit, newer = int(max_boxes), score_threshold is None
    if newer:
        boxes, scores = boxes.transpose(1, 2), scores.transpose(1, 2)
    least = float("-inf") if newer else float(score_threshold)
    pairs = list(zip(boxes, scores, strict=True))
    kept = [
        _kept(b, s, float(iou_threshold), least, limit, per_class_suppression) for b, s in pairs
    ]
    results = (
        torch.stack([_padded(b[k], limit, 0) for (b, _), k in zip(pairs, kept, strict=True)]),
        torch.stack([_padded(s[k], limit, 0) for (_, s), k in zip(pairs, kept, strict=True)]),
        torch.stack([_padded(k, limit, -1) for k in kept]),
    )
    if newer:
        return results[0].transpose(1, 2), results[1].transpose(1, 2), results[2]
    return (*results, torch.tensor([len(k) for k in kept]))


def _kept(
    boxes: Tensor, scores: Tensor, iou: float, least: float, limit: int, per_class: bool
) -> Tensor:
    """Return the indices of the boxes to keep, best first."""
    best, classes = scores.max(-1)
    order = best.argsort(descending=True, stable=True)
    left = order[best[order] >= least]
    if not len(left):
        return order[: min(1, limit)]  # one stays, as in coremltools' own computation
    kept: list[Tensor] = []
    while len(left) and len(kept) < limit:
        chosen, left = left[:1], left[1:]
        kept.append(chosen)
        suppressed = _overlap(boxes[chosen], boxes[left]) > iou
        if per_class:
            suppressed &= classes[left] == classes[chosen]
        left = left[~suppressed]
    return torch.cat(kept) if kept else order[:0]


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of boxes [x, y, width, height], x and y the centre."""
    start = torch.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    end = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    common = (end - start).clamp(min=0).prod(1)
    return common / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - common)


def _padded(x: Tensor, length: int, value: int) -> Tensor:
    """Return `x` with values added until it has the length."""
    amounts = (0, 0) * (x.ndim - 1) + (0, length - len(x))
    return F.pad(x, amounts, mode="constant", value=value)
