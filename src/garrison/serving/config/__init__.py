"""The guard's configuration: one TOML file, checked as a whole before anything of it counts."""
