"""Who goes into production: the challenger beside the champion, by rules that are written down."""
