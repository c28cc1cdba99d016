"""Where credentials come from, and how they stay fresh."""
