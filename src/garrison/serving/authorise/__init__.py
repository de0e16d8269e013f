"""Who may do what with which model."""
