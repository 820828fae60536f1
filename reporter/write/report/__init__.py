"""The Report, what it is made of, and the folder that it is written to."""
