"""Where evidence comes from: files, and registries."""
