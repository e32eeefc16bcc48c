"""Where a run keeps its files, and what is said when one is missing or unfit."""

import json
import os
from pathlib import Path

import torch

RECIPE = Path(__file__).resolve().parent.parent
STYLES = ["flat", "glossy", "drawn"]


class Trouble(Exception):
    """Something that the reader of the recipe can put right; its text says how."""


class Work:
    """The folder of one run: pictures, latents, checkpoints."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.icons = self.folder / "icons"
        self.pictures = self.folder / "pictures.safetensors"
        self.latents = self.folder / "latents.safetensors"
        self.samples = self.folder / "samples"
        self.reference = self.folder / "reference"

    def checkpoint(self, stage):
        """The file from which a stage resumes."""
        return self.folder / f"{stage}.pt"

    def needs(self, path, stage):
        """Refuses to go on without a file that an earlier stage writes."""
        if not path.exists():
            raise Trouble(f"{path} is missing; run `python train.py {stage}` first")
        return path


def save_checkpoint(path, state):
    """Writes a checkpoint so that a kill leaves either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def load_checkpoint(path, device="cpu"):
    """Reads a checkpoint; None if there is none yet."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise Trouble(f"{path} is not a checkpoint ({error}); delete it to begin anew") from error


def finished(work, stage):
    """The averaged weights of a stage that ran to its end."""
    state = load_checkpoint(work.needs(work.checkpoint(stage), stage))
    if state["step"] < state["steps"]:
        raise Trouble(
            f"the stage `{stage}` stopped at step {state['step']} of {state['steps']}; "
            f"run `python train.py {stage}` again to finish it"
        )
    return state["average"]


def read_json(path, stage):
    """Reads a JSON file that a stage wrote."""
    if not path.exists():
        raise Trouble(f"{path} is missing; run `python train.py {stage}` first")
    return json.loads(path.read_text())


def init_folder(path):
    """Checks that a folder is an exported pipeline."""
    folder = Path(path)
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        if not (folder / part).is_dir():
            raise Trouble(f"{folder} is no exported pipeline: it has no folder `{part}`")
    return folder
