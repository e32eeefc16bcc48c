"""Stages `unet` and `weak`: the network that denoises, with its text encoder, and its weaker twin."""

import torch

from . import networks
from .autoencoder import draw, read_latents, whole_vae
from .captions import captions_of, draw_kinds
from .data import load_things, spoken, write_grid
from .diffusion import Noise, sample
from .folders import STYLES, finished, read_json
from .guidance import Networks, cfg
from .training import put_state, quick, state_of, train

SHOWN = ["red apple", "fox", "strawberry", "blue heart", "penguin", "pizza", "cactus", "clown face"]
SHOWN_SCALES = (1, 3)


class Examples:
    """Latents of the trained things, and the tokens of what they may be called."""

    def __init__(self, work, options, words):
        names, categories = load_things(work, options.things)
        every = list(read_json(work.icons / "things.json", "data"))
        rows = torch.tensor([every.index(name) for name in names])
        self.latents = read_latents(work)["latents"][:, rows].float().to(options.device)
        captions = [
            words(captions_of(name, category, style)) for name, category in zip(names, categories) for style in STYLES
        ]
        self.tokens = torch.stack(captions).unflatten(0, (len(names), len(STYLES))).to(options.device)

    def draw(self, count, generator):
        """A batch: latents, and the tokens of a caption for each."""
        places, things, styles = (draw(size, count, generator) for size in self.latents.shape[:3])
        kinds = draw_kinds(count, generator)
        return self.latents[places, things, styles], self.tokens[things, styles, kinds]


def watch_with(work, options, stage, unet, encoder, words, modules):
    """Draws a few prompts with the averaged weights at every checkpoint."""
    vae = whole_vae(work, options, unfinished=True).to(options.device)

    @torch.no_grad()
    def watch(step, average):
        own = {key: value.clone() for key, value in state_of(modules).items()}
        put_state(modules, average)
        states = networks.text_states(encoder, words, SHOWN)
        empty = networks.text_states(encoder, words, [""] * len(SHOWN))
        nets, seeds = Networks(unet, states, empty), range(len(SHOWN))
        drawn = [sample(cfg(nets, scale), seeds, unet.device) for scale in SHOWN_SCALES]
        put_state(modules, own)
        pictures = vae.decode(torch.cat(drawn) / vae.config.scaling_factor).sample
        write_grid(pictures.cpu(), len(SHOWN), work.samples / stage / f"{step:06}.png", zoom=2)

    return watch


def run_unet(work, options):
    """Trains the UNet and the text encoder together."""
    torch.manual_seed(options.seed)
    words = networks.words_of(work, options.init)
    if options.init is None:
        unet, encoder = networks.new_unet(networks.MAIN), networks.new_text_encoder(words)
    else:
        unet, encoder = networks.load_unet(options.init), networks.load_text_encoder(options.init)
    modules = {"unet": unet, "text": encoder}
    teach(work, options, "unet", unet, encoder, words, modules)


def run_weak(work, options):
    """Trains a smaller UNet for fewer steps, on the finished text encoder."""
    torch.manual_seed(options.seed)
    words = networks.words_of(work, options.init)
    encoder = trained_text_encoder(work, words).requires_grad_(False)
    unet = networks.new_unet(networks.WEAK)
    teach(work, options, "weak", unet, encoder, words, {"unet": unet})


def teach(work, options, stage, unet, encoder, words, modules):
    """The steps that both stages share."""
    examples, noise = Examples(work, options, words), Noise(options.device)
    encoder.to(options.device)
    for module in modules.values():
        module.to(options.device).train()

    denoise = quick(unet, options)

    def loss_of(_step, generator):
        latents, tokens = examples.draw(options.batch, generator)
        noisy, added, times = noise.add(latents, generator)
        predicted = denoise(noisy, times, encoder(tokens).last_hidden_state).sample
        return noise.loss(predicted.float(), added, times)

    watch = watch_with(work, options, stage, unet, encoder, words, modules)
    train(work.checkpoint(stage), modules, loss_of, options, watch=watch)


def trained_text_encoder(work, words):
    """The averaged text encoder of the stage `unet`."""
    encoder = networks.new_text_encoder(words)
    put_state({"text": encoder}, finished(work, "unet"))
    return encoder.eval()


def trained_unet(work, stage):
    """The averaged UNet of the stage `unet` or `weak`."""
    unet = networks.new_unet(networks.MAIN if stage == "unet" else networks.WEAK)
    put_state({"unet": unet}, finished(work, stage))
    return unet.eval()


def prompts_of(work, options):
    """The trained things as prompts."""
    return [spoken(name) for name in load_things(work, options.things)[0]]
