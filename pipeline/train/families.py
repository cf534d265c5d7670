"""Which class trains each kind of dictionary."""

from collections.abc import Callable
from typing import Any

from pipeline.train.batch_topk import BatchTopK
from pipeline.train.family import Family, Start
from pipeline.train.gated import Gated
from pipeline.train.jumprelu import JumpReLU
from pipeline.train.matryoshka import Matryoshka
from pipeline.train.relu import ReLU
from pipeline.train.topk import TopK

FAMILIES: dict[str, Callable[[Any, Start], Family]] = {
    "topk-sae": TopK,
    "batch-topk-sae": BatchTopK,
    "matryoshka-sae": Matryoshka,
    "relu-sae": ReLU,
    "gated-sae": Gated,
    "jumprelu-sae": JumpReLU,
}
