"""Raises what manifests ask for to versions without known vulnerabilities, and changes nothing else."""
