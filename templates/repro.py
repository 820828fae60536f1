{# not yet run on hardware: what stands behind the check of sys.platform #}
"""{% block does %}Rebuilds {{ name|docstring }}{% endblock %} and shows what each compute unit gives.

    python repro.py                      build or load the model; on a Mac, predict on CPU, GPU and
                                         Neural Engine, keep the results and show them
    python repro.py compare [FILE.npz]   show kept results, on any system
    python repro.py inputs               keep the inputs, for  anereport run MODEL --inputs FILE.npz

--weights says which model, --out FILE.npz where to keep:
    real     {% block real %}{{ name|docstring }} itself; so unless asked otherwise where it lies beside this script{% endblock %}

{% block others %}
    seeded   pseudo-random weights; so unless asked otherwise where it does not
{% if exact %}
    exact    whole numbers for which float16 is exact: magnitudes of each layer's sums are at most
             2048, whatever the order of summation (schemes that transform the operands, as
             Winograd's, aside); so a right unit is off by nothing, and an error is no rounding
{% else %}
    exact    is not there: {{ refused|docstring }}
{% endif %}
{% endblock %}

Needs coremltools{{ ", Pillow" if uses_images }} and numpy only:  pip install coremltools "numpy<2.4"{{ " pillow" if uses_images }}
"""
import argparse
import hashlib
import logging
import sys
from pathlib import Path

import numpy as np

logging.disable(logging.WARNING)
import coremltools as ct
{% block imports %}
{% if "datatypes." in statements %}
from coremltools.models import datatypes
{% endif %}
from coremltools.models.neural_network import NeuralNetworkBuilder
{% if "text_format." in statements %}
from coremltools.proto.Model_pb2 import Model
from google.protobuf import text_format
{% endif %}
{% endblock %}

ITSELF = Path(__file__).with_name({{ file }})
INPUTS = {{ inputs }}
OUTPUT = {{ output }}
UNITS = {"cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "ane": "CPU_AND_NE"}
{% block model %}
KINDS = ("real", "seeded"{{ ', "exact"' if exact }})
{% if not exact %}
WHY = {{ why }}  # why there are no others
{% endif %}
{% if exact %}
# for each draw: n, all of it is +-1 to +-n; or -n, every n-th is +-1, the others are 0
NUMBERS = {{ numbers }}
# the sha256 of each output as float32
ANSWERS = {{ answers }}
{% endif %}


def build(kind):
    """Return the network with weights that are drawn, and their sha256."""
    r = np.random.RandomState({{ seed }})
    digest = hashlib.sha256()
{% if exact %}
    numbers = iter(NUMBERS)
{% endif %}

    def u(scale, *shape):
{% if exact %}
        if kind == "exact":
            n, w = next(numbers), np.float32(r.uniform(-1, 1, shape))
            w = np.copysign(np.ceil(np.abs(w) * max(n, 1)), w)
            w *= np.arange(w.size).reshape(shape) % max(-n, 1) == 0
        else:
            w = np.float32(r.uniform(-1, 1, shape) * scale)
{% else %}
        w = np.float32(r.uniform(-1, 1, shape) * scale)
{% endif %}
        digest.update(w.tobytes())
        return w

    {{ statements|indent(4) }}

    b.spec.description.ClearField("metadata")
    return b.spec, digest.hexdigest()


def model_of(kind):
    """Return the model's file; it is built unless it is the model itself."""
    if kind == "real":
        print("the model itself,", ITSELF.name)
        return ITSELF
    file = f"repro-{kind}.mlmodel"
    spec, digest = build(kind)
    ct.utils.save_spec(spec, file)
    print(f"model written to {file}, sha256 of its weights", digest)
    return Path(file)


def identity(file):
    """Return the sha256 of a model without its metadata."""
    spec = ct.utils.load_spec(str(file))
    spec.description.ClearField("metadata")
    return hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()
{% endblock %}


def inputs(kind, seed=0):
    """The inputs that anereport uses: a hash of each element's index, exact in float16."""
    values = {}
    for position, (name, (feature, shape)) in enumerate(INPUTS.items()):
        start = 0x9E3779B9 * (seed * 256 + position + 1) % 2**32
        x = np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(start)
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
        x = (x ^ (x >> np.uint32(16))).reshape(shape)
        if feature == "int32":
            values[name] = (x & 1).astype(np.int32)
{% if uses_images %}
        elif feature == "image":
            values[name] = (x & (15 if kind == "exact" else 255)).astype(np.uint8)
{% endif %}
        elif kind == "exact":
            values[name] = (x & 15).astype(np.float32) - 8
        else:
            values[name] = ((x & 2047).astype(np.float32) - 1024) / 512
    return values


{% if uses_images %}
def as_image(name, array):
    from PIL import Image

    color = {{ colors }}.get(name)
    if color is None:
        return array
    array = array[0][::-1] if color == "BGR" else array[0]
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0).copy())


