"""Conjugate gradients, preconditioned by the diagonal (Jacobi), for many right-hand sides at a time.

Hestenes and Stiefel 1952 (doi:10.6028/jres.049.044). The matrix is known by its products alone.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from app.errors import UserError

TOLERANCE = 1e-9
STEPS = 10_000

Array = NDArray[np.float64]


def solve(multiply: Callable[[Array], Array], diagonal: Array, right: Array) -> Array:
    """`solution[m, column]` of a symmetric, positive definite system with `diagonal[m]` and `right[m, column]`.

    Each column is done when its residual, in the norm of the preconditioner, is TOLERANCE of what it was at first.
    Raises UserError where STEPS don't suffice.
    """
    inverse = 1 / diagonal[:, None]
    solution = np.zeros_like(right)
    residual = right.copy()
    direction = residual * inverse
    size = (residual * direction).sum(0)
    goal = TOLERANCE**2 * size
    for _ in range(STEPS):
        going = size > goal
        if not going.any():
            return solution
        product = multiply(direction)
        step = _ratio(size, (direction * product).sum(0), going)
        solution += step * direction
        residual -= step * product
        scaled = residual * inverse
        before, size = size, np.where(going, (residual * scaled).sum(0), size)
        direction = scaled + _ratio(size, before, going) * direction
    raise UserError(
        f"a decoder's normal equations were not solved in {STEPS} steps of conjugate gradients: its features fire too "
        'alike; read more contexts, lower m, or choose decoder = "tied".'
    )


def _ratio(above: Array, below: Array, where: NDArray[np.bool_]) -> Array:
    return np.divide(above, below, out=np.zeros_like(above), where=where)
