"""Stage `export`: everything that was trained, as a diffusers folder in fp16."""

import json
import shutil

from safetensors.torch import load_file, save_file

from . import card, networks
from .autoencoder import whole_vae
from .data import load_things, spoken, write_json
from .denoiser import trained_text_encoder, trained_unet
from .folders import Trouble
from .judges import trained_judge

LARGEST = 12_000_000
TOKENIZER_FILES = ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json")
PREFIX = "text_model."
NONE = [None, None]


def index():
    """`model_index.json`, which names the class of each part."""
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": NONE,
        "image_encoder": NONE,
        "requires_safety_checker": False,
        "safety_checker": NONE,
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def run(work, options):
    """Writes the folder and refuses one that is too large to embed."""
    folder = options.export
    words = networks.words_of(work, options.init)
    trained_unet(work, "unet").half().save_pretrained(folder / "unet")
    trained_unet(work, "weak").half().save_pretrained(folder / "weak/unet")
    whole_vae(work, options).half().save_pretrained(folder / "vae")
    write_text_encoder(trained_text_encoder(work, words), folder / "text_encoder")
    networks.scheduler().save_pretrained(folder / "scheduler")
    (folder / "tokenizer").mkdir(exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(networks.tokenizer_folder(work, options.init) / name, folder / "tokenizer" / name)
    labels = [spoken(name) for name in load_things(work, options.things)[0]]
    for kind in ("noisy", "clean"):
        write_judge(trained_judge(work, kind, labels), folder / "judge" / kind)
    write_json(folder / "model_index.json", index())
    forget_where_from(folder)
    card.write(work, folder, labels)
    sizes = {path.relative_to(folder): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    for path in folder.rglob("*.safetensors"):
        if not all(value.isfinite().all() for value in load_file(path).values()):
            raise Trouble(f"weights in {path} do not fit fp16; train that stage again with a lower --rate")
    for path, size in sizes.items():
        print(f"{size:>9} {path}")
    total = sum(sizes.values())
    print(f"{total:>9} in all")
    if total > LARGEST:
        raise Trouble(f"{folder} is larger than {LARGEST} bytes, the most that is embedded")


def write_judge(judge, folder):
    """A judge's config and weights."""
    write_json(folder / "config.json", judge.config)
    weights = {key: value.half().contiguous() for key, value in judge.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def write_text_encoder(encoder, folder):
    """The text encoder under the names of Stable Diffusion 1.5, which newer transformers shorten."""
    encoder.half().save_pretrained(folder)
    path = folder / "model.safetensors"
    weights = {f"{PREFIX}{key.removeprefix(PREFIX)}": value for key, value in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})


def forget_where_from(folder):
    """Takes the path that diffusers notes in a config out of it."""
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        write_json(path, config)
