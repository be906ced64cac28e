"""Training: clips from photographs and videos, and what learns from them."""
