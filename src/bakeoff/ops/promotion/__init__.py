"""Which model goes into production: the challenger compared with the champion, by written rules."""
