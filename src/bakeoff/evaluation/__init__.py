"""What is measured of a retriever, whatever model it came from."""
