"""One module a channel: turns a notification into what the other end takes, and sends it.

Each has `send(channel, notification, guard)`, which waits, and raises `Undelivered` with the reason.
"""
