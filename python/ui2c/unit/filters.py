"""The post-filter of what is shown: its filters from unit to unit, and how an encoder fits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ui2c import _core
from ui2c.network.config import lagrangian_of
from ui2c.unit.planes import Planes

SETTLED = 4
"""Units after which filters are designed again for every fourth one only."""


class FilterFit(NamedTuple):
    """An encoder's filters of the last unit, and what it has seen since the last intra unit."""

    filters: _core.Filters
    designer: _core.FilterDesigner

    def after(
        self,
        shown: Sequence[Planes],
        sources: Sequence[Planes],
        *,
        qp: int,
        bit_depth: int,
        defaults: Sequence[_core.Filters],
        often: bool,
    ) -> FilterFit:
        """Fitted to one more unit, whose frames are `shown` and should be `sources`.

        Once settled, new filters are looked for only if `often`: that takes time, and there will
        hardly be any that pay.
        """
        settled = self.designer.units >= SETTLED
        designer = self.designer.observe(shown, sources, bit_depth=bit_depth)
        if settled and not often:
            return FilterFit(self.filters, designer)
        # A bit of latents costs 65025 / λ squared 8-bit codes.
        filters = designer.design(self.filters, defaults, 65025 / lagrangian_of(qp))
        return FilterFit(filters, designer)


def fresh_fit() -> FilterFit:
    """At an intra unit, where decoders may begin: nothing known."""
    return FilterFit(_core.Filters(), _core.FilterDesigner())
