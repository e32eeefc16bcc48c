"""Stage `reference`: numbers of an exported pipeline as diffusers computes them, for tests of other runtimes."""

import torch
from diffusers import DDIMScheduler
from safetensors.torch import save_file

from . import networks
from .captions import Words
from .diffusion import noise_of
from .folders import init_folder
from .guidance import Networks, cfg

PROMPT, SEED, STEPS, SCALE, TIME = "strawberry", 3, 20, 7.5, 601


@torch.no_grad()
def run(_work, options):
    """Tokens, text states, one UNet evaluation, final latents of one seed, and the picture they decode to."""
    folder = init_folder(options.export)
    words, encoder = Words(folder / "tokenizer"), networks.load_text_encoder(folder).eval()
    unet, vae = networks.load_unet(folder).eval(), networks.load_vae(folder).eval()
    states = networks.text_states(encoder, words, [PROMPT])
    empty = networks.text_states(encoder, words, [""])
    init = noise_of([SEED])
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(STEPS)
    predict, latents = cfg(Networks(unet, states, empty), SCALE), init
    for time in scheduler.timesteps:
        latents = scheduler.step(predict(latents, time), time, latents).prev_sample
    path = folder.parent / f"expected_{PROMPT}_seed{SEED}_ddim{STEPS}_cfg{SCALE}.safetensors"
    numbers = {
        "tokens": words([PROMPT, ""]),
        "text_states": torch.cat([states, empty]),
        "init": init,
        "eps": unet(init, TIME, states).sample,
        "latents": latents,
        "picture": vae.decode(latents / vae.config.scaling_factor).sample,
    }
    about = {"prompt": PROMPT, "seed": SEED, "steps": STEPS, "sampler": "ddim", "scale": SCALE, "eps_at": TIME}
    about["made_with"] = "diffusers 0.42.1, float32"
    numbers = {key: value.contiguous() for key, value in numbers.items()}
    save_file(numbers, path, metadata={key: str(value) for key, value in about.items()})
    print(path)
