from __future__ import annotations

import dataclasses

import pytest

from migrate import AnereportError
from reporter.measure.identity import ModelIdentity
from reporter.write.report.model_facts import ModelFacts
from reporter.write.report.report import Report
from reporter.write.report.stated import Stated, StatedError
from reporter.write.repro import Repro

ADDRESS = "https://developer.apple.com/forums/thread/720810"


@pytest.mark.parametrize("number", ["FB1111111", "FB12345678", "FB000000000001"])
def test_a_number_of_feedback_assistant(number):
    assert Stated(number) == Stated(feedback=number, thread="")


@pytest.mark.parametrize(
    "number",
    ["12345678", "FB", "fb12345678", "FB 12345678", "FB12345678\n", "FB1234x", "FB\u0663", " ",
     "FB12", "FB123456", "FB" + 13 * "1", "<b>FB1111111</b>"],
)  # fmt: skip
def test_what_is_no_such_number_is_refused_with_an_example(number):
    with pytest.raises(StatedError, match=r"--fb is the number .* as in FB12345678, not"):
        Stated(number)


@pytest.mark.parametrize(
    "address", [ADDRESS, "http://a.example/?q=1&b=%20#c_d", "https://[2001:db8::1]:8080/x"]
)
def test_an_address_of_the_web(address):
    assert Stated(thread=address).thread == address


@pytest.mark.parametrize(
    "address",
    ["/tmp/thread.txt", "file:///tmp/x", "developer.apple.com/forums", "javascript:alert(1)",
     "https://", "https:///x", "https://a b", f"{ADDRESS}\n", "https://\u00e9.example",
     "https://[x", "ftp://a.example", "https://a.example/" + 2000 * "x"],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_refused_with_an_example(address):
    with pytest.raises(StatedError, match=f"--thread is the web address .* as in {ADDRESS}, not"):
        Stated(thread=address)


def test_a_limit_that_no_post_can_keep_is_refused():
    with pytest.raises(AnereportError, match=r"--forum-limit is 4,000 characters or more, not 0"):
        Stated(forum_limit=0)


def test_what_is_not_said_stays_as_it_is(report):
    whole = Stated("FB1111111", ADDRESS, "iOS 13.7 of /Users/alice", 5000)
    said = whole.into(report)
    assert (said.feedback, said.thread, said.last_good, said.forum_limit) == (
        "FB1111111", ADDRESS, "iOS 13.7 of ~", 5000,
    )  # fmt: skip
    assert Stated().into(said) == said
    assert Stated(thread="http://b.example").into(said).thread == "http://b.example"
    assert dataclasses.replace(said, feedback="", thread="", last_good="", forum_limit=7000) == (
        report
    )


@pytest.fixture
def report():
    identity = ModelIdentity(
        name="m", kind="", spec_version=4, sha256="", sha256_without_metadata="", size=1
    )
    return Report("T", "S", False, ModelFacts(identity, (), (), ()), (), (), 0.01, (),
                  Repro("", "", ""), ())  # fmt: skip
