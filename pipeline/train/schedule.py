"""What changes in the course of a run: the learning rate and the weight of a sparsity penalty."""


def learning_rate(progress: float, warmup: float, decay: float) -> float:
    """The factor at a share of the steps: a linear rise over `warmup`, a plateau, a linear fall to 0 over `decay`."""
    rise = min(1.0, (progress + 1e-9) / warmup) if warmup else 1.0
    fall = min(1.0, (1 - progress) / decay) if decay else 1.0
    return min(rise, fall)


def sparsity(progress: float, warmup: float) -> float:
    """The factor of a sparsity penalty: it rises to 1 over the first share `warmup` of the steps."""
    return min(1.0, progress / warmup) if warmup else 1.0
