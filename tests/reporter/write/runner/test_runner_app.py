"""The app's sources: their syntax, and what they call of Apple's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import swift_syntax as swift

from reporter.understand.usable import SIMULATOR
from reporter.write.rendering import render
from reporter.write.runner.runner import SOURCES

HERE = Path(__file__).parent
TEMPLATES = Path(__file__).resolve().parents[4] / "templates" / "runner"
LIST = json.loads((HERE / "apple_api.json").read_text())
APPLE, OLDEST = LIST["apple"], (16, 0)
PACKAGE = "Package.swift"


def source(name):
    return render(f"runner/{name}", key="0123456789ab", models=1, repeats=3)


@pytest.fixture(scope="module")
def sources():
    return {f"{name}.swift": source(f"{name}.swift") for name in SOURCES}


def with_change(sources, file, old, new):
    assert sources[file].count(old) == 1
    return {**sources, file: sources[file].replace(old, new)}


# --- the allow-list


def version(entry):
    return tuple(map(int, entry["ios"].split(".")))


def last(key):
    """(the type before it, its name, its labels or None) of a key of the list."""
    path, _, labels = key.partition("(")
    owner, _, name = path.rpartition(".")
    return owner, name, tuple(labels[:-2].split(":")) if len(labels) > 1 else None


def among(labels, known):
    """Whether a call's labels are some of those known, in their order."""
    rest = iter(known or ())
    return all(label in rest for label in labels)


def candidates(use):
    """The entries that a use may be of."""
    for key, entry in APPLE.items():
        owner, name, labels = last(key)
        if name == "init" and not use.is_member and owner == use.name and use.labels:
            if among(use.labels, labels):
                yield entry
        elif name == use.name and (not use.owner or owner == use.owner):
            if use.is_member and use.labels is not None:
                if among(use.labels, labels) and (labels is not None or not use.labels):
                    yield entry
            elif use.labels is None or among(use.labels, labels) or set(use.labels) <= {"_"}:
                yield entry


def wrong(sources):
    """What the sources use that is not theirs, not Swift's and not in the list, or too new."""
    trees = {file: swift.tree(text) for file, text in sources.items()}
    pairs = [swift.declared(tree) for tree in trees.values()]
    members, others = (set().union(*part) for part in zip(*pairs, strict=True))
    for file, tree in trees.items():
        for use in swift.uses(tree):
            if use.owner in APPLE or (use.name in APPLE and use.name not in members):
                ours = False
            else:
                ours = use.name in members or (not use.is_member and use.name in others)
            if ours or (use.name in LIST["swift"]["names"] and use.owner not in APPLE):
                continue
            found = [version(entry) for entry in candidates(use)]
            if not found:
                yield f"{file}, {use}: not in the list"
            elif min(found) > max(OLDEST, use.since):
                yield f"{file}, {use}: needs iOS {min(found)}"


def test_the_app_calls_nothing_of_apples_that_is_not_in_the_list(sources):
    assert list(wrong(sources)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("UnitTrial.swift", "configuration.computeUnits =", "configuration.computeUnit =",
         "computeUnit: not in the list"),
        ("UnitTrial.swift", "MLModel.compileModel(at:", "MLModel.compileModel(from:",
         "MLModel.compileModel(from:): not in the list"),
        ("UnitTrial.swift", "MLModel(contentsOf: compiled, configuration: configuration)",
         "MLModel(contentsOf: compiled, settings: configuration)", "MLModel(contentsOf:settings:)"),
        ("UnitTrial.swift", ".cpuAndNeuralEngine", ".neuralEngineOnly", "neuralEngineOnly"),
        ("DeviceFacts.swift", "if #available(iOS 17.0, *)", "if true",
         "MLModel.availableComputeDevices: needs iOS (17, 0)"),
        ("PlanReading.swift", "guard #available(iOS 17.4, *) else",
         "guard #available(iOS 17.0, *) else", "needs iOS (17, 4)"),
        ("DeviceFacts.swift", "process.physicalMemory", "process.hostName", "hostName"),
        ("RunnerState.swift", "DeviceFacts.device(label: DeviceLabel.kept)",
         "UIDevice.current.identifierForVendor", "identifierForVendor: not in the list"),
        ("RunnerView.swift", "NavigationStack {", "NavigationShelf {", "NavigationShelf"),
        ("Outputs.swift", "CVPixelBufferGetWidth(", "CVPixelBufferGetBreadth(", "Breadth"),
    ],
)  # fmt: skip
def test_another_name_label_or_an_older_system_is_caught(sources, file, old, new, words):
    found = list(wrong(with_change(sources, file, old, new)))
    assert found
    assert any(words in line for line in found), found


