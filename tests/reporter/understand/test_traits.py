"""Traits of networks, and the rules that separate failing ones from right ones."""

from __future__ import annotations

import pytest
from networks import network
from rule_devices import joined_spec

import migrate
from reporter.understand.traits import Rule, rules, traits

JOINT = "a concatenation is read by a depthwise convolution"
SHAPES = {"a_out": (1, 3, 5, 1), "b_out": (1, 2, 5, 1), "both": (1, 5, 5, 1), "y": (1, 5, 3, 1)}


def of(**options):
    return traits(migrate.read(joined_spec(3, 2, **options)), SHAPES)


def test_a_pair_of_layers_is_a_trait_with_the_channels_between_them():
    found = of()
    assert found[JOINT] == 5
    assert found["a convolution is read by a concatenation"] == 3


def test_only_a_convolution_of_a_group_for_each_channel_is_depthwise():
    found = of(deep=False)
    assert JOINT not in found
    assert found["a concatenation is read by a convolution"] == 5


def test_a_last_axis_of_one_is_a_trait_of_inputs_and_of_outputs():
    found = of()
    assert found["the last axis of an input is 1"] == 1
    assert found["the last axis of an output is 1"] == 1
    wide = traits(migrate.read(joined_spec(3, 2, width=4)), {"y": (1, 5, 3, 4)})
    assert not [trait for trait in wide if "last axis" in trait]


def test_declared_types_are_traits():
    spec = joined_spec(3, 2)
    spec.specificationVersion = 7
    spec.description.output[0].type.multiArrayType.dataType = 65552
    assert "an output is declared as FLOAT16" in traits(migrate.read(spec), SHAPES)
    assert "an output is declared as FLOAT16" not in of()


def test_blobs_of_unknown_shape_and_networks_without_layers_have_traits_too():
    spec = network({"x": (2, 3)}, ["x"], ("activation", "x", "y", {"ReLU": None}))
    assert traits(migrate.read(spec), {})["there is a layer of type activation"] == 1
    del spec.neuralNetwork.layers[:]
    assert traits(migrate.read(spec), {}) == {}


def test_what_all_failing_have_and_no_right_one_is_the_rule():
    (rule,) = rules([{"p": 1, "q": 1}, {"p": 1}], [{"q": 1}, {}])
    assert rule == Rule(("p",))
    assert str(rule) == "fails wherever p; right where not"


def test_more_channels_are_a_rule_where_right_ones_have_it_too():
    (rule,) = rules([{"p": 1025}, {"p": 1600}], [{"p": 1024}, {"p": 8}, {}])
    assert (rule.least, rule.most) == (1025, 1024)
    assert str(rule) == "fails wherever p with 1,025 channels or more; right with 1,024 or fewer"
    assert rules([{"p": 1024}, {"p": 1600}], [{"p": 1024}]) == ()


def test_a_rule_says_that_fewer_channels_were_not_tried():
    (rule,) = rules([{"p": 1600}, {"p": 1664}], [{}])
    assert "1,600 to 1,664 channels; fewer were not tried" in str(rule)


def test_what_only_right_ones_have_is_a_rule_of_absence():
    (rule,) = rules([{}, {"q": 1}], [{"p": 1}, {"p": 1, "q": 1}])
    assert str(rule) == "fails wherever it is not so that p; right where it is"


def test_two_traits_together_are_a_rule_where_one_is_not():
    (rule,) = rules([{"p": 1, "q": 1}], [{"p": 1}, {"q": 1}])
    assert str(rule) == "fails wherever p and q; right where not"


def test_rules_about_two_layers_come_before_those_that_a_layer_is_there():
    found = rules([{"there is a p": 1, "a p is read by a q": 1}], [{}])
    assert [rule.traits for rule in found] == [("a p is read by a q",), ("there is a p",)]


@pytest.mark.parametrize(("failing", "right"), [([], []), ([{"p": 1}], []), ([], [{"p": 1}])])
def test_without_both_failing_and_right_ones_there_is_no_rule(failing, right):
    assert rules(failing, right) == ()
