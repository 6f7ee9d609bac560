"""Matrix factorisation: implicit ALS, with fold-in of users that were not in training."""
