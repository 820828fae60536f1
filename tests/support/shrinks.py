"""A shrink with a device that measures its rounds."""

from __future__ import annotations

import json

from rule_devices import record

from reporter.measure.record import dumps
from reporter.write.variants import shrink


class Shrink:
    """A model, the folder of its shrink, and records of its rounds."""

    def __init__(self, folder, spec, **options):
        self.folder, self.model, self.out = folder, folder / "m.mlmodel", folder / "s"
        self.model.write_bytes(spec.SerializeToString(deterministic=True))
        self.options = shrink.Options(**options)
        self.said = shrink.shrink(self.model, self.out, options=self.options)

    @property
    def state(self):
        return json.loads((self.out / "shrink.json").read_text())

    @property
    def round(self):
        return self.out / f"round-{self.state['rounds']}"

    def measure(self, wrong, names=(), **options):
        """Records of the last round's models, or of some, in a new folder."""
        number = sum(path.name.startswith("records") for path in self.folder.iterdir())
        records = self.folder / f"records-{number}"
        records.mkdir()
        for path in sorted(self.round.glob("*.mlmodel")):
            if not names or path.name in names:
                (records / f"{path.stem}.json").write_text(dumps(record(path, wrong, **options)))
        return records

    def read(self, *records):
        self.said = shrink.shrink(self.model, self.out, records, self.options)
        return "\n".join(self.said)

    def finish(self, wrong, most=12, **options):
        """Measure and read until nothing is left; the number of rounds."""
        for _ in range(most):
            self.read(self.measure(wrong, **options))
            if self.state["ended"]:
                return self.state["rounds"]
        raise RuntimeError(f"no end after {most} rounds: {self.said}")

    def smallest(self):
        """The reductions of the smallest that fails, by knob."""
        failing = [
            c for c in self.state["candidates"] if (c["finding"] or {}).get("word") == "fails"
        ]
        least = min(failing, key=lambda c: (c["layers"], c["weights"], c["inputs"]))
        return {f"{r['kind']} {r['name']}".strip(): r["value"] for r in least["reductions"]}

    def row(self, kind, name=""):
        """A row of the generalisation table."""
        return next(r for r in self.state["table"] if (r["kind"], r["name"]) == (kind, name))

    def edit(self, change):
        """Edit shrink.json by hand."""
        state = self.state
        change(state)
        (self.out / "shrink.json").write_text(json.dumps(state))
