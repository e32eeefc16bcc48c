"""Stage `judges`: two classifiers over the things by name, of decoded pictures and of noisy latents."""

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from .autoencoder import read_latents, whole_vae
from .data import load_pictures, spoken, write_json
from .diffusion import Noise
from .folders import Trouble, finished
from .judge_network import Judge, config_of
from .training import put_state, train

VARIANTS, HELD_OUT = 12, 2
TIMES_REPORTED = (1, 200, 400, 600, 800)


def vary(pictures, generator):
    """Shifts, scales, mirrors and tints pictures a little, and adds a little noise; the ground stays white."""
    count = len(pictures)

    def between(low, high, *shape):
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    grow = between(0.9, 1.2)
    mirror = torch.where(between(0, 1) < 0.5, -1.0, 1.0)
    zero = torch.zeros(count)
    across = torch.stack([grow * mirror, zero, between(-0.12, 0.12)], dim=1)
    down = torch.stack([zero, grow, between(-0.12, 0.12)], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures - 1, grid, align_corners=False) + 1
    tinted = moved * between(0.9, 1.1, 3, 1, 1) + between(-0.06, 0.06, 3, 1, 1)
    noise = torch.randn(pictures.shape, generator=generator)
    return (tinted + between(0.0, 0.08, 1, 1, 1) * noise).clamp(-1, 1)


def write_variants(work, options):
    """Encodes and decodes varied pictures once; both judges learn from them, the last ones are held out."""
    path = work.folder / "variants.safetensors"
    if path.exists():
        return load_file(path)
    _, _, pictures = load_pictures(work, options.things)
    rows = pictures.flatten(0, 1)
    vae = whole_vae(work, options)
    scale = read_latents(work)["scale"]
    varied, latents, decoded = [], [], []
    with torch.no_grad():
        for variant in range(VARIANTS):
            some = vary(rows, torch.Generator().manual_seed(variant))
            codes = torch.cat([vae.encode(part).latent_dist.mean for part in some.split(64)])
            varied.append(some)
            latents.append(codes * scale)
            decoded.append(torch.cat([vae.decode(part).sample for part in codes.split(64)]).clamp(-1, 1))
    kept = {"varied": varied, "latents": latents, "decoded": decoded}
    kept = {key: torch.stack(value).half().contiguous() for key, value in kept.items()}
    save_file(kept, path)
    return kept


def run(work, options):
    """Trains both judges and reports their accuracy on variants that they have not seen."""
    torch.manual_seed(options.seed)
    names, _, pictures = load_pictures(work, options.things)
    labels = [spoken(name) for name in names]
    variants = write_variants(work, options)
    if variants["latents"].shape[1] != len(names) * pictures.shape[1]:
        raise Trouble(f"{work.folder}/variants.safetensors is of other things; delete it")
    truth = torch.arange(len(names)).repeat_interleave(pictures.shape[1])
    report = {}
    for kind, learn in (("clean", clean_loss), ("noisy", noisy_loss)):
        judge = Judge(config_of(kind, labels))
        loss_of = learn(judge, variants, truth, options)
        stage = f"judge_{kind}"
        train(work.checkpoint(stage), {"judge": judge}, loss_of, options.steps, options.rate, options.seed)
        report[kind] = accuracy(judge.eval(), kind, variants, truth)
        print(f"{stage}: {report[kind]}", flush=True)
    write_json(work.folder / "judges.json", report)


def clean_loss(judge, variants, truth, options):
    """Decoded and undecoded variants in equal parts."""

    def loss_of(_step, generator):
        rows = torch.randint(len(truth), (options.batch,), generator=generator)
        which = torch.randint(VARIANTS - HELD_OUT, (options.batch,), generator=generator)
        kinds = [variants[kind][which, rows].float() for kind in ("varied", "decoded")]
        chosen = torch.rand(options.batch, 1, 1, 1, generator=generator) < 0.5
        return F.cross_entropy(judge(torch.where(chosen, *kinds)), truth[rows])

    return loss_of


def noisy_loss(judge, variants, truth, options):
    """Latents of variants at any time of the schedule."""
    noise = Noise()

    def loss_of(_step, generator):
        rows = torch.randint(len(truth), (options.batch,), generator=generator)
        which = torch.randint(VARIANTS - HELD_OUT, (options.batch,), generator=generator)
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
    latents, noise, report = variants["latents"][-HELD_OUT:].float().flatten(0, 1), Noise(), {}
    for time in TIMES_REPORTED:
        times = torch.full((len(latents),), time)
        noisy, _, _ = noise.add(latents, torch.Generator().manual_seed(time), times)
        report[f"t = {time}"] = top(noisy, times)
    return report


def trained_judge(work, kind, labels):
    """The averaged judge."""
    judge = Judge(config_of(kind, labels))
    put_state({"judge": judge}, finished(work, f"judge_{kind}"))
    return judge.eval()
