"""The clients, and what only they need."""
