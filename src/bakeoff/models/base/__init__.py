"""What every model shares: the interface, its TensorFlow side, epochs, the exported form."""
