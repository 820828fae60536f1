"""The operations of ML Programs, a small function each, by the sections of MIL's documentation.

They know nothing of the converter, so that they can convict it. A function takes its operation's
inputs by their MIL names: tensors as torch tensors (float16 ones as float32), constants of rank 0
as Python values, strings as such; it returns a tensor or, for several outputs, a tuple. Rounding to
the declared types is done by whoever runs it (`migrate.mil.run`).
"""
