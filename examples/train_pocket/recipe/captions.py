"""The words: what a picture's caption may be, and the tokenizer that is made from them."""

import json

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from .data import spoken
from .folders import STYLES

LENGTH = 16
MERGES = 757
START, END = "<|startoftext|>", "<|endoftext|>"
EMPTY, CATEGORY, STYLED = 0.10, 0.04, 0.5


def captions_of(name, category, style):
    """What a picture may be called, in the order of `draw_kinds`."""
    plain = ["", category, spoken(name)]
    return [words for one in plain for words in (one, f"{one}, {style}" if one else "")]


def draw_kinds(count, generator):
    """Which of its captions a picture has for one step; one in ten is empty, which is the null condition."""
    kind, styled = torch.rand(2, count, generator=generator, device=generator.device)
    words = (kind >= EMPTY).long() + (kind >= EMPTY + CATEGORY).long()
    return 2 * words + (styled < STYLED).long()


def byte_letters():
    """CLIP's 256 letters, one a byte, in the order of its vocabulary."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = range(256 - len(plain))
    return [chr(code) for code in plain] + [chr(256 + code) for code in others]


def write_tokenizer(names, categories, folder):
    """Learns a byte-level BPE in CLIP's format from all captions."""
    texts = [spoken(name) for name in names] + sorted(set(categories)) * 20 + STYLES * 100 + [","] * 100
    model = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    model.normalizer = normalizers.Lowercase()
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    letters = byte_letters()
    count = len(set("".join(texts)) - {" "})
    trainer = trainers.BpeTrainer(
        vocab_size=MERGES + 2 * count, end_of_word_suffix="</w>", show_progress=False
    )
    model.train_from_iterator(texts, trainer)
    merges = json.loads(model.to_str())["model"]["merges"][:MERGES]
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    tokens = letters + [letter + "</w>" for letter in letters] + ["".join(merge) for merge in merges]
    tokens = list(dict.fromkeys(tokens)) + [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: at for at, token in enumerate(tokens)}))
    lines = ["#version: 0.2"] + [" ".join(merge) for merge in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    specials = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(specials))
    config = {"add_prefix_space": False, **specials, "do_lower_case": True, "errors": "replace"}
    config |= {"model_max_length": LENGTH, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))


class Words:
    """Turns captions into tokens, each text once."""

    def __init__(self, folder):
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.known = {}

    def __call__(self, captions):
        """Tokens of captions, `[n, 16]`, cut and padded as Stable Diffusion does."""
        for text in set(captions) - self.known.keys():
            asked = {"padding": "max_length", "max_length": LENGTH, "truncation": True}
            self.known[text] = torch.tensor(self.tokenizer(text, **asked)["input_ids"])
        return torch.stack([self.known[text] for text in captions])
