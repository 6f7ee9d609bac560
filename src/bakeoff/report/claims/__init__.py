"""The textbook's claims about MF and the softmax DNN, each asked of the data: one module per claim."""
