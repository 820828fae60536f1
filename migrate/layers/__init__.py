"""A builder per layer type, a file per section of NeuralNetwork.proto."""
