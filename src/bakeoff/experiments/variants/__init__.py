"""Contenders with a few settings changed: what the claims about settings, features and negatives rest on."""
