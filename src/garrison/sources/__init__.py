"""Opens subjects: paths, archives, streams; says what a thing is from its bytes; walks and examines them."""
