"""One unit of the stream: motion, latents, post-filter, and how they are coded."""
