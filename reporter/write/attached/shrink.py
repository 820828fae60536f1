"""A model's shrink as a report carries it: found beside it, the smallest network that fails."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from reporter.measure.identity import identify
from reporter.measure.paths import typed
from reporter.understand import shrink_words, shrunk
from reporter.understand.shrunk import ShrinkError, Shrunk
from reporter.write.attached import beside
from reporter.write.privacy.model_copy import Copied, copied, reidentified
from reporter.write.privacy.redact import say
from reporter.write.variants.shrink import SMALLEST, default_folder

if TYPE_CHECKING:
    from pathlib import Path

    from reporter.measure.identity import ModelIdentity

FOLDER = "shrink"  # in the report's folder


@dataclass(frozen=True)
class ShrunkFacts:
    """What a shrink found: the smallest network that fails on its device, and what was tried."""

    device: str
    evidence: str  # "measured" or "simulated"
    sentences: tuple[str, ...]
    file: str = ""  # the smallest network, in the report's folder, once the shrink has ended
    size: int = 0  # bytes of it
    command: str = ""  # that goes on, until then

    @property
    def simulated(self) -> bool:
        """Whether its rounds were measured by the simulator."""
        return self.evidence == "simulated"


@dataclass(frozen=True)
class Attached:
    """A shrink and the folder that it was read from."""

    folder: Path
    state: Shrunk

    @property
    def facts(self) -> ShrunkFacts | None:
        """What it found; None as long as no network is known to fail."""
        state, smallest = self.state, self.state.smallest
        if state.place is None or smallest is None:
            return None
        device, evidence = str(state.place), state.place.evidence
        if not state.ended:
            again = ["variants", state.source.name, "--shrink", "--out", typed(str(self.folder))]
            said = tuple(shrink_words.standing(state))
            return ShrunkFacts(device, evidence, said, command=f"anereport {shlex.join(again)}")
        sizes = (smallest.identity.size, state.source.size)
        said = tuple(shrink_words.conclusion(state, sizes))
        return ShrunkFacts(device, evidence, said, f"{FOLDER}/{SMALLEST}", sizes[0])

    def write(self, folder: Path) -> list[Copied]:
        """Write what it found, and the smallest network once it has ended, into a folder."""
        target = folder / FOLDER
        target.mkdir()
        copies = []
        if self.state.ended and self.state.smallest:
            copies.append(copied(self.folder / SMALLEST, target / SMALLEST))
        say(target / shrunk.FILE, reidentified(shrunk.dumps(self.state), copies))
        return copies


def find(model: Path, identity: ModelIdentity, chosen: Path | None) -> tuple[Attached | None, str]:
    """Return the shrink of a model, and why one that lies beside it is not taken.

    `chosen` is the folder that the user named; ShrinkError if it holds none of this model.
    """
    read = partial(attach, identity=identity)
    name = default_folder(model)
    return beside.find(model, "the shrink beside the model is", name, shrunk.FILE, read, chosen)


def attach(folder: Path, identity: ModelIdentity) -> Attached:
    """Return the shrink in a folder; ShrinkError if it is another model's, or was changed."""
    state = shrunk.load(folder)
    beside.check_source(f"{folder} is a shrink", state.source, identity, ShrinkError)
    path, smallest = folder / SMALLEST, state.smallest
    if state.ended and smallest and not _is(path, smallest.identity):
        raise ShrinkError(f"{path} is not as it was written: begin the shrink again with --force")
    return Attached(folder, state)


def _is(path: Path, identity: ModelIdentity) -> bool:
    return path.exists() and identify(path).sha256 == identity.sha256
