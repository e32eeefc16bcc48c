"""Stage `measure`: what an exported pipeline draws under each rule, judged by `judge/clean`."""

import hashlib

import torch

from . import card, networks
from .captions import Words
from .data import load_things, spoken, write_grid, write_json
from .diffusion import sample
from .folders import Trouble, init_folder
from .guidance import RULES, Networks
from .judge_network import load_judge

SCALES = (1, 3, 5, 7.5, 15)
SHEET_SCALES, SHEET_PROMPTS = (1, 3, 7.5), 24
BATCH, BATCH_OF_GPU = 40, 455


class Pipeline:
    """The networks of an exported folder, in f32."""

    def __init__(self, folder, device):
        folder = init_folder(folder)
        self.unet, self.vae = networks.load_unet(folder).to(device).eval(), networks.load_vae(folder).to(device).eval()
        self.encoder = networks.load_text_encoder(folder).to(device).eval()
        self.words = Words(folder / "tokenizer")
        self.weak = networks.load_unet(folder, "weak/unet").to(device).eval()
        self.device, self.batch = device, BATCH if device == "cpu" else BATCH_OF_GPU
        weights = (folder / "unet/diffusion_pytorch_model.safetensors").read_bytes()
        self.mark = hashlib.sha256(weights).hexdigest()[:16]

    @torch.no_grad()
    def draw(self, rule, scale, prompts, seeds):
        """Decoded pictures, one for each prompt and its seed."""
        pictures = []
        for at in range(0, len(prompts), self.batch):
            some = prompts[at : at + self.batch]
            states = networks.text_states(self.encoder, self.words, some)
            empty = networks.text_states(self.encoder, self.words, [""] * len(some))
            nets = Networks(self.unet, states, empty, self.weak)
            latents = sample(RULES[rule](nets, scale), seeds[at : at + self.batch], self.device)
            pictures.append(self.vae.decode(latents / self.vae.config.scaling_factor).sample.clamp(-1, 1).cpu())
        return torch.cat(pictures)


def saturation(pictures):
    """The mean of HSV's saturation."""
    unit = (pictures + 1) / 2
    most, least = unit.amax(1), unit.amin(1)
    return ((most - least) / most.clamp(min=1e-4)).mean().item()


def diversity(pictures):
    """Mean absolute difference between every two seeds of a prompt; pictures are `[prompts, seeds, ...]`."""
    seeds = pictures.shape[1]
    pairs = [(a, b) for a in range(seeds) for b in range(a)]
    return sum((pictures[:, a] - pictures[:, b]).abs().mean().item() for a, b in pairs) / len(pairs)


def run(work, options):
    """Fills the table of rules and scales, a cell at a time, and draws the contact sheet."""
    folder = options.export
    pipeline = Pipeline(folder, options.device)
    judge = load_judge((options.judge or folder) / "judge/clean")
    names = [spoken(name) for name in load_things(work, options.things)[0]]
    strangers = [name for name in names if name not in judge.config["labels"]]
    if strangers:
        raise Trouble(f"the judge does not know {', '.join(strangers)}; give --things the file it was trained on")
    stride = max(1, len(names) // options.prompts) if options.prompts else 1
    names = names[::stride]
    report = {"of": pipeline.mark, "prompts": len(names), "seeds": options.seeds, "cells": {}}
    path = work.folder / (f"measured_{folder.name}.json" if options.judge else "measured.json")
    old = card.read(path)
    if old is not None and all(old[key] == report[key] for key in ("of", "prompts", "seeds")):
        report = old
    truth = torch.tensor([judge.config["labels"].index(name) for name in names])
    for rule in options.rules.split(","):
        if rule not in RULES:
            raise Trouble(f"--rules takes names among {', '.join(RULES)}, with commas; `{rule}` is none")
        for scale in SCALES:
            if f"{rule} {scale}" not in report["cells"]:
                report["cells"][f"{rule} {scale}"] = cell(pipeline, judge, rule, scale, names, truth, options.seeds)
                write_json(path, report)
            print(rule, scale, report["cells"][f"{rule} {scale}"], flush=True)
    contact_sheet(pipeline, names, work.samples / f"sheet_{folder.name}.png")
    if not options.judge:
        card.write(work, folder, judge.config["labels"])


def cell(pipeline, judge, rule, scale, names, truth, seeds):
    """One rule at one scale."""
    prompts = [name for name in names for _ in range(seeds)]
    noise = [1000 * seed + at for at in range(len(names)) for seed in range(seeds)]
    pictures = pipeline.draw(rule, scale, prompts, noise)
    with torch.no_grad():
        right = judge(pictures).argmax(1) == truth.repeat_interleave(seeds)
    found = {"prompts": len(names), "top1": round(right.float().mean().item(), 4)}
    found["saturation"] = round(saturation(pictures), 4)
    if seeds > 1:
        found["diversity"] = round(diversity(pictures.unflatten(0, (len(names), seeds))), 4)
    return found


def contact_sheet(pipeline, names, path):
    """24 prompts: a row for each scale, in blocks of twelve columns."""
    shown = names[:: max(1, len(names) // SHEET_PROMPTS)][:SHEET_PROMPTS]
    rows = [pipeline.draw("CFG", scale, shown, list(range(len(shown)))) for scale in SHEET_SCALES]
    blocks = [row[at : at + 12] for at in range(0, len(shown), 12) for row in rows]
    write_grid(torch.cat(blocks), 12, path, zoom=2)
