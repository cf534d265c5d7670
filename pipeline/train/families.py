"""Which class trains each kind of dictionary."""

from collections.abc import Callable
from typing import Any

from pipeline.train.family import Family, Start
from pipeline.train.gated import Gated
from pipeline.train.jumprelu import JumpReLU
from pipeline.train.relu import ReLU
from pipeline.train.topk import TopK

FAMILIES: dict[str, Callable[[Any, Start], Family]] = {
    "topk-sae": TopK,
    "relu-sae": ReLU,
    "gated-sae": Gated,
    "jumprelu-sae": JumpReLU,
}
