"""Variants of the founding sample and of real models."""

from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest

import migrate


@pytest.fixture(scope="module")
def block():
    from pathlib import Path

    path = Path(__file__).parents[3] / "samples" / "Block.mlmodel"
    return {v.name: v for v in migrate.each_variant(path) if isinstance(v, migrate.Variant)}


def test_block_gives_at_least_20_and_each_loads_with_coremltools(block):
    assert len(block) >= 20
    for variant in block.values():
        assert ct.models.MLModel(variant.spec, skip_model_load=True).get_spec() == variant.spec


def test_block_has_what_its_author_would_have_tried(block):
    wanted = {
        "without-conv1", "without-conv2", "without-conv3", "without-concat-keeping-conv1_output",
        "without-concat-keeping-conv2_output", "copied-before-concat", "copied-behind-concat",
        "other-concat-concat", "swapped-concat", "swapped-only-concat", "split-conv3", "padded-64",
        "turned", "declared", "fp16-features", "fp16-outputs", "version-7", "cut-conv1",
        "cut-concat", "tap-concat",
    }  # fmt: skip
    assert wanted <= set(block)


def test_the_same_network_of_block_gives_the_same_numbers(block, samples):
    """Two that move numbers, by index arithmetic written out here, at a float32 tolerance."""
    net = migrate.to_torch(samples / "Block.mlmodel")
    draw = np.random.RandomState(0)
    given = {f.name: draw.randn(*f.shape).astype("f4") for f in net.network.inputs}
    wanted = net.predict(given)["output"]
    turned = migrate.to_torch(block["turned"].spec).predict(
        {name: x.reshape(1, -1, 1, 43) for name, x in given.items()}
    )["output"]
    np.testing.assert_allclose(turned.reshape(wanted.shape), wanted, atol=1e-4)
    padded = migrate.to_torch(block["padded-64"].spec).predict(given)["output"]
    assert padded.shape == (1, 1664, 39, 1)
    kept = [*range(800), *range(832, 1632)]
    np.testing.assert_allclose(padded[:, kept], wanted, atol=1e-4)


def test_a_small_real_model(shared_models):
    found = list(migrate.each_variant(shared_models / "tiny_drawing_embedding.mlmodel"))
    made = [v for v in found if isinstance(v, migrate.Variant)]
    assert len(made) >= 30
    assert all(v.reason for v in found if isinstance(v, migrate.LeftOut))


def test_of_a_large_model_a_few_of_each_kind(shared_models):
    found = migrate.each_variant(shared_models / "hand_squeezenet.mlmodel", most=1)
    made = [v for v in found if isinstance(v, migrate.Variant)]
    kinds = [v.kind for v in made]
    assert kinds.count("cut") == kinds.count("split") == 1
    assert any(v.spec.WhichOneof("Type") == "neuralNetworkClassifier" for v in made)