{% endif %}
def kept_of(unit, outputs):
    """Return the outputs that are arrays or probabilities, as they are kept."""
    kept = {}
    for name, value in outputs.items():
        if isinstance(value, dict):
            labels = sorted(value, key=str)
            kept[f"labels::{name}"] = np.array([str(label) for label in labels])
            value = np.array([value[label] for label in labels])
        if isinstance(value, np.ndarray):
            kept[f"{unit}::{name}"] = value
    return kept


def run(kind, out):
    """Predict on each compute unit; one that fails does not hide the others."""
    file = model_of(kind)
    if sys.platform != "darwin":
        print("Core ML runs on Macs and Apple devices only: stopped before prediction")
        return
    given = inputs(kind)
    kept = {f"in::{name}": array for name, array in given.items()}
    kept |= {"model": np.array(identity(file)), "weights": np.array(kind)}
{% if uses_images %}
    given = {name: as_image(name, array) for name, array in given.items()}
{% endif %}
    for unit, name in UNITS.items():
        try:
            model = ct.models.MLModel(str(file), compute_units=getattr(ct.ComputeUnit, name))
            kept |= kept_of(unit, model.predict(given))
        except Exception as error:
            print(f"{name} failed: {error}")
    np.savez(out, **kept)
    print(f"results kept in {out}, for  anereport create MODEL --record {out}")
    compare(out)


def compare(file):
    """Print how far the units are apart, and the rows around the worst element."""
    try:
        kept = dict(np.load(file))
    except FileNotFoundError:
        sys.exit(f"{file} is not there: keep results with run on a Mac, or name another file")
    except Exception:
        sys.exit(f"{file} is no file of kept results, which end with .npz")
    found = {u: kept[f"{u}::{OUTPUT}"] for u in UNITS if f"{u}::{OUTPUT}" in kept}
    if not found:
        sys.exit(f"{file} holds no numbers of output {OUTPUT!r}")
{% if exact %}
    if "weights" in kept and str(kept["weights"]) == "exact":
        exactly(kept)
{% endif %}
    base, *others = found
    if len({array.size for array in found.values()}) > 1:
        sizes = ", ".join(f"{u.upper()} {found[u].shape}" for u in found)
        sys.exit(f"output {OUTPUT!r} is not of one size: {sizes}")
    columns = {u: np.ravel(found[u]).astype(np.float64) for u in found}
    error = np.zeros(columns[base].size)
    for u in others:
        apart = np.nan_to_num(np.abs(columns[u] - columns[base]), nan=np.inf)
        error = np.maximum(error, apart)
        print(f"{u.upper()} against {base.upper()}: {np.count_nonzero(apart)} of {apart.size} "
              f"elements differ, by up to {apart.max():.9g}")
    worst = int(error.argmax())
    print("Index", *(u.upper() for u in UNITS))
    for i in range(max(0, worst - 5), min(error.size, worst + 6)):
        print(i, *(f"{columns[u][i]:.9g}" if u in columns else "-" for u in UNITS))


{% if exact %}
def exactly(kept):
    """Print whether each unit gave what it must; its tolerance is zero."""
    for name, answer in ANSWERS.items():
        units = [u for u in UNITS if f"{u}::{name}" in kept]
        found = {u: np.ravel(kept[f"{u}::{name}"]).astype("<f4") + np.float32(0) for u in units}
        right = [u for u in found if hashlib.sha256(found[u].tobytes()).hexdigest() == answer]
        for u, array in found.items():
            if u in right:
                said = "exactly as it must be"
            elif right and array.size == found[right[0]].size:
                wrong = np.flatnonzero(array != found[right[0]])
                said = f"{len(wrong)} of {array.size} elements differ, the first at {wrong[0]}"
            else:
                said = "not as it must be"
            print(f"{u.upper()}, output {name!r}: {said}")


{% endif %}
def main():
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("command", nargs="?", default="run", choices=("run", "compare", "inputs"))
    parser.add_argument("file", nargs="?", type=Path, help="what compare reads")
    parser.add_argument("--weights", choices=("real", "seeded", "exact"), help="see above")
    parser.add_argument("--out", type=Path, help="where run and inputs keep their arrays")
    asked = parser.parse_args()
    kind = asked.weights or ("real" if ITSELF.exists() or len(KINDS) == 1 else "seeded")
    if asked.file and asked.command != "compare":
        parser.error(f"{asked.command} reads no file: give --out to keep one")
{% if not exact %}
    if kind not in KINDS:
        parser.error(f"there are no {kind} weights: {WHY}")
{% endif %}
    if asked.out and not asked.out.parent.is_dir():
        parser.error(f"there is no folder {asked.out.parent} to keep {asked.out.name} in")
    if asked.command == "compare":
        compare(asked.file or Path(f"repro-{kind}.npz"))
    elif asked.command == "inputs":
        out = asked.out or Path(f"{kind}-inputs.npz")
        np.savez(out, **{f"in::{name}": array for name, array in inputs(kind).items()})
        print("inputs kept in", out)
    elif kind == "real" and not ITSELF.exists():
        parser.error(f"{ITSELF.name} does not lie beside this script")
    else:
        run(kind, asked.out or Path(f"repro-{kind}.npz"))


if __name__ == "__main__":
    main()
