"""A small retriever that is no part of Bakeoff: the tests register it as another package would."""
