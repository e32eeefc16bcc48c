"""Stages `vae`, `decoder` and `latents`: pictures to easy latents and back."""

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from . import networks
from .data import load_pictures, write_grid
from .folders import finished, load_checkpoint
from .training import put_state, state_of, train
from .variants import placed

PLACES = 12
SHOWN = 16
LATENT_NOISE = 0.05


def picture_loss(made, wanted):
    """Absolute, squared and edge differences."""
    difference = made - wanted
    edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    return difference.abs().mean() + 2 * difference.square().mean() + edges


def pictures_of(work, options):
    """All pictures in one row."""
    _, _, pictures = load_pictures(work, options.things)
    return pictures.flatten(0, 1).to(options.device)


def watch_with(work, vae, modules, pictures, stage):
    """Saves pictures above their reconstructions at every checkpoint."""
    shown = pictures[:: max(1, len(pictures) // SHOWN)][:SHOWN]

    def watch(_step, average):
        own = {key: value.clone() for key, value in state_of(modules).items()}
        put_state(modules, average)
        with torch.no_grad():
            rebuilt = vae.decode(encoded(vae, shown)).sample
        put_state(modules, own)
        noise = F.mse_loss(rebuilt.clamp(-1, 1), shown)
        print(f"{stage}: PSNR {(10 * torch.log10(4 / noise)).item():.2f}", flush=True)
        write_grid(torch.cat([shown, rebuilt]).cpu(), SHOWN, work.samples / f"{stage}.png", zoom=2)

    return watch


def run_vae(work, options):
    """Trains encoder and decoder together.

    Three channels of the encoder's mean are pulled to the means of the picture's 4x4 blocks, a thumbnail; the
    fourth is free for what a thumbnail lacks. Such latents are easy for a UNet.
    """
    torch.manual_seed(options.seed)
    pictures = pictures_of(work, options)
    vae = networks.new_autoencoder() if options.init is None else networks.load_vae(options.init)
    modules = {"vae": vae.to(options.device)}

    def loss_of(_step, generator):
        batch = placed(pictures[draw(len(pictures), options.batch, generator)], generator)
        latents = vae.encode(batch).latent_dist
        sample = latents.mean + latents.std * noise_like(latents.mean, generator)
        thumbnail = F.mse_loss(latents.mean[:, :3], F.avg_pool2d(batch, 4))
        return picture_loss(vae.decode(sample).sample, batch) + thumbnail + 1e-5 * latents.kl().mean()

    watch = watch_with(work, vae, modules, pictures, "vae")
    train(work.checkpoint("vae"), modules, loss_of, options, watch=watch)


def trained_vae(work, init):
    """The autoencoder whose encoder is frozen: of the pipeline to go on from, or of the stage `vae`."""
    if init is not None:
        return networks.load_vae(init)
    vae = networks.new_autoencoder()
    put_state({"vae": vae}, finished(work, "vae"))
    return vae


def run_decoder(work, options):
    """Finishes the decoder alone: the encoder stays, so the latents that the UNet learns stay too."""
    pictures = pictures_of(work, options)
    vae = trained_vae(work, options.init).requires_grad_(False).to(options.device)
    modules = {"decoder": vae.decoder, "post": vae.post_quant_conv}
    for module in modules.values():
        module.requires_grad_(True)
    with torch.no_grad():
        spread = encoded(vae, pictures).std()

    def loss_of(_step, generator):
        batch = placed(pictures[draw(len(pictures), options.batch, generator)], generator)
        with torch.no_grad():
            means = vae.encode(batch).latent_dist.mean
        noise = LATENT_NOISE * spread * noise_like(means, generator)
        return picture_loss(vae.decode(means + noise).sample, batch)

    watch = watch_with(work, vae, modules, pictures, "decoder")
    train(work.checkpoint("decoder"), modules, loss_of, options, hold=0.2, watch=watch)


def whole_vae(work, options, unfinished=False):
    """The autoencoder with the finished decoder; `unfinished` takes the decoder as far as it is."""
    vae = trained_vae(work, options.init)
    saved = load_checkpoint(work.checkpoint("decoder"))
    if saved is not None:
        average = saved["average"] if unfinished else finished(work, "decoder")
        put_state({"decoder": vae.decoder, "post": vae.post_quant_conv}, average)
    vae.register_to_config(scaling_factor=scaling_factor(work, options))
    return vae.eval()


def scaling_factor(work, options):
    """What latents are multiplied by: kept when going on from a pipeline, else one over their spread."""
    if options.init is not None:
        return networks.load_vae(options.init).config.scaling_factor
    return read_latents(work)["scale"].item()


def run_latents(work, options):
    """Encodes every picture, as it is and in some other places; what a UNet learns from has about unit variance."""
    _, _, pictures = load_pictures(work, "all")
    vae = trained_vae(work, options.init).eval().to(options.device)
    rows = pictures.flatten(0, 1).to(options.device)
    generator = torch.Generator(options.device).manual_seed(options.seed)
    with torch.no_grad():
        every = [rows, *(placed(rows, generator) for _ in range(PLACES - 1))]
        means = torch.stack([encoded(vae, some) for some in every]).cpu().unflatten(1, pictures.shape[:2])
    scale = torch.tensor(vae.config.scaling_factor) if options.init is not None else 1 / means.std()
    save_file({"latents": (means * scale).half().contiguous(), "scale": scale.float().reshape(1)}, work.latents)
    print(f"latents {list(means.shape)} times {scale.item():.4f}: {work.latents}")


def encoded(vae, pictures):
    """The means of the latents of many pictures."""
    return torch.cat([vae.encode(some).latent_dist.mean for some in pictures.split(64)])


def draw(among, count, generator):
    """So many random rows."""
    return torch.randint(among, (count,), generator=generator, device=generator.device)


def noise_like(values, generator):
    """Gaussian noise of a tensor's shape."""
    return torch.randn(values.shape, generator=generator, device=generator.device)


def read_latents(work):
    """The stored latents of all things, `[places, things, styles, 4, 16, 16]`, and their scale."""
    return load_file(work.needs(work.latents, "latents"))
