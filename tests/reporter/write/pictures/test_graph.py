from __future__ import annotations

import time

import pytest

from reporter.measure.identity import ModelIdentity
from reporter.write.pictures.graph import Graph, Node, graph, shortened
from reporter.write.report.model_facts import FeatureFact, LayerFact, ModelFacts

IDENTITY = ModelIdentity(
    name="T.mlmodel", kind="neuralNetwork", spec_version=4, sha256="0" * 64,
    sha256_without_metadata="0" * 64, size=9,
)  # fmt: skip


def feature(name, role="input", computed=(1, 2)):
    return FeatureFact(name, role, "multiArray", "float32", (3, -1), computed)


def layer(name, inputs, outputs, shape=(1, 4), nested=False):
    return LayerFact(name, "relu", tuple(inputs), tuple(outputs), shape, nested)


def facts(features, layers):
    return ModelFacts(IDENTITY, tuple(features), tuple(layers), ())


def named(found):
    return {(found.nodes[a].name, found.nodes[b].name) for a, b in found.edges}


def test_layers_are_joined_by_the_blobs_they_write_and_read():
    found = graph(facts(
        [feature("x"), feature("y", "output", None)],
        [layer("a", ["x"], ["p", "q"]), layer("b", ["p"], ["r"], None), layer("c", "qr", ["y"])],
    ))  # fmt: skip
    assert found.nodes == (
        Node("input", "x", "1x2"), Node("layer", "a", "relu 1x4"), Node("layer", "b", "relu"),
        Node("layer", "c", "relu 1x4"), Node("output", "y", "3x?"),
    )  # fmt: skip
    assert named(found) == {("x", "a"), ("a", "b"), ("a", "c"), ("b", "c"), ("c", "y")}


def test_a_feature_without_a_shape_says_what_it_is():
    label = FeatureFact("label", "output", "string", "", (), None)
    found = graph(facts([feature("x"), label], [layer("a", ["x"], ["label"], ())]))
    assert [n.says for n in found.nodes] == ["1x2", "relu scalar", "string"]


def test_a_blob_that_is_written_again_is_read_from_its_last_writer():
    found = graph(facts(
        [feature("x"), feature("x", "output")],
        [layer("one", ["x"], ["x"]), layer("two", ["x"], ["x"])],
    ))  # fmt: skip
    assert named(found) == {("x", "one"), ("one", "two"), ("two", "x")}


def test_an_output_that_no_layer_writes_hangs_on_what_nothing_reads():
    found = graph(facts(
        [feature("x"), feature("label", "output"), feature("x", "output")],
        [layer("a", ["x"], ["p"]), layer("b", ["p"], ["q"])],
    ))  # fmt: skip
    assert named(found) == {("x", "a"), ("a", "b"), ("b", "label"), ("x", "x")}


def test_what_is_inside_of_a_loop_is_not_drawn():
    found = graph(facts(
        [feature("x"), feature("y", "output")],
        [layer("loop", ["x"], ["y"]), layer("inside", ["x"], ["y"], nested=True)],
    ))  # fmt: skip
    assert [n.name for n in found.nodes] == ["x", "loop", "y"]


def chain(length):
    nodes = [Node("input", "x"), *(Node("layer", f"l{i}") for i in range(length))]
    nodes.append(Node("output", "y"))
    return Graph(tuple(nodes), tuple((i, i + 1) for i in range(length + 1)))


def test_a_network_of_sixty_layers_is_drawn_whole():
    assert shortened(chain(60), ["l30"]) == chain(60)


def test_of_a_long_network_the_ends_and_what_is_near_to_a_suspect_are_drawn():
    found = shortened(chain(5000), ["l1000", "l3", "absent"])
    assert [n.name for n in found.nodes] == [
        "x", "l0", "l1", "l2", "l3", "l4", "l5", "… 992 layers …",
        "l998", "l999", "l1000", "l1001", "l1002", "… 3,993 layers …",
        "l4996", "l4997", "l4998", "l4999", "y",
    ]  # fmt: skip
    assert found.edges == tuple((i, i + 1) for i in range(18))


def test_one_layer_between_is_drawn_itself():
    names = [n.name for n in shortened(chain(100), ["l7"]).nodes]
    assert names[4:8] == ["l3", "l4", "l5", "l6"]


@pytest.mark.parametrize("count", [1, 500])
def test_many_suspects_or_inputs_leave_a_drawing_of_few_boxes(count):
    features = [feature(f"x{i}") for i in range(count)] + [feature("y", "output")]
    layers = [layer(f"l{i}", [f"x{i % count}", f"b{i}"], [f"b{i + 1}"]) for i in range(3000)]
    found = shortened(graph(facts(features, layers)), [f"l{i}" for i in range(0, 3000, 2)])
    assert len(found.nodes) <= 150
    assert all(a < b for a, b in found.edges)
    counted = [n.name for n in found.nodes if n.kind == "more"]
    total = sum(int(w.replace(",", "")) for name in counted for w in name.split() if w[0].isdigit())
    assert total + sum(n.kind != "more" for n in found.nodes) == count + 3001


def test_a_network_of_five_thousand_layers_is_quick():
    start = time.process_time()
    layers = [layer(f"l{i}", [f"b{i}"], [f"b{i + 1}"]) for i in range(5000)]
    shortened(graph(facts([feature("b0"), feature("b5000", "output")], layers)), ["l77"])
    assert time.process_time() - start < 2
