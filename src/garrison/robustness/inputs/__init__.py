"""From files of labelled inputs to `Data`: `reading` chooses how, `checking` holds it against a model."""
