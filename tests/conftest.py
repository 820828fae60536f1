"""Fixtures shared by all tests: one-layer networks, real models, and what keeps the tests short."""

from __future__ import annotations

import functools
import gc
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from longest import longest_first

from migrate.coreml import coremltools, proto

if TYPE_CHECKING:
    from collections.abc import Iterator

hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


@pytest.fixture(scope="session", autouse=True)
def _own_label(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the label of this installation out of the tests, and theirs out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove what coremltools makes for each model it converts; it does so at exit.

    Workers of pytest-xdist end without one.
    """
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)  # asked for again
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _short_collections() -> None:
    """Keep the collector off what lives as long as the tests do.

    coremltools collects after every conversion, which took longer than the conversion itself.
    """
    coremltools()
    gc.freeze()


BUILT: dict[tuple[str, str], tuple[tuple[int, str], dict[str, bytes]]] = {}


@pytest.fixture(scope="session", autouse=True)
def _each_script_runs_once() -> Iterator[None]:
    """Let a repro script that ended well leave the same files again, without a process.

    The tests of running scripts run all of theirs (tests/reporter/write/repro/conftest.py).
    """
    from reporter.write.repro import running

    ran = running._ran

    @functools.wraps(ran)
    def once(script: str, folder: Path, kinds: Any) -> list[tuple[int, str]]:
        new = [kind for kind in kinds if (script, kind) not in BUILT]
        ended = dict(zip(new, ran(script, folder, new), strict=True))
        for kind in kinds:
            if kind not in ended:
                ended[kind] = _built_again(script, folder, kind)
            elif ended[kind][0] == 0:
                files = {p.name: p.read_bytes() for p in (folder / kind).iterdir()}
                BUILT[script, kind] = ended[kind], files
        return [ended[kind] for kind in kinds]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "_ran", once)
        yield


def _built_again(script: str, folder: Path, kind: str) -> tuple[int, str]:
    ended, files = BUILT[script, kind]
    (folder / kind).mkdir()
    for name, content in files.items():
        (folder / kind / name).write_bytes(content)
    return ended


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of real models; the test is skipped where it is not present."""
    folder = SHARED / "models"
    if not folder.is_dir():
        pytest.skip("no shared models here")
    return folder


@pytest.fixture
def samples() -> Path:
    return ROOT / "samples"


def network_spec(
    shapes: list[tuple[int, ...]], outputs: list[str], *, rank5: bool = False, version: int = 4
) -> Any:
    """Return a spec without layers: inputs in0, in1, ... of these shapes, outputs undeclared."""
    coremltools()
    spec = proto("Model_pb2").Model(specificationVersion=version)
    spec.neuralNetwork.arrayInputShapeMapping = 0 if rank5 else 1
    for i, shape in enumerate(shapes):
        feature = spec.description.input.add(name=f"in{i}")
        feature.type.multiArrayType.shape.extend(shape)
        feature.type.multiArrayType.dataType = 65568
    for name in outputs:
        spec.description.output.add(name=name).type.multiArrayType.dataType = 65568
    return spec


@pytest.fixture
def one_layer():
    """Build a spec of one layer: one_layer("add", [(2, 3)], alpha=2.0) or with fill=function."""

    def build(kind, shapes, *, outputs=1, fill=None, rank5=False, version=None, **fields):
        names = [f"out{i}" for i in range(outputs)]
        version = version or (1 if rank5 else 4)
        spec = network_spec(list(shapes), names, rank5=rank5, version=version)
        layer = spec.neuralNetwork.layers.add(name="tested")
        layer.input.extend(f"in{i}" for i in range(len(shapes)))
        layer.output.extend(names)
        params = getattr(layer, kind)
        params.SetInParent()
        for field, value in fields.items():
            if isinstance(value, (list, tuple)):
                getattr(params, field).extend(value)
            else:
                setattr(params, field, value)
        if fill:
            fill(params)
        return spec

    return build


@pytest.fixture
def run_layer(one_layer):
    """Run one layer in float64 on arrays: returns its output array, or a list of several."""
    import migrate

    def run(kind, arrays, *, outputs=1, **options):
        arrays = [np.asarray(a) for a in arrays]
        spec = one_layer(kind, [a.shape for a in arrays], outputs=outputs, **options)
        net = migrate.to_torch(spec).double()
        results = net.predict({f"in{i}": a for i, a in enumerate(arrays)})
        values = [results[f"out{i}"] for i in range(outputs)]
        return values[0] if outputs == 1 else values

    return run


OUTSIDE = """
import builtins, json, pathlib, runpy, sys
import numpy as np
import torch

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("migrate", "reporter", "coremltools"):
            raise ImportError(f"{name} is not to be had here")

sys.meta_path.insert(0, Refuse())
torch.set_num_threads(int(sys.argv[1]))  # bits depend on it
for folder in map(pathlib.Path, sys.argv[2:]):
    calls = np.load(folder / "calls.npz")
    try:
        net = runpy.run_path(str(folder / "model.py"))["load"]()
        for call in range(int(calls["count"])):
            inputs = [torch.from_numpy(calls[f"{call}.{i}"]) for i in range(int(calls["inputs"]))]
            torch.manual_seed(0)
            with torch.no_grad():
                outputs = net(*inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            arrays = {str(i): output.numpy() for i, output in enumerate(outputs)}
            np.savez(folder / f"outputs{call}.npz", **arrays)
    except Exception as error:
        (folder / "error").write_text(f"{type(error).__name__}: {error}")
"""


def run_outside(folders: list[Path], calls: list[list[list[Any]]]) -> list[Any]:
    """Run each folder's model.py on its calls (lists of tensors), without this project.

    Returns for each folder the outputs of every call, lists of arrays, or the error as a text.
    """
    for folder, of_folder in zip(folders, calls, strict=True):
        arrays = {f"{c}.{i}": x.numpy() for c, xs in enumerate(of_folder) for i, x in enumerate(xs)}
        counts = {"count": len(of_folder), "inputs": len(of_folder[0])}
        np.savez(folder / "calls.npz", **arrays, **counts)
    import torch

    threads = str(torch.get_num_threads())
    command = [sys.executable, "-c", OUTSIDE, threads, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [_outcome(folder, len(of)) for folder, of in zip(folders, calls, strict=True)]


def _outcome(folder: Path, count: int) -> Any:
    if (folder / "error").exists():
        return (folder / "error").read_text()
    found = [np.load(folder / f"outputs{call}.npz") for call in range(count)]
    return [[arrays[str(i)] for i in range(len(arrays.files))] for arrays in found]


def same_bits(a: Any, b: Any) -> bool:
    """Whether two arrays are of one shape and dtype and have the same bytes."""
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.fixture
def differences_outside(tmp_path):
    """Write models as source, run them without this project, and compare with the modules.

    Takes (model, calls) or (model, calls, custom), a call being a list of tensors; returns for each
    model None or what is wrong.
    """
    import torch

    import migrate

    def compare(cases):
        folders = [tmp_path / f"source{i}" for i in range(len(cases))]
        nets = [migrate.to_torch(model, *custom) for model, _, *custom in cases]
        _write_sources(nets, folders)
        expected = []
        for net, (_, calls, *_) in zip(nets, cases, strict=True):
            outputs = []
            for inputs in calls:
                torch.manual_seed(0)
                with torch.no_grad():
                    found = net(*inputs)
                outputs.append(
                    [y.numpy() for y in (found if isinstance(found, tuple) else [found])]
                )
            expected.append(outputs)
        got = run_outside(folders, [calls for _, calls, *_ in cases])
        return [_difference(g, e) for g, e in zip(got, expected, strict=True)]

    return compare


def _write_sources(nets: list[Any], folders: list[Path]) -> None:
    """Do what to_source does for each, but let one process lay all of them out."""
    from migrate import source

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_formatted", lambda text: text)
        for net, folder in zip(nets, folders, strict=True):
            source.to_source(net, folder)
    files = [folder / "model.py" for folder in folders]
    done = subprocess.run([*source.RUFF, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _difference(got: Any, expected: Any) -> str | None:
    if isinstance(got, str):
        return got
    for call, (g, e) in enumerate(zip(got, expected, strict=True)):
        if len(g) != len(e) or not all(map(same_bits, g, e)):
            shapes = [x.shape for x in g], [x.shape for x in e]
            return f"call {call} differs; shapes {shapes[0]}, expected {shapes[1]}"
    return None
