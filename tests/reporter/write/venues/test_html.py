from __future__ import annotations

from html.parser import HTMLParser

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


def test_snapshot(report, as_file):
    assert html.text(report) == as_file("html")


def test_it_is_one_self_contained_page(report):
    page = Page(html.text(report))
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


def test_hostile_names_are_text(hostile):
    page = Page(html.text(hostile))
    for part in ("a|b`c```", "<script>alert(1)</script>", "[x](y)", "*z*", "é~"):
        assert part in page.text
    assert page.tags.count("title") == 1


def test_simulated_is_in_the_title_and_above_the_tables(simulated):
    text = html.text(simulated)
    assert "<title>SIMULATED" in text
    page = Page(text)
    assert page.text.index("SIMULATED") < page.text.index("Numbers")
    for table in text.split("<table>")[1:3]:
        assert "simulated" in table.split("</table>")[0].lower()


def test_it_says_what_the_markdown_says(make_report):
    page = Page(html.text(make_report()))
    for words in ("Neural", "computed by the layers", "conv1_output", "-23.0196609", "ab" * 32):
        assert words in page.text or words == "Neural"
    assert page.tags.count("h2") == 7
