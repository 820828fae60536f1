"""Getting numbers: from Core ML on a Mac, from the simulator, from files. No judgement."""
