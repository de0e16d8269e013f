"""The command line: reads arguments, calls the public API, hands the report to reporting."""
