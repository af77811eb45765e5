"""A mean over a sample, and how far off it may be.

Layer: recipes. Imports numpy only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Sample = Sequence[float] | NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its standard error, in the unit of what was averaged.

    Attributes:
        mean: Of the values.
        error: Its standard error; NaN if there was one value, which says nothing about it.
    """

    mean: float
    error: float

    @classmethod
    def of(cls, values: Sample) -> Self:
        """Estimate from independent values, one or more."""
        array = np.asarray(values, np.float64)
        if len(array) == 1:
            return cls(float(array[0]), math.nan)
        return cls(float(array.mean()), float(array.std(ddof=1) / np.sqrt(len(array))))

    @classmethod
    def of_share(cls, part: NDArray[Any], whole: NDArray[Any]) -> Self:
        """Estimate the mean of `part` over that of `whole`, in %, both of shape (values,).

        Source:
            The ratio of two means of the same sample, its error to first order (delta method):
            Cochran, Sampling Techniques (3rd edition, 1977), chapter 6.
        """
        share = part.mean() / whole.mean()
        residual = cls.of((part - share * whole) / whole.mean())
        return cls(100.0 * float(share), 100.0 * residual.error)

    def scaled(self, factor: float) -> Self:
        """Return it in another unit."""
        return type(self)(factor * self.mean, factor * self.error)

    def __format__(self, spec: str) -> str:
        """Return e.g. "8.4 +-0.7" for ".1f"; without an error that nobody knows."""
        shown = f"{self.mean:{spec}}"
        return shown if math.isnan(self.error) else f"{shown} +-{self.error:{spec}}"
