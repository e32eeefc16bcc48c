"""The judges' network: a plain stack of convolutions that its `config.json` describes in full."""

import json
import math

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from .folders import Trouble

CLEAN = {"sees": "image", "in_channels": 3, "sample_size": 64, "channels": [24, 48, 80, 112], "strides": [2, 2, 2, 2]}
NOISY = {"sees": "noisy", "in_channels": 4, "sample_size": 16, "channels": [32, 48, 80, 112], "strides": [1, 2, 1, 2]}
TIME = {"time_width": 64}


def config_of(kind, labels):
    """The config of a judge over these labels; `noisy` is told the time, `clean` is not."""
    shape = NOISY | TIME if kind == "noisy" else CLEAN | {"time_width": None}
    common = {"kernel": 3, "padding": 1, "norm_num_groups": 8, "norm_eps": 1e-5, "act_fn": "relu", "pool": "mean"}
    return {"_class_name": "Judge", **shape, **common, "range": [-1.0, 1.0], "labels": labels}


class Judge(nn.Module):
    """A block is convolution, group norm, bias from the time, ReLU; then the mean over space and a linear head."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        width, before = config["time_width"], config["in_channels"]
        if width is not None:
            self.time = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width)])
        self.blocks = nn.ModuleList()
        for channels, stride in zip(config["channels"], config["strides"]):
            block = nn.ModuleDict(
                {
                    "conv": nn.Conv2d(before, channels, config["kernel"], stride, config["padding"]),
                    "norm": nn.GroupNorm(config["norm_num_groups"], channels, config["norm_eps"]),
                }
            )
            if width is not None:
                block["time"] = nn.Linear(width, channels)
            self.blocks.append(block)
            before = channels
        self.head = nn.Linear(before, len(config["labels"]))

    def forward(self, seen, times=None):
        """Logits of what is seen: pictures from -1 to 1, or scaled latents and their times, 0 to 999."""
        told = None if self.config["time_width"] is None else self.told(times)
        for block in self.blocks:
            seen = block["norm"](block["conv"](seen))
            if told is not None:
                seen = seen + block["time"](told)[:, :, None, None]
            seen = F.relu(seen)
        return self.head(seen.mean((2, 3)))

    def told(self, times):
        """The time as features: cosines then sines at falling frequencies, and two linear layers."""
        half = self.config["time_width"] // 2
        frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, device=times.device) / half)
        angles = times.float()[:, None] * frequencies
        features = torch.cat([angles.cos(), angles.sin()], dim=1)
        return F.relu(self.time[1](F.relu(self.time[0](features))))


def load_judge(folder):
    """A judge from an exported folder, in f32."""
    if not (folder / "config.json").exists():
        raise Trouble(f"{folder} holds no judge; run `python train.py judges` and `export` first")
    judge = Judge(json.loads((folder / "config.json").read_text()))
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    judge.load_state_dict({key: value.float() for key, value in weights.items()})
    return judge.eval()
