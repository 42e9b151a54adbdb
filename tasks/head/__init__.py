"""A human head by formula, from the crown to the upper jaw: what a head CT or MR shows, in any number of contrasts.

Sizes in mm are those of an adult; sources: intracranial and brain volumes by sex, Caspi et al., PMC10511609; tissue layers and
sinuses, textbook values. It is a phantom: the shapes are plausible, no patient's.
"""

from tasks.head.painting import paint
from tasks.head.patient import EXTENT, HU, MATERIALS, Head, draw

__all__ = ["EXTENT", "HU", "MATERIALS", "Head", "draw", "paint"]
