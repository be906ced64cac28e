"""What tests share: clips, streams, and stand-ins for other programs."""
