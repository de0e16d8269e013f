"""Containers: archives and compressed streams, opened as readers and never unpacked to disk."""
