"""STUDY.toml: what is accepted, what is refused, and the sentence that says why."""

import copy
import json
import re
import tomllib
from pathlib import Path

import pytest

from app.errors import NotFound, UserError
from app.freeze import load_protocol
from app.study.blinding import canonical_json
from app.study.protocol import INSTRUCTIONS, Protocol

DEMO = Path(__file__).parent.parent / "demo" / "STUDY.toml"
GOOD = tomllib.loads(DEMO.read_text("utf-8"))


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "STUDY.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(tmp_path: Path, change) -> str:
    """The sentence for the demo's study, changed."""
    changed = copy.deepcopy(GOOD)
    change(changed)
    with pytest.raises(UserError) as caught:
        load_protocol(written(tmp_path, to_toml(changed)))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'STUDY.toml'}: ")
    assert message.endswith(".")
    assert "\n" not in message
    return message.removeprefix(f"{tmp_path / 'STUDY.toml'}: ")


def to_toml(value: dict) -> str:
    """TOML enough for these tests: JSON's scalars and arrays are TOML's."""
    lines, tables = [], []
    for key, entry in value.items():
        if isinstance(entry, dict):
            tables.append((f"[{key}]", entry))
        elif isinstance(entry, list) and entry and all(isinstance(one, dict) for one in entry):
            tables += [(f"[[{key}]]", one) for one in entry]
        else:
            lines.append(f"{key} = {canonical_json(entry)}")
    for head, table in tables:
        lines.append(head)
        flat = {k: v for k, v in table.items() if not isinstance(v, dict)}
        lines += [f"{k} = {canonical_json(v)}" for k, v in flat.items()]
        for k, v in table.items():
            if isinstance(v, dict):
                lines.append(to_toml({f"{head.strip('[]')}.{k}": v}))
    return "\n".join(lines)


def test_the_demo_file_is_read_and_its_defaults_are_filled_in() -> None:
    protocol = load_protocol(DEMO)
    assert [arm.name for arm in protocol.arms] == ["trained", "random", "data-points", "null-pages"]
    assert [arm.name for arm in protocol.controls] == ["null-pages"]
    assert protocol.texts.instructions == INSTRUCTIONS


