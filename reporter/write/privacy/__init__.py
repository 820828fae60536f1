"""The gate that every text passes, and copies of models and results that went through it."""
