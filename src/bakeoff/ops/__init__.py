"""Models in production: registry, promotion, drift, server."""
