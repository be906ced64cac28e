"""Pictures: their samples, their colour, and how far two of them are apart."""
