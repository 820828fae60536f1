"""Reading numbers: how far off, where, and what kind of wrong."""
