"""Live endpoints as black boxes: asked within a budget, and journalled so that a run that was killed goes on."""
