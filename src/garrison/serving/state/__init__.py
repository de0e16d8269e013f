"""What several guards share, or one keeps to itself."""
