from __future__ import annotations

import base64
import json
import time

import numpy as np
import planted_secrets as planted
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reporter.measure.tensor import Tensor
from reporter.write.privacy.redact import Gate, current, opened, redact, redact_json
from reporter.write.rendering import plain, text

SENTENCES = ("{}", "it says {} there", "x={}, y", "({}).", "a\n{}\nb", '"{}"', "{}: no")
HARMLESS_CHARACTERS = st.text("abcdefgh ,;!?\n\u00e9\u6a21", max_size=60)


@pytest.fixture(autouse=True)
def _on_alices_machine(monkeypatch):
    planted.machine(monkeypatch)


def test_the_corpora_are_large():
    assert len(planted.SECRETS) >= 60
    assert len(planted.LOOK_ALIKES) >= 60
    assert len(dict(planted.SECRETS)) == len(planted.SECRETS)


@pytest.mark.parametrize(("written", "private"), planted.SECRETS)
def test_what_is_private_leaves_a_sentence_and_the_rest_stays(written, private):
    assert private in written
    for sentence in SENTENCES:
        before, after = sentence.split("{}")
        said = redact(sentence.format(written))
        assert private.lower() not in said.lower()
        assert said.startswith(before)
        assert said.endswith(after)
        assert "".join(c for c in said if c not in written).isascii()
        assert redact(said) == said


@pytest.mark.parametrize("harmless", planted.LOOK_ALIKES)
def test_what_only_looks_private_stays(harmless):
    for sentence in SENTENCES:
        assert redact(sentence.format(harmless)) == sentence.format(harmless)


@given(HARMLESS_CHARACTERS)
def test_a_text_without_any_trigger_is_unchanged(words):
    assert Gate().text(words) == words


@given(st.text(max_size=20), st.sampled_from([w for w, _ in planted.SECRETS]), st.text(max_size=20))
@example("", "/Users/bobq/Desktop/m.mlmodel", "%2F")
def test_what_was_redacted_stays_so(before, written, after):
    gate = Gate()
    once = gate.text(f"{before} {written} {after}")
    assert gate.text(once) == once


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("in /srv/people/aliceb/x.mlmodel", "in ~/x.mlmodel"),
        ("in /srv/people/aliceb/work/Block.mlmodel: no", "in ./Block.mlmodel: no"),
        ("it is in /srv/people/aliceb. Then", "it is in ~. Then"),
        ('File "/srv/people/aliceb/work/a/b.py", line 1', 'File "./.../b.py", line 1'),
        ("/Users/bob/a.py /Users/joe/b/c.py", "~/a.py ~/.../c.py"),
        ("/Users/bob/Desktop", "~/..."),
        ("--log=/tmp/x/y.log.", "--log=[temporary folder]/.../y.log."),
        ("kept in ~/.config/anereport/label", "kept in ~/.config/anereport/label"),
        ("mail jane.doe@example.com.", "mail [mail address]."),
        ("https://jane:pw12@x.org/a", "https://[credentials]@x.org/a"),
        ('{"password": "abcd1"}', '{"password": "[password]"}'),
        ("serial number C02XK1ZZJGH5, ok", "serial number [serial number], ok"),
        ("commit 1234567890abcdef1234567890abcdef12345678", None),
        ("udid 1234567890abcdef1234567890abcdef12345678", "udid [UDID]"),
        ("aliceb_secret.mlmodel", "[user name]_secret.mlmodel"),
    ],
)
def test_what_stands_in_its_place(written, shown):
    assert redact(written) == (written if shown is None else shown)


@pytest.mark.parametrize(
    "text",
    ["/srv/people/aliceb2/x", "/scratch/x-tmp2/x", "alicebell", "/data/skunkworks/falcons"],
)
def test_what_only_begins_alike_is_another(text):
    assert redact(text) == text


@pytest.mark.parametrize("end", [r"\n", r"\t", r"\r"])
@pytest.mark.parametrize(("written", "private"), planted.SECRETS)
def test_an_end_of_line_in_source_hides_nothing(written, private, end):
    assert private not in redact(f"print('a{end}{written}{end}b')")


def test_a_key_that_is_cut_off_takes_all_that_follows():
    assert redact("a -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\naC1r") == "a [private key]"


NAMES = frozenset(
    ("/home/x/conv", "aliceb", "jane@example.com", "plain", "C02XK1ZZJGH5", "with a space /tmp/x y")
)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_names_of_the_model_stay(name):
    gate = Gate(NAMES)
    for sentence in SENTENCES:
        assert gate.text(sentence.format(name)) == sentence.format(name)
    for form in (text(name), plain(name)):
        assert gate.text(f"layer {form} of it") == f"layer {form} of it"
    assert gate.removed == ()


def test_a_name_within_something_else_does_not_keep_it():
    gate = Gate(frozenset(("example.com", "conv", "home", "bobq", "@")))
    assert gate.text("jane@example.com") == "[mail address]"
    assert gate.text("/home/bobq/conv") == "~/..."
    assert gate.text("xaliceb aliceb.conv") == "xaliceb [user name].conv"
    assert Gate(frozenset(("aliceb",))).text("aliceb-x, aliceb") == "[user name]-x, aliceb"


def test_a_fault_at_a_layer_stays_and_a_person_at_its_name_does_not():
    gate = Gate(frozenset(("block.com",)), frozenset(("bias-only",)))
    assert gate.text("simulated: bias-only@block.com") == "simulated: bias-only@block.com"
    assert gate.text("jane@block.com") == "[mail address]"
    assert gate.text("bias-only@block.com.org") == "[mail address]"


