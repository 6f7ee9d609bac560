"""What lists are worth: accuracy and popularity, per user and over all."""
