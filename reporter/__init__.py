"""Reports of wrong numbers from the Apple Neural Engine, ready to file."""
