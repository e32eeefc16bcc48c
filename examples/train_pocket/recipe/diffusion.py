"""The noise: what a UNet learns at each time, and how samples are drawn from it."""

import torch
from torch.nn import functional as F

from . import networks

GAMMA = 5.0


class Noise:
    """Stable Diffusion's schedule as the training needs it."""

    def __init__(self, device):
        self.alphas = networks.scheduler().alphas_cumprod.to(device)

    def add(self, latents, generator, times=None):
        """Noisy latents, the noise in them and their times; times are drawn evenly if not given."""
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        if times is None:
            times = torch.randint(len(self.alphas), (len(latents),), generator=generator, device=latents.device)
        alpha = self.alphas[times].view(-1, 1, 1, 1)
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise, noise, times

    def loss(self, predicted, noise, times):
        """Squared error, weighted so that easy times do not drown the others (min-SNR)."""
        ratio = self.alphas[times] / (1 - self.alphas[times])
        weight = ratio.clamp(max=GAMMA) / ratio
        return (weight * F.mse_loss(predicted, noise, reduction="none").mean((1, 2, 3))).mean()


def noise_of(seeds):
    """The initial latents of some seeds."""
    shape = (4, 16, 16)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


@torch.no_grad()
def sample(predict, seeds, device, steps=20):
    """DDIM from the seeds' noise; `predict(latents, time)` is the guided eps."""
    scheduler = networks.scheduler()
    scheduler.set_timesteps(steps)
    latents = noise_of(seeds).to(device)
    for time in scheduler.timesteps:
        latents = scheduler.step(predict(latents, time), time, latents).prev_sample
    return latents
