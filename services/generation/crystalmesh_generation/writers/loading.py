"""Models, materials and tables, loaded by the settings of a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from crystalmesh_common.crystal.composition_limits import composition_limits
from crystalmesh_common.runtime.durable import file_sha256
from crystalmesh_common.runtime.errors import CrystalMeshError, DataCorruptError, ModelFailedError
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_generation.engines.engine import Engine, Rules, Sampling, TextOrder, Until
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.language.templates import crystal_prompt, opening
from crystalmesh_generation.samples.materials import held_materials
from crystalmesh_generation.samples.references import References
from crystalmesh_generation.samples.screening import property_screen
from crystalmesh_generation.samples.writing import WritingModel
from crystalmesh_generation.serving.models import ModelFacts
from crystalmesh_generation.settings import EngineKind
from crystalmesh_generation.substitution.table import shipped_substitutions
from crystalmesh_generation.writers.messages import Start
from crystalmesh_generation.writers.writer import Effort, Writer

if TYPE_CHECKING:
    from crystalmesh_generation.model.files import LoadedModel

_log = structlog.get_logger(__name__)

_WARM_UP_WORDS = 4


def load_writer(start: Start) -> tuple[Writer, list[ModelFacts]]:
    """A writer with the models that can be loaded, and what became of each folder.

    Raises ModelFailedError for a device that is not there, DataCorruptError for materials that are none.
    """
    models: dict[str, WritingModel] = {}
    facts: list[ModelFacts] = []
    if start.folders or start.screen:
        _prepare_torch(start)
    for folder in start.folders:
        try:
            models[folder.name] = _load(folder, start)
            facts.append(models[folder.name].facts)
        except CrystalMeshError as error:
            _log.error("model_not_loaded", name=folder.name, path=str(folder.path), reason=error.message)
            facts.append(ModelFacts(folder.name, error.message))
    table = shipped_substitutions()
    references = References(held_materials(start.materials), table)
    screen = property_screen(start.device) if start.screen else None
    effort = Effort(start.texts, start.substitutions)
    return Writer(models, references, table, effort=effort, screen=screen), facts


def _prepare_torch(start: Start) -> None:
    import torch  # noqa: PLC0415 -- seconds; a server without models goes without it

    from crystalmesh_common.runtime.devices import require_device  # noqa: PLC0415 -- torch

    torch.set_num_threads(start.threads)
    require_device(start.device)


def _load(folder: ModelFolder, start: Start) -> WritingModel:
    """A model that has written once. Raises DataCorruptError or ModelFailedError."""
    import torch  # noqa: PLC0415 -- as above

    from crystalmesh_generation.model.files import is_model_folder, load_model  # noqa: PLC0415 -- torch

    if not is_model_folder(folder.path):
        raise DataCorruptError(f"{folder.path} holds no model", path=folder.path)
    dtype = torch.float32 if start.device == "cpu" else torch.bfloat16
    loaded = load_model(folder.path, device=start.device, dtype=dtype)
    facts = ModelFacts(
        name=folder.name,
        version=_version(folder.path),
        engine=start.engine,
        max_atoms=loaded.card.max_atoms,
        max_tokens=loaded.max_tokens,
        temperature=loaded.card.temperature,
        properties=tuple(scale.name for scale in loaded.card.scales),
        parameters=sum(values.numel() for values in loaded.model.parameters()),
        provenance=loaded.card.provenance,
    )
    model = WritingModel(facts, _engine(loaded, folder.path, start), loaded.tokenizer)
    _warm_up(model)
    return model


def _engine(loaded: LoadedModel, folder: Path, start: Start) -> Engine:
    """What writes with a model. Raises ModelFailedError for an engine that is not installed or cannot."""
    match EngineKind(start.engine):
        case EngineKind.TRANSFORMERS:
            from crystalmesh_generation.engines.transformers_engine import (  # noqa: PLC0415 -- torch
                TransformersEngine,
            )

            return TransformersEngine(loaded, capacity=start.capacity)
        case EngineKind.VLLM:
            from crystalmesh_generation.engines.vllm_engine import VllmEngine  # noqa: PLC0415 -- torch

            return VllmEngine(loaded, folder, capacity=start.capacity)


def _version(folder: Path) -> str:
    return file_sha256(folder / "model.safetensors")[:12]


def _warm_up(model: WritingModel) -> None:
    """Write a few words; raises ModelFailedError where that fails."""
    limits = composition_limits(max_atoms=min(4, model.facts.max_atoms))
    order = TextOrder(
        prompt=tuple(model.tokenizer.encode(crystal_prompt(opening(Aim())))),
        until=Until.CRYSTAL,
        sampling=Sampling(),
        rules=Rules(limits=limits, max_atoms=limits.max_atoms),
        max_words=_WARM_UP_WORDS,
    )
    try:
        model.engine.add(0, order)
        for _ in range(_WARM_UP_WORDS):
            model.engine.step()
        model.engine.drop(0)
    except CrystalMeshError:
        raise
    except Exception as error:
        raise ModelFailedError(f"the model cannot write: {error}") from error
