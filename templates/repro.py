"""{% block does %}Rebuilds {{ name|docstring }} with seeded weights{% endblock %} and shows what each compute unit gives.

Needs coremltools{{ ", Pillow" if uses_images }} and numpy only:  pip install coremltools "numpy<2.4"{{ " pillow" if uses_images }}
On a Mac it predicts on CPU, GPU and Neural Engine{% block which %}, with the model itself where that lies beside this
script, with the seeded one after "python repro.py seeded"{% endblock %}; elsewhere it stops once the model is {% block done %}built{% endblock %}.
"""
import hashlib
import logging
import sys
from pathlib import Path

import numpy as np

logging.disable(logging.WARNING)
import coremltools as ct
{% block model %}
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from coremltools.proto.Model_pb2 import Model
from google.protobuf import text_format

# --- the model ---
{{ building }}
# --- the model ends ---

ITSELF = Path(__file__).with_name({{ file }})  # with its own weights, where it lies beside
SEEDED = "seeded" in sys.argv or not ITSELF.exists()
{% endblock %}

INPUTS = {{ inputs }}
OUTPUT = {{ output }}


def seeded_inputs(seed=0):
    """The inputs that anereport uses: a hash of each element's index, exact in float16."""
    values = {}
    for position, (name, (kind, shape)) in enumerate(INPUTS.items()):
        start = 0x9E3779B9 * (seed * 256 + position + 1) % 2**32
        x = np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(start)
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
        x = (x ^ (x >> np.uint32(16))).reshape(shape)
        if kind == "image":
            values[name] = as_image(name, (x & 255).astype(np.uint8))
        elif kind == "int32":
            values[name] = (x & 1).astype(np.int32)
        else:
            values[name] = ((x & 2047).astype(np.float32) - 1024) / 512
    return values


def as_image(name, array):
{% if uses_images %}
    from PIL import Image

    color = {{ colors }}[name]
    array = array[0][::-1] if color == "BGR" else array[0]
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0).copy())
{% else %}
    return array
{% endif %}


def flat(value):
    return np.ravel(list(value.values()) if isinstance(value, dict) else value)


def main():
{% block ready %}
    b.spec.description.ClearField("metadata")
    ct.utils.save_spec(b.spec, "repro.mlmodel")
    print("model written to repro.mlmodel, sha256 of its weights", digest.hexdigest())
{% endblock %}
    if sys.platform != "darwin":
        print("Core ML runs on Macs and Apple devices only: stopped before prediction")
        return
{% block says %}
    print("predicting with", "seeded weights" if SEEDED else "the model itself")
{% endblock %}
    found = {}
    for unit in ("CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"):
        model = ct.models.MLModel({% block file %}"repro.mlmodel" if SEEDED else str(ITSELF){% endblock %}, compute_units=getattr(ct.ComputeUnit, unit))
        found[unit] = flat(model.predict(seeded_inputs())[OUTPUT])
    cpu, gpu, ane = found.values()
    worst = int(np.nanargmax(np.abs(ane - cpu)))
    print("Index CPU GPU ANE")
    for i in range(max(0, worst - 5), min(len(cpu), worst + 6)):
        print(i, *(f"{column[i]:.9g}" for column in (cpu, gpu, ane)))


if __name__ == "__main__":
    main()