def test_the_canonical_json_depends_on_the_design_alone(tmp_path: Path) -> None:
    text = DEMO.read_text("utf-8")
    head, tables = text.split("[[arm]]", 1)
    shuffled = "\n".join(reversed(head.splitlines())) + "\n# a remark\n[[arm]]" + tables
    one, two = load_protocol(DEMO), load_protocol(written(tmp_path, shuffled))
    assert one.canonical("d") == two.canonical("d")
    assert one.canonical("d") != one.canonical("e")
    assert one.canonical("d") != load_protocol(written(tmp_path, text.replace("seed = 0", "seed = 1"))).canonical("d")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(rater_per_item=3), "unknown key rater_per_item; check its spelling"),
        (lambda s: s["tasks"]["pair"].update(pears=3), "unknown key tasks.pair.pears"),
        (lambda s: s["tasks"]["pair"]["mix"].update(sme=0.1), "unknown key tasks.pair.mix.sme"),
        (lambda s: s["arm"][1].update(colour="red"), r"unknown key arm\[1\].colour"),
        (lambda s: s["tasks"].update(intruders={"features": 3}), "unknown key tasks.intruders"),
        (lambda s: s["tasks"].update(intruder={"features": 3, "trials": 3}), "tasks.intruder.trials: .* equal to 2"),
        (
            lambda s: s["layout"].update(quantiles=["q5", "top"]),
            "layout: quantiles should name each block once, strong",
        ),
        (lambda s: s["layout"].update(quantiles=["top", "q9"]), r"layout.quantiles\[1\]"),
        (lambda s: s["layout"].update(quantiles=["q1"], second_share=0.5), "layout: second_share takes .* `top`"),
        (lambda s: s["arm"][3].update(control="planned"), r"arm\[3\].control: Input should be 'null' or 'planted'"),
        (lambda s: s["arm"][3].update(name="catch"), r"arm\[3\]: exports use the name 'catch' for themselves"),
        (lambda s: s.update(guess={"pages": 4}), "guess: pages is 4; a guessing round needs 5 or more an arm, or 0"),
        (
            lambda s: (s["tasks"].pop("intruder"), s.update(practice={"intruders": 1})),
            r"practice.intruders needs \[tasks.intruder\]",
        ),
        (lambda s: s.update(estimand={"trained": "trained", "random": "trained"}), "estimand: .* should be three arms"),
        (
            lambda s: s.update(estimand={"trained": "trained", "random": "rnd"}),
            "estimand.random names 'rnd'; .* random",
        ),
        (
            lambda s: s.update(estimand={"trained": "trained", "random": "random", "null": "data-points"}),
            'estimand.null should name an arm with control = "null"; there are null-pages',
        ),
        (
            lambda s: s.update(texts={"debrief": "It was topk-sae."}),
            "texts.debrief, which raters read, says 'topk-sae'",
        ),
        (lambda s: s.update(seed="zero"), r"seed: Input should be a valid integer \(found 'zero'\)"),
        (lambda s: s.update(seed=True), "seed: Input should be a valid integer"),
        (lambda s: s.update(seed=1.5), "seed: Input should be a valid integer"),
        (lambda s: s["layout"].update(width="32"), r"layout.width: Input should be a valid integer \(found '32'\)"),
        (lambda s: s["layout"].update(contexts=0), "layout.contexts: .* greater than or equal to 1"),
        (lambda s: s["arm"][0].update(dictionaries="topk-sae"), r"arm\[0\].dictionaries: .*valid list"),
        (lambda s: s["tasks"]["pair"].update(contrasts=[["trained"]]), r"tasks.pair.contrasts\[0\]"),
        (lambda s: s["tasks"]["pair"].update(contrasts=[["trained", 3]]), r"tasks.pair.contrasts\[0\]\[1\]"),
        (lambda s: s.pop("name"), "the key name is missing"),
        (lambda s: s.pop("arm"), "the key arm is missing"),
        (lambda s: s.update(name="My Study"), "name: .*pattern"),
        (lambda s: s.update(raters_per_item=0), "raters_per_item: "),
        (lambda s: s["arm"][1].update(name="trained"), r"two \[\[arm\]\] entries are named 'trained'"),
        (lambda s: s["arm"][1].update(dictionaries=["topk-sae"]), "show the dictionary 'topk-sae'"),
        (lambda s: s["arm"][1].update(dictionaries=[]), r"arm\[1\]: an arm has either dictionaries or a control"),
        (lambda s: s["arm"][3].update(dictionaries=["x"]), r"arm\[3\]: an arm has either dictionaries or a control"),
        (lambda s: s["arm"][3].update(name="null"), "read the arm name 'null' as a missing value"),
        (lambda s: s.update(arm=s["arm"][3:]), "every arm is a control"),
        (lambda s: s["arm"].pop(3), "no .*arm.* is one"),
        (lambda s: s["tasks"]["pair"]["mix"].update(same=0.5), "tasks.pair.mix: the shares add up to 1.3"),
        (
            lambda s: s["tasks"]["pair"].update(contrasts=[["trained", "rnd"]]),
            "contrasts names 'rnd'.*: trained, random",
        ),
        (
            lambda s: s["tasks"]["pair"].update(contrasts=[["trained", "null-pages"]]),
            "should be an arm with dictionaries",
        ),
        (lambda s: s["tasks"]["pair"].update(contrasts=[["random", "random"]]), "against itself"),
        (lambda s: s.update(tasks={}), "tasks: a study needs a task"),
        (lambda s: s.update(title="Random or not?"), "title, which raters read, says 'random'"),
        (lambda s: s.update(texts={"instructions": "About topk-sae."}), "texts.instructions, .* says 'topk-sae'"),
        (lambda s: s.update(texts={"instructions": ""}), "texts.instructions: "),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence_that_names_the_key(tmp_path: Path, change, message: str) -> None:
    assert re.search(message, refusal(tmp_path, change))


def test_a_name_inside_another_word_is_no_leak(tmp_path: Path) -> None:
    changed = copy.deepcopy(GOOD) | {"title": "Randomly chosen pages"}
    assert load_protocol(written(tmp_path, to_toml(changed))).title == "Randomly chosen pages"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"There is no file .*missing\.toml"):
        load_protocol(tmp_path / "missing.toml")
    with pytest.raises(UserError, match=r"is not UTF-8 text \(byte 8\)"):
        load_protocol(written(tmp_path, b'title = "\xff"'[:8] + b"\xff"))
    with pytest.raises(UserError, match="is not valid TOML"):
        load_protocol(written(tmp_path, "name = = 3"))
    with pytest.raises(UserError, match="can't be read"):
        load_protocol(tmp_path)


def test_a_frozen_protocol_can_be_read_back() -> None:
    protocol = load_protocol(DEMO)
    text = protocol.canonical("digest")
    assert json.loads(text)["feature_digest"] == "digest"
    assert Protocol.from_canonical(text) == protocol
    with pytest.raises(ValueError, match="another version"):
        Protocol.from_canonical(text.replace('"version":2', '"version":1'))
