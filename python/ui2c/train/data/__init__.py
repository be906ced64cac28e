"""Training clips: sources read once, clips made of them anew in every step."""
