"""What other commands left for a model, as its report carries it."""
