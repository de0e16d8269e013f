"""From what a framework loads to a classifier that attacks can use: one module a framework, `building` chooses."""
