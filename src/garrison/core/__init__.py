"""The vocabulary: facts, findings, rules, policy and report. Imports nothing else of garrison."""
