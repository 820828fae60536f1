"""Non-maximum suppression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from migrate.helpers import helper
from migrate.lowering import converting, fixed, lowers
from migrate.registry import layer
from migrate.tracing import refuse_traced

if TYPE_CHECKING:
    from migrate.registry import Step


FIRST_WITHOUT_SCORES = 17  # iOS release: there MIL has another non_maximum_suppression


@layer("NonMaximumSuppression")
def NonMaximumSuppression(p: Any) -> Step:
    """Keep the best boxes that overlap no better one; the thresholds may be inputs."""
    return Suppression(p)


class Suppression(nn.Module):
    """Greedy suppression, batch element by batch element."""

    def __init__(self, p: Any) -> None:
        super().__init__()
        self.iou_threshold, self.score_threshold = p.iouThreshold, p.scoreThreshold
        self.max_boxes, self.per_class = int(p.maxBoxes), p.perClassSuppression

    def forward(
        self,
        boxes: Tensor,
        scores: Tensor,
        iou_threshold: Tensor | None = None,
        score_threshold: Tensor | None = None,
        max_boxes: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes, scores and indices padded with 0, 0 and -1, and how many are valid."""
        limits = [n for n in (iou_threshold, score_threshold, max_boxes) if n is not None]
        refuse_traced("a limit", *limits)
        if not converting():
            refuse_traced("which boxes overlap", boxes, scores)
        return suppress(
            boxes,
            scores,
            self.iou_threshold if iou_threshold is None else iou_threshold,
            self.score_threshold if score_threshold is None else score_threshold,
            self.max_boxes if max_boxes is None else max_boxes,
            self.per_class,
        )


@helper
def suppress(
    boxes: Tensor,
    scores: Tensor,
    iou: Tensor | float,
    least: Tensor | float,
    limit: Tensor | int,
    per_class: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Suppress non-maxima: return boxes, scores and indices, and how many of them are valid.

    They are padded up to the limit with 0, 0 and -1.
    """
    iou, least = (t.reshape(()) if isinstance(t, Tensor) else t for t in (iou, least))
    limit = int(limit)
    pairs = list(zip(boxes, scores, strict=True))
    kept = [select(b, s, iou, least, limit, per_class) for b, s in pairs]
    return (
        torch.stack([fill(b[k], limit, 0) for (b, _), k in zip(pairs, kept, strict=True)]),
        torch.stack([fill(s[k], limit, 0) for (_, s), k in zip(pairs, kept, strict=True)]),
        torch.stack([fill(k.to(boxes.dtype), limit, -1) for k in kept]),
        boxes.new_tensor([len(k) for k in kept]),
    )


@lowers(suppress)
def _suppress_in_mil(
    mb: Any, boxes: Any, scores: Any, iou: Any, least: Any, limit: Any, per_class: bool
) -> list[Any]:
    iou, least = (float(fixed(n, "a threshold")) for n in (iou, least))
    options = {
        "iou_threshold": iou,
        "max_boxes": int(fixed(limit, "maxBoxes")),
        "per_class_suppression": per_class,
    }
    if mb.release >= FIRST_WITHOUT_SCORES:
        found = _suppress_unscored(mb, boxes, scores, least, options)
    else:
        found = mb.non_maximum_suppression(
            boxes=boxes, scores=scores, score_threshold=least, **options
        )
    return [*found[:2], *(mb.cast(x=n, dtype="fp32") for n in found[2:])]


def _suppress_unscored(
    mb: Any, boxes: Any, scores: Any, least: float, options: dict[str, Any]
) -> list[Any]:
    """Suppress with the operation that has the boxes last and no threshold of scores.

    The best come first, so what is left of boxes of too low a score stands behind the others, where
    padding takes its place; but the first box stays.
    """
    boxes, scores = (mb.transpose(x=x, perm=[0, 2, 1]) for x in (boxes, scores))
    *found, indices = mb.non_maximum_suppression(boxes=boxes, scores=scores, **options)
    boxes, scores = (mb.transpose(x=x, perm=[0, 2, 1]) for x in found)
    is_first = np.arange(options["max_boxes"])[None] == 0
    enough = mb.greater_equal(x=mb.reduce_max(x=scores, axes=[-1]), y=least)
    valid = mb.logical_and(
        x=mb.logical_or(x=enough, y=is_first), y=mb.greater_equal(x=indices, y=0)
    )
    row = mb.expand_dims(x=valid, axes=[-1])
    boxes, scores = (mb.select(cond=row, a=x, b=0.0) for x in (boxes, scores))
    count = mb.reduce_sum(x=mb.cast(x=valid, dtype="int32"), axes=[-1])
    return [boxes, scores, mb.select(cond=valid, a=indices, b=-1), count]


def select(
    boxes: Tensor,
    scores: Tensor,
    iou: Tensor | float,
    least: Tensor | float,
    limit: int,
    per_class: bool,
) -> Tensor:
    """Return the indices of the boxes to keep, best first; never none of them."""
    best, classes = scores.max(-1)
    order = best.argsort(descending=True, stable=True)
    candidates = order[best[order] >= least]
    if not len(candidates):
        return order[:1]
    kept: list[Tensor] = []
    while len(candidates) and len(kept) < limit:
        chosen, candidates = candidates[:1], candidates[1:]
        kept.append(chosen)
        overlapping = overlap(boxes[chosen], boxes[candidates]) > iou
        if per_class:
            overlapping &= classes[candidates] == classes[chosen]
        candidates = candidates[~overlapping]
    return torch.cat(kept) if kept else order[:0]


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of boxes [x, y, width, height], x and y the centre."""
    start = torch.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    end = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    common = (end - start).clamp(min=0).prod(1)
    return common / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - common)


def fill(x: Tensor, length: int, value: float) -> Tensor:
    """Return `x` with values added until it has the length."""
    return F.pad(x, (0, 0) * (x.ndim - 1) + (0, length - len(x)), value=value)