def test_names_that_look_private_are_known():
    assert Gate(NAMES).suspects == {
        "/home/x/conv": "path",
        "C02XK1ZZJGH5": "serial number",
        "aliceb": "user name",
        "jane@example.com": "mail address",
        "with a space /tmp/x y": "path",
    }


def test_what_was_taken_out_is_counted_once_by_kind_and_by_file():
    gate = Gate()
    gate.text("jane@example.com, joe@example.com, jane@example.com", "a.md")
    gate.text("jane@example.com and /tmp/x/y", "b.md")
    mails, paths = gate.removed
    assert (mails.kind, mails.count, mails.where) == ("mail address", 2, ("a.md", "b.md"))
    assert (paths.kind, paths.count, paths.where) == ("path", 1, ("b.md",))
    assert "example.com" not in repr(gate.removed)


SECRET_LOOKING = base64.b64decode(
    "AAAA/tmp/abc/Users/bobq/+C02XK1ZZJGH5+AKIAIOSFODNN7EXAMPLEAAAAAA"
)


def test_numbers_of_tensors_stay_to_the_bit_where_all_else_of_a_record_is_told():
    tensor = Tensor.of(np.frombuffer(SECRET_LOOKING, np.uint8))
    written = json.loads(tensor.model_dump_json())
    assert "/tmp/abc/Users/bobq/+C02XK1ZZJGH5+" in written["data"]
    record = {"aliceb": written, "runs": [{"message": "of jane@example.com", "n": 1.5, "x": None}]}
    told = json.loads(redact_json(json.dumps(record)))
    assert told == {
        "[user name]": written,
        "runs": [{"message": "of [mail address]", "n": 1.5, "x": None}],
    }


def test_what_is_no_tensor_is_told_though_it_says_so():
    for written in (
        {"dtype": "uint8", "data": "jane@example.com"},
        {"dtype": "other", "data": "C02XK1ZZJGH5"},
        {"dtype": "uint8", "data": "F2LX9V0QN1"},
        {"dtype": "uint8", "data": ["C02XK1ZZJGH5"]},
    ):
        assert redact_json(json.dumps(written)) != json.dumps(written)


def test_what_a_key_says_of_its_value_counts_in_json():
    record = {"password": "tulip", "ECID": 7349874591868649, "serial": "qx-12-9", "tokens": 512}
    assert json.loads(redact_json(json.dumps(record))) == {
        "password": "[password]",
        "ECID": "[ECID]",
        "serial": "[serial number]",
        "tokens": 512,
    }


def test_keys_that_become_equal_stay_two():
    told = json.loads(redact_json('{"a@example.com": 1, "b@example.com": 2}'))
    assert told == {"[mail address]": 1, "[mail address] 2": 2}


@pytest.mark.parametrize("harmless", ['{"a":  [1.50, NaN]}\n', "", "[", '{"a": "\\ud800"}'])
def test_json_in_which_nothing_is_private_stays_to_the_byte(harmless):
    assert redact_json(harmless) == harmless


def test_what_is_no_json_is_told_as_text():
    assert redact_json("{jane@example.com") == "{[mail address]"


def test_names_of_files_have_no_spaces_or_slashes_of_ours():
    gate = Gate()
    assert gate.file_name("jane@example.com.mlmodel") == "removed-mail-address.mlmodel"
    assert gate.file_name("Block v2.mlmodel") == "Block v2.mlmodel"
    assert "/" not in gate.file_name("C:\\Users\\bobq\\a.mlmodel")


def test_the_open_gate_is_asked_and_only_until_it_is_closed():
    with opened(Gate(frozenset(("aliceb",)))) as gate:
        assert redact("aliceb") == "aliceb"
        assert current() is gate
    assert redact("aliceb") == "[user name]"


def test_a_gate_that_keeps_metadata_says_what_it_kept():
    gate = Gate(keeps_metadata=True)
    assert gate.metadata("by jane@example.com", "author") == "by jane@example.com"
    assert gate.text("by jane@example.com", "a.md") == "by [mail address]"
    assert [(one.kept, one.where) for one in gate.removed] == [
        (True, ("author",)), (False, ("a.md",)),
    ]  # fmt: skip


def test_a_record_of_fifty_megabytes_takes_no_seconds():
    written = Tensor.of(np.zeros(9_375_000, "f4"))
    text = written.model_dump_json()
    assert len(text) > 50_000_000 - 100
    began = time.process_time()
    assert redact_json(text) == text
    assert time.process_time() - began < 2


def test_long_texts_take_time_in_proportion():
    lines = "layer conv_12 of 1,024 channels: 0.25 at (0, 1, 2), https://example.com/x\n" * 20_000
    began = time.process_time()
    assert Gate().text(lines) == lines
    assert time.process_time() - began < 5
    run = "a" * 200_000 + "@" + "-" * 200_000 + "password"
    began = time.process_time()
    Gate().text(run)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "hostile",
    ["://" + "a:" * 50_000, r"\n" * 50_000, "As-Mac" * 16_000, "/Users/x/" + "a&" * 50_000],
)
def test_no_text_takes_time_as_its_square(hostile):
    began = time.process_time()
    Gate().text(hostile)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("ends", [r"\n", r"\r", r"\r\n", r"\n\n", r"\t"])
def test_spelled_ends_of_lines_stay_what_they_are(ends):
    """They are looked at as ends of lines, and are the same afterwards, beside what goes too."""
    text = f"print('one{ends}two{ends}')"
    assert Gate().text(text) == text
    told = Gate().text(f"'one{ends}mail me@example.org{ends}two'")
    assert told.count(ends) == 2
    assert "example.org" not in told
