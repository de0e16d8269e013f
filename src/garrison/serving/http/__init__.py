"""REST: an ASGI application, and pooled connections to the server behind it."""
