"""What people do with lists: the log of `bakeoff serve`, interleaving, sampled lists, and what they show."""
