from __future__ import annotations

from reporter.write.privacy.removed import NOTHING, Removed, merged, removals


def test_kinds_are_counted_in_words_with_where_they_were():
    found = (
        Removed("path", 2, ("records", "migration.json")),
        Removed("mail address", 1, ("metadata: author",)),
        Removed("mail address", 1200, ()),
    )
    assert removals(found) == (
        "removed: 2 paths (records, migration.json), 1 mail address (metadata: author), "
        "1,200 mail addresses",
    )


def test_what_is_kept_has_a_sentence_of_its_own():
    kept = Removed("token", 3, ("author",), kept=True)
    said = "kept in the model, as --keep-metadata asks: 3 tokens (author)"
    assert removals([kept]) == (NOTHING, said)
    assert removals([Removed("path", 1, ()), kept]) == ("removed: 1 path", said)


def test_nothing_is_said_to_be_nothing():
    assert removals(()) == ("nothing was found to remove",)


def test_two_goes_are_added_by_kind_and_what_is_kept_stays_apart():
    first = [Removed("path", 1, ("a",)), Removed("path", 4, ("m",), kept=True)]
    second = [Removed("path", 2, ("b", "a")), Removed("UDID", 1, ("c",))]
    assert merged(first, second) == (
        Removed("path", 3, ("a", "b")),
        Removed("path", 4, ("m",), kept=True),
        Removed("UDID", 1, ("c",)),
    )
