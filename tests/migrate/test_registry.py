from __future__ import annotations

import pytest

from migrate import registry


@pytest.fixture
def tables(monkeypatch):
    """The real tables, restored afterwards."""
    monkeypatch.setattr(registry, "_LAYERS", dict(registry.layers()))
    monkeypatch.setattr(registry, "_ACTIVATIONS", dict(registry.activations()))


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("register", "field"), [(registry.layer, "add"), (registry.activation, "ReLU")]
)
def test_a_second_builder_is_refused(register, field):
    with pytest.raises(ValueError, match=f"'{field}' has two builders"):
        register(field)(lambda p: None)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("register", "field", "message"),
    [
        (registry.layer, "ad", "NeuralNetworkLayer has no field 'ad'"),
        (registry.layer, "Add", "NeuralNetworkLayer has no field 'Add'"),
        (registry.layer, "name", "NeuralNetworkLayer has no field 'name'"),
        (registry.layer, "", "NeuralNetworkLayer has no field ''"),
        (registry.activation, "relu", "ActivationParams has no field 'relu'"),
    ],
)
def test_a_misspelt_field_is_refused(register, field, message):
    with pytest.raises(ValueError, match=message):
        register(field)(lambda p: None)


@pytest.mark.usefixtures("tables")
def test_a_builder_is_entered_as_it_is(monkeypatch):
    monkeypatch.delitem(registry._LAYERS, "add")
    monkeypatch.delitem(registry._LAYERS, "multiply")
    monkeypatch.delitem(registry._ACTIVATIONS, "ReLU")

    def build(p):
        return None

    assert registry.layer("add", spatial=True)(build) is build
    assert registry.layer("multiply", nested=True)(build) is build
    assert registry.activation("ReLU")(build) is build
    assert registry.layers()["add"] == (build, True, False)
    assert registry.layers()["multiply"] == (build, False, True)
    assert registry.activations()["ReLU"] is build


def test_known_fields():
    fields = registry.known_fields()
    assert fields[0] == "convolution"
    assert {"add", "branch", "clampedReLU"} <= set(fields)
    assert "name" not in fields
    assert len(registry.known_fields("ActivationParams", "NonlinearityType")) == 13


def test_every_entry_is_of_the_proto():
    assert set(registry.layers()) <= set(registry.known_fields())
    known = registry.known_fields("ActivationParams", "NonlinearityType")
    assert set(registry.activations()) == set(known)


def test_every_layer_has_a_builder():
    assert set(registry.known_fields()) - set(registry.layers()) == set()


def test_spatial_layers():
    """Those of which the proto says that dimensions 0 to -4 are all treated as batch."""
    spatial = {kind for kind, entry in registry.layers().items() if entry.spatial}
    assert {"convolution", "pooling", "batchnorm"} <= spatial
    assert not {"add", "softmax", "flatten", "activation"} & spatial
