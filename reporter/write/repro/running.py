"""Running a repro script in a clean process, and what that shows."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import migrate
from reporter.measure.identity import ModelIdentity, identify
from reporter.write.privacy import model_texts
from reporter.write.repro.facts import Kind, Repro, Weights, file_of
from reporter.write.repro.layer_text import clear_weights, without_notes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SECONDS = 300
SEEDED: tuple[Kind, ...] = ("seeded",)


@dataclass(frozen=True)
class _Built:
    """What a run with one kind of weights left: its text, and the model if it made one."""

    kind: Kind
    output: str
    spec: Any = None
    identity: ModelIdentity | None = None


def execute(script: str, model: Path, kinds: Sequence[Kind] = SEEDED) -> Repro:
    """Run the generated script in clean processes, one for each kind of weights it is to build.

    What they built is compared with the model, texts and weights aside.
    """
    with tempfile.TemporaryDirectory() as folder:
        ended = _ran(script, Path(folder), kinds)
        found = [_built(Path(folder), *run) for run in zip(kinds, ended, strict=True)]
    original = migrate.load_spec(model)
    seeded, *others = found
    if seeded.spec is None:
        return failed(script, seeded.output)
    repro = _judged(script, seeded.output, seeded.spec, original)
    weights = [Weights(b.kind, file_of(b.kind), identity=b.identity) for b in found if b.spec]
    status = repro.status
    for built in others:
        same = built.spec and _bared(built.spec) == _bared(seeded.spec)
        found_so = "likewise" if same else f"FAILED: {_last_line(built.output)}"
        status += f"; with {built.kind} weights {found_so}"
    return replace(repro, weights=tuple(weights), status=status)


def _ran(script: str, folder: Path, kinds: Sequence[Kind]) -> list[tuple[int, str]]:
    """Run the script side by side, in a folder for each kind of weights."""
    with ExitStack() as stack:
        started = []
        for kind in kinds:
            (folder / kind).mkdir()
            process = _started(*_clean(script, folder / kind), "run", "--weights", kind)
            started.append(stack.enter_context(process))
        return [_ended(process) for process in started]


def _built(folder: Path, kind: Kind, ended: tuple[int, str]) -> _Built:
    """Return what a run left; one after the other, since what they built may be large."""
    code, output = ended
    file = folder / kind / file_of(kind)
    if code != 0 or not file.exists():
        return _Built(kind, output)
    identity = identify(file)
    return _Built(kind, output, migrate.load_spec(file), identity)


def failed(script: str, output: str) -> Repro:
    """Return a script of ours that did not end well."""
    return Repro(script, "anereport", f"FAILED when executed: {_last_line(output)}", output)


def executed() -> str:
    """Return how far a script of ours is run on this system."""
    reached = "up to the point where Core ML is needed" if sys.platform != "darwin" else "fully"
    return f"executed in a clean process {reached}"


def _judged(script: str, output: str, rebuilt: Any, original: Any) -> Repro:
    """Return what the comparison shows; both specs, which may be large, lose texts and weights."""
    for spec in (rebuilt, original):
        model_texts.clear(spec)
    same_weights = bool(rebuilt == original)
    a, b = _bared(rebuilt), _bared(original)
    noted = same_weights or a == b
    same = noted or without_notes(a) == without_notes(b)
    weights = "the model's own weights" if same_weights else "seeded weights in place of its own"
    network = "the same network" if same else "ANOTHER network than the model's"
    status = f"{executed()}: it rebuilds {network}, with {weights}"
    status += "" if noted or not same else ", without what its layers note of their ranks"
    return Repro(script, "anereport", status, output, rebuilds=same, own_weights=same_weights)


def _bared(spec: Any) -> Any:
    """Return the spec itself, its texts and weights cleared: a copy may be too large."""
    model_texts.clear(spec)
    clear_weights(spec)
    return spec


def from_user(path: Path, run: bool) -> Repro:
    """Return the user's own script; it is executed only if `run` is set."""
    try:
        script = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise migrate.AnereportError(f"cannot read the script {path}: {said}") from error
    if not run:
        return Repro(script, "the user", "not executed: bundled as given (--run-script runs it)")
    with _started(path.resolve(), os.environ) as process:
        code, output = _ended(process)
    status = "executed, it ended without error" if code == 0 else f"executed, FAILED (exit {code})"
    return Repro(script, "the user", status, output)


def run_clean(script: str, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run a script in a folder, with nothing in its environment that points to this project."""
    with _started(*_clean(script, folder), *arguments) as process:
        return _ended(process)


def _clean(script: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """Write the script to the folder; return its file, and an environment for it."""
    file = folder / "repro.py"
    file.write_text(script, encoding="utf-8")
    kept = ("PATH", "HOME", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
    return file, {k: os.environ[k] for k in kept if k in os.environ}


@contextmanager
def _started(
    file: Path, environment: Mapping[str, str], *arguments: str
) -> Iterator[subprocess.Popen[str]]:
    """Start a script where it lies; it does not go on when the block ends in any way."""
    with subprocess.Popen(
        [sys.executable, str(file), *arguments],
        cwd=file.parent, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return 1, f"over {SECONDS} s"
    return process.returncode, output + (errors if process.returncode else "")


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no output"])[-1]
