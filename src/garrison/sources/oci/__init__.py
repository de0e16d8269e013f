"""What registries hold, and its documents: of container images, of models, and of what is said about either."""
