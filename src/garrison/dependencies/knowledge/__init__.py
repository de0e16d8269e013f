"""What the detectors know: names, indexes, licences, as data with reasons."""
