"""Forms in which a trained model can leave its run: each file has ``write(exported, out)``."""