def test_every_entry_of_the_list_has_a_source_and_is_used(sources):
    used = {use.name for text in sources.values() for use in swift.uses(swift.tree(text))}
    used |= set().union(*(swift.declared(swift.tree(t))[0] for t in sources.values()))
    for key, entry in APPLE.items():
        owner, name, _ = last(key)
        assert (owner if name == "init" else name) in used, key
        assert re.fullmatch(r"\d+\.\d", entry["ios"]), key
        assert entry["source"].startswith("https://"), key
        assert entry["framework"], key
    assert [name for name in LIST["swift"]["names"] if name not in used] == []
    assert LIST["swift"]["names"] == sorted(set(LIST["swift"]["names"]))


# --- syntax


def test_every_source_is_well_formed(sources):
    for file, text in {**sources, PACKAGE: source(PACKAGE)}.items():
        assert swift.faults(swift.tree(text)) == [], file


@pytest.mark.parametrize("file", [PACKAGE, *(f"{name}.swift" for name in SOURCES)])
def test_a_brace_that_is_missing_is_caught(file):
    text = source(file)
    closing = max(text.rindex("}") if "}" in text else 0, text.rindex(")"))
    assert swift.faults(swift.tree(text[:closing] + text[closing + 1 :]))


def test_the_list_of_sources_is_what_there_is():
    assert {f"{name}.swift" for name in SOURCES} | {PACKAGE, "README.md"} == {
        path.name for path in TEMPLATES.iterdir()
    }
    assert list(SOURCES) == sorted(SOURCES)


def test_each_file_is_short_and_says_what_it_is(sources):
    for file, text in sources.items():
        assert len(text.splitlines()) < 150, file
        assert max(map(len, text.splitlines())) <= 100, file
        assert "///" in text or "// The names are" in text, file


def test_no_other_framework_is_imported(sources):
    lines = "\n".join(sources.values()).splitlines()
    found = {line.removeprefix("import ") for line in lines if line.startswith("import ")}
    assert found == {"Foundation", "CoreML", "CoreVideo", "SwiftUI", "UIKit"}


def calls(text, function):
    """The names that a function of a source uses, in order."""
    (found,) = [
        node
        for node in swift.each(swift.tree(text))
        if node.type == "function_declaration"
        and swift.text(node.child_by_field_name("name")) == function
    ]
    return [use.name for use in swift.uses(found.child_by_field_name("body"))]


def test_a_start_keeps_the_label_and_notes_that_the_app_is_in_front(sources):
    used = calls(sources["RunnerState.swift"], "start")
    assert used.index("keepLabel") < used.index("records")  # whose device has the label
    assert used.index("noteFront") < used.index("everything")


def test_records_are_shared_only_under_a_label_that_is_kept(sources):
    view = sources["RunnerView.swift"]
    before = view[: view.index("ShareLink(")].splitlines()
    assert [line.strip() for line in before[-4:-1]] == [
        "if !state.isLabelKept {",
        'Button("Keep this label") { state.keepLabel() }',
        "} else if !state.shared.isEmpty {",
    ]
    assert "label" not in calls(sources["Records.swift"], "assemble")  # a name is no label's


def test_a_simulator_says_what_it_simulates_and_that_it_is_one(sources):
    text = sources["DeviceFacts.swift"]
    names = ("SIMULATOR_MODEL_IDENTIFIER", "SIMULATOR_RUNTIME_BUILD_VERSION")
    assert all(text.count(f'simulated["{name}"]') == 1 for name in names)
    assert f'product: simulated.isEmpty ? "" : "{SIMULATOR}"' in text
    assert "virtual: simulated.isEmpty ? nil : true" in text


def test_the_package_is_of_swift_5_and_ios_16_with_the_models_copied_as_they_are():
    text = source(PACKAGE)
    assert text.startswith("// swift-tools-version: 5.10\n")
    assert '.iOS("16.0")' in text
    assert 'bundleIdentifier: "anereport.runner.0123456789ab"' in text
    assert 'resources: [.copy("Models"), .copy("Inputs")]' in text
    assert "supportedDeviceFamilies: [.pad, .phone]" in text
