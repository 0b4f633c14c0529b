"""Labels from an image classifier of the user's."""

REMEDY = "--labels-model model.onnx --labels-file labels.txt"
"""How a classifier is given."""
