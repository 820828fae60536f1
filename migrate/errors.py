"""What a user can see: every expected failure is an `AnereportError` of one sentence."""


class AnereportError(Exception):
    """An expected failure: what failed, on what, and what to do, in one sentence."""


class ModelError(AnereportError):
    """The model file cannot be read, or a layer of it contradicts `NeuralNetwork.proto`."""


class UnsupportedError(AnereportError):
    """The model holds something that this project does not do; the message lists all of it."""


class InputError(AnereportError):
    """An input given to a model does not fit the model's description."""
