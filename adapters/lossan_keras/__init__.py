"""The Keras adapter of lossan."""
