"""NeuralNetworks of a few layers, written down as rows."""

from __future__ import annotations

from migrate.coreml import proto


def network(shapes, outputs, *layers):
    """A network over float inputs, by name and shape, of (kind, inputs, output, fields) rows.

    A field is a number, a list for a repeated one, or None for a message that is only set.
    """
    spec = proto("Model_pb2").Model(specificationVersion=4)
    spec.neuralNetwork.arrayInputShapeMapping = 1
    for name, shape in shapes.items():
        array = spec.description.input.add(name=name).type.multiArrayType
        array.shape.extend(shape)
        array.dataType = array.FLOAT32
    for name in outputs:
        array = spec.description.output.add(name=name).type.multiArrayType
        array.dataType = array.FLOAT32
    for kind, inputs, output, fields in layers:
        layer = spec.neuralNetwork.layers.add(name=output, input=inputs.split(), output=[output])
        params = getattr(layer, kind)
        params.SetInParent()
        for field, value in fields.items():
            if value is None:
                getattr(params, field).SetInParent()
            elif isinstance(value, (list, tuple)):
                getattr(params, field).extend(value)
            else:
                setattr(params, field, value)
    return spec
