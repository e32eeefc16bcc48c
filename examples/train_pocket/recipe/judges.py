"""Stage `judges`: two classifiers over the things by name, of decoded pictures and of noisy latents."""

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from .autoencoder import draw, encoded, read_latents, whole_vae
from .data import load_pictures, spoken, write_json
from .diffusion import Noise
from .folders import Trouble, finished
from .judge_network import Judge, config_of
from .training import put_state, train
from .variants import varied

VARIANTS, HELD_OUT = 12, 2
TIMES_REPORTED = (1, 200, 400, 600, 800)


def write_variants(work, options):
    """Encodes and decodes varied pictures once; both judges learn from them, the last ones are held out."""
    path = work.folder / "variants.safetensors"
    if path.exists():
        return load_file(path)
    _, _, pictures = load_pictures(work, options.things)
    rows = pictures.flatten(0, 1).to(options.device)
    vae = whole_vae(work, options).to(options.device)
    scale = read_latents(work)["scale"].to(options.device)
    kept = {"varied": [], "latents": [], "decoded": []}
    with torch.no_grad():
        for variant in range(VARIANTS):
            some = varied(rows, torch.Generator(options.device).manual_seed(variant))
            codes = encoded(vae, some)
            decoded = torch.cat([vae.decode(part).sample for part in codes.split(64)]).clamp(-1, 1)
            for key, value in zip(kept, (some, codes * scale, decoded)):
                kept[key].append(value.half().cpu())
    kept = {key: torch.stack(value).contiguous() for key, value in kept.items()}
    save_file(kept, path)
    return kept


def run(work, options):
    """Trains both judges and reports their accuracy on variants that they have not seen."""
    torch.manual_seed(options.seed)
    names, _, pictures = load_pictures(work, options.things)
    labels = [spoken(name) for name in names]
    variants = {key: value.to(options.device) for key, value in write_variants(work, options).items()}
    if variants["latents"].shape[1] != len(names) * pictures.shape[1]:
        raise Trouble(f"{work.folder}/variants.safetensors is of other things; delete it")
    truth = torch.arange(len(names), device=options.device).repeat_interleave(pictures.shape[1])
    report = {}
    for kind, learn in (("clean", clean_loss), ("noisy", noisy_loss)):
        judge = Judge(config_of(kind, labels)).to(options.device)
        loss_of = learn(judge, variants, truth, options)
        stage = f"judge_{kind}"
        train(work.checkpoint(stage), {"judge": judge}, loss_of, options)
        report[kind] = accuracy(judge.eval(), kind, variants, truth)
        print(f"{stage}: {report[kind]}", flush=True)
    write_json(work.folder / "judges.json", report)


def clean_loss(judge, variants, truth, options):
    """Decoded and undecoded variants in equal parts."""

    def loss_of(_step, generator):
        rows = draw(len(truth), options.batch, generator)
        which = draw(VARIANTS - HELD_OUT, options.batch, generator)
        kinds = [variants[kind][which, rows].float() for kind in ("varied", "decoded")]
        chosen = draw(2, options.batch, generator).view(-1, 1, 1, 1) == 0
        return F.cross_entropy(judge(torch.where(chosen, *kinds)), truth[rows])

    return loss_of


def noisy_loss(judge, variants, truth, options):
    """Latents of variants at any time of the schedule."""
    noise = Noise(options.device)

    def loss_of(_step, generator):
        rows = draw(len(truth), options.batch, generator)
        which = draw(VARIANTS - HELD_OUT, options.batch, generator)
        noisy, _, times = noise.add(variants["latents"][which, rows].float(), generator)
        return F.cross_entropy(judge(noisy, times), truth[rows])

    return loss_of


@torch.no_grad()
def accuracy(judge, kind, variants, truth):
    """Top-1 on the held-out variants; of the noisy judge at several times."""
    right = truth.repeat(HELD_OUT)

    def top(*seen):
        return round((judge(*seen).argmax(1) == right).float().mean().item(), 4)

    if kind == "clean":
        return {key: top(variants[key][-HELD_OUT:].float().flatten(0, 1)) for key in ("varied", "decoded")}
    latents, noise, report = variants["latents"][-HELD_OUT:].float().flatten(0, 1), Noise(truth.device), {}
    for time in TIMES_REPORTED:
        times = torch.full((len(latents),), time, device=truth.device)
        noisy, _, _ = noise.add(latents, torch.Generator(truth.device).manual_seed(time), times)
        report[f"t = {time}"] = top(noisy, times)
    return report


def trained_judge(work, kind, labels):
    """The averaged judge."""
    judge = Judge(config_of(kind, labels))
    put_state({"judge": judge}, finished(work, f"judge_{kind}"))
    return judge.eval()
