"""How the cost of training grows: with the data, and with the catalogue."""
