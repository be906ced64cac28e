"""Long videos coded in segments, side by side, and joined to one stream."""

from ui2c.segments.encode import encode_segments

__all__ = ["encode_segments"]
