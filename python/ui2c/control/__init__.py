"""What the encoder decides before it codes a unit: its qp, its lead, where a scene begins."""
