"""Guards in a running process: what unpickles, and what loads model files, refuses what the policy refuses."""
