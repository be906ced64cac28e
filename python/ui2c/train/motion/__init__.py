"""Motion in training, as an encoder finds it."""
