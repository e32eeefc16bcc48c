"""Trains the pocket model, one stage a command: `python train.py STAGE`. README.md has them in order."""

import argparse
import sys
from pathlib import Path

try:
    import torch

    from recipe import autoencoder, data, denoiser, export, judges, measure, reference
    from recipe.folders import RECIPE, Trouble, Work
except ModuleNotFoundError as missing:
    sys.exit(f"error: the package `{missing.name}` is missing; run `pip install -r requirements.txt`")

STAGES = {
    "data": (data.run, {}),
    "vae": (autoencoder.run_vae, {"steps": 2000, "batch": 32, "rate": 2e-3}),
    "decoder": (autoencoder.run_decoder, {"steps": 3000, "batch": 16, "rate": 1e-3}),
    "latents": (autoencoder.run_latents, {}),
    "unet": (denoiser.run_unet, {"steps": 12000, "batch": 32, "rate": 1e-3}),
    "weak": (denoiser.run_weak, {"steps": 2000, "batch": 32, "rate": 1e-3}),
    "judges": (judges.run, {"steps": 2500, "batch": 64, "rate": 2e-3}),
    "export": (export.run, {}),
    "measure": (measure.run, {"prompts": 0, "seeds": 2, "rules": ",".join(measure.RULES)}),
    "reference": (reference.run, {}),
}


def arguments():
    """The command line; every stage has its own defaults for steps, batch and rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True)
    for name, (stage, defaults) in STAGES.items():
        one = stages.add_parser(name, help=(stage.__doc__ or "").strip().split("\n")[0])
        one.add_argument("--work", default=RECIPE / "work", help="folder of pictures, latents and checkpoints")
        one.add_argument("--things", default="things/first.txt", help="file with a name a line, or `all`")
        one.add_argument("--init", help="an exported pipeline to go on from")
        one.add_argument("--export", type=Path, default=RECIPE / "work/export", help="the exported pipeline's folder")
        one.add_argument("--judge", type=Path, help="measure with the judge of another exported pipeline")
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--threads", type=int, default=torch.get_num_threads())
        one.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        for option, value in defaults.items():
            one.add_argument(f"--{option}", type=type(value), default=value)
        if "steps" in defaults:
            one.add_argument("--minutes", type=float, help="train this long instead of --steps")
            one.add_argument("--bf16", action="store_true", help="compute in bf16 where PyTorch finds it safe")
            one.add_argument("--compile", action="store_true", help="compile the network first: for a GPU")
    return parser.parse_args()


def main():
    """Runs one stage; what the reader can put right is one line, without a traceback."""
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    work = Work(options.work)
    work.folder.mkdir(parents=True, exist_ok=True)
    try:
        STAGES[options.stage][0](work, options)
    except Trouble as trouble:
        sys.exit(f"error: {trouble}")


if __name__ == "__main__":
    main()
