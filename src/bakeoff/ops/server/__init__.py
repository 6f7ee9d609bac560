"""`bakeoff serve`: a model that answers HTTP, and follows what is promoted."""
