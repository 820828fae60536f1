"""Programs of a verification are asked for one after the other, so that few need be held."""

from __future__ import annotations

import gc
import weakref

import pytest
from migrations import breaking, model, spec_of

import migrate
from migrate import verification
from migrate.verification import verify

TARGETS = ("iOS15", "iOS16", "iOS17")


@pytest.fixture(scope="module")
def net():
    return migrate.to_torch(spec_of())


@pytest.fixture(scope="module")
def programs(net):
    options = [migrate.Options(target=target) for target in TARGETS]
    return {o.target: migrate.convert(net, spec_of(), o, "").program for o in options}


def test_each_is_asked_for_after_the_one_before_was_followed(net, programs, monkeypatch):
    log = []
    follow, compared = verification.follow, verification.Comparer.program

    def following(made, *rest):
        log.append(f"follow {made.name}")
        return follow(made, *rest)

    def comparing(self, made):
        log.append(f"compare {made.name}")
        return compared(self, made)

    class Told:
        def step(self, text):
            if "ML Program" in text:
                log.append(text)

    def one_by_one():
        for target, program in programs.items():
            log.append(f"ask {target}")
            yield target, program
        log.append("no more")

    monkeypatch.setattr(verification, "follow", following)
    monkeypatch.setattr(verification.Comparer, "program", comparing)
    found = verify(net, one_by_one(), kinds=["integers"], progress=Told())
    assert log == [
        line
        for target in TARGETS
        for line in (
            f"ask {target}", f"comparing the {target} ML Program with the module",
            f"follow {target}", f"compare {target}",
        )
    ] + ["no more"]  # fmt: skip
    assert list(found.maps) == list(TARGETS)


def test_a_program_that_was_followed_is_let_go(net):
    """At most one lives besides the one that is being made."""
    alive, most = weakref.WeakSet(), []

    def one_by_one():
        for target in TARGETS:
            program = migrate.convert(net, spec_of(), migrate.Options(target=target), "").program
            alive.add(program)
            gc.collect()
            most.append(len(alive))
            yield target, program
            del program

    found = verify(net, one_by_one(), kinds=["integers"])
    assert set(found.maps) == set(TARGETS)
    assert max(most) <= 2


def test_pairs_and_a_mapping_are_the_same(net, programs):
    of_mapping = verify(net, programs)
    assert verify(net, iter(programs.items())) == of_mapping
    assert verify(net, list(programs.items())) == of_mapping
    assert {c.variant for c in of_mapping.comparisons} == {
        "torch float32",
        *(f"ML Program {target}" for target in TARGETS),
    }


def test_an_error_is_that_of_its_program(net, monkeypatch):
    convert = breaking(lambda options: options.target == "iOS16")

    def one_by_one():
        for target in TARGETS:
            options = migrate.Options(target=target)
            yield target, convert(net, spec_of(), options, "").program

    found = verify(net, one_by_one(), kinds=["integers"])
    ((program, (error,)),) = found.errors.items()
    assert program == "iOS16"
    assert error.startswith("layer 'convolution': weight is not the weight of operation '")


def test_what_goes_wrong_while_they_are_made_comes_through(net, programs):
    def one_by_one():
        yield from list(programs.items())[:1]
        raise migrate.UnsupportedError("no more of these")

    with pytest.raises(migrate.UnsupportedError, match="no more of these"):
        verify(net, one_by_one(), kinds=["integers"])


def test_no_programs_at_all(net, tmp_path):
    found = verify(net, iter(()), kinds=["integers"])
    assert {c.variant for c in found.comparisons} == {"torch float32"}
    assert verify(migrate.to_torch(model(tmp_path / "m.mlmodel")), {}, kinds=["integers"]) == found
