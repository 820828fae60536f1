from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import numpy as np
from sketches import sketches_of

from reporter.write.venues import html

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Elements, attributes, and the text outside of the style sheet; unbalanced tags are errors."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open, self.tables = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append(0)
        if tag in ("td", "th"):
            self.tables[-1][-1] += 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words += data.split()

    @property
    def text(self):
        return " ".join(self.words)


def drawn(report, *outputs):
    """Return a report of outputs in which the CPU is right and the Neural Engine is not."""
    reference = np.arange(6.0).reshape(1, 2, 3, 1)
    wrong = reference + [[[0], [50], [np.nan]]] * (reference > 2)
    sketches = sketches_of({"cpu": [reference], "ane": [wrong]}, reference)
    (base,) = report.comparisons
    three = [dataclasses.replace(base, output=output, sketches=sketches) for output in outputs]
    return dataclasses.replace(report, comparisons=tuple(three))


def test_snapshot(report, as_file):
    assert html.text(report) == as_file("html")


def test_snapshot_with_pictures(simulated, as_file):
    assert html.text(drawn(simulated, "y")) == as_file("html")


def test_it_is_one_self_contained_page(report):
    page = Page(html.text(drawn(report, "y") if len(report.comparisons) == 1 else report))
    assert not {"script", "iframe", "img", "link", "object", "a", "form", "base"} & set(page.tags)
    loading = [a for a in page.attributes if a[1] in ("src", "href", "style") or a[1][:2] == "on"]
    assert loading == []
    assert "url(" not in html.text(report)
    assert "@import" not in html.text(report)


def test_every_table_is_rectangular(report):
    tables = Page(html.text(report)).tables
    assert len(tables) >= 4
    for rows in tables:
        assert len(set(rows)) == 1


def test_pictures_stand_below_what_is_asked_and_only_there(make_report, without_records):
    text = html.text(drawn(make_report(), *"abc"))
    page = Page(text)
    assert page.tags.count("figure") == page.tags.count("figcaption") == 3 * 3 * 2 + 1
    pictures = text.partition("<h2>Details")[0]
    assert [d.startswith(" open") for d in pictures.split("<details")[1:]] == [True, False, False]
    headings = ("Numbers", "Devices", "What is usually asked", "Pictures", "Reproduce")
    parts = ["A summary of one sentence.", *(f"<h2>{heading}" for heading in headings)]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    none = Page(html.text(without_records))
    assert none.tags.count("figure") == 1  # the network
    without_layers = dataclasses.replace(make_report().model, layers=())
    assert "figure" not in Page(html.text(make_report(model=without_layers))).tags


def test_the_page_of_a_million_values_is_small(make_report):
    draw = np.random.RandomState(0)
    reference = draw.randn(1, 1000, 40, 25)
    noise = reference + np.exp(draw.randn(*reference.shape) * 4) / 100
    sketches = sketches_of({unit: [noise] for unit in ("cpu", "gpu", "ane")}, reference)
    (base,) = make_report().comparisons
    three = [dataclasses.replace(base, output=o, sketches=sketches) for o in "abc"]
    assert len(html.text(make_report(comparisons=tuple(three))).encode()) < 1_500_000


def test_hostile_names_are_text(hostile):
    page = Page(html.text(hostile))
    for part in ("a|b`c```", "<script>alert(1)</script>", "[x](y)", "*z*", "é~"):
        assert part in page.text
    assert page.tags.count("title") == 1 + page.tags.count("desc") == 2


def test_simulated_is_in_the_title_and_above_the_tables(simulated):
    text = html.text(simulated)
    assert "<title>SIMULATED" in text
    page = Page(text)
    assert page.text.index("SIMULATED") < page.text.index("Numbers")
    for table in text.split("<table>")[1:3]:
        assert "simulated" in table.split("</table>")[0].lower()


def test_details_are_folded_each_behind_its_heading(whole):
    text = html.text(whole)
    before, _, details = text.partition("<h2>Details</h2>")
    assert "<details>" not in before
    assert details.count("<details>") == details.count("</details>") == 10
    assert "<h3>" not in details
    assert "<summary>Lint</summary>" in details
    assert all(part.strip().endswith("</details>") for part in details.split("<details>")[1:-1])


def test_no_control_or_bidirectional_character_is_in_the_page(hostile):
    for text in (html.text(hostile), html.text(dataclasses.replace(hostile, title="a\u202eb"))):
        assert all(c.isprintable() or c == "\n" for c in text)


def test_it_says_what_the_markdown_says(make_report):
    page = Page(html.text(make_report()))
    for words in ("Neural", "computed by the layers", "conv1_output", "-23.0196609", "ab" * 32):
        assert words in page.text or words == "Neural"
    assert page.tags.count("h2") == 9
