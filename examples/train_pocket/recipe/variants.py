"""Pictures a little changed: what the UNet learns beside the icons themselves, and what judges are tested on."""

import torch
from torch.nn import functional as F


def between(count, low, high, generator, *shape):
    """Even random numbers, one row a picture."""
    return low + (high - low) * torch.rand(count, *shape, generator=generator, device=generator.device)


def moved(pictures, generator, grow, shift):
    """Mirrors half of the pictures, scales them by 1/`grow` and shifts them; the ground stays white.

    `shift` is in halves of a picture's side.
    """
    count = len(pictures)
    size = between(count, *grow, generator)
    mirror = torch.where(between(count, 0, 1, generator) < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(size)
    across = torch.stack([size * mirror, zero, between(count, -shift, shift, generator)], dim=1)
    down = torch.stack([zero, size, between(count, -shift, shift, generator)], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), list(pictures.shape), align_corners=False)
    return (F.grid_sample(pictures - 1, grid, align_corners=False) + 1).clamp(-1, 1)


def placed(pictures, generator):
    """What the UNet sees: mirrored, a little smaller and elsewhere, and otherwise the icon."""
    return moved(pictures, generator, grow=(1.0, 1.15), shift=0.06)


def varied(pictures, generator):
    """What judges see: moved further, tinted, and with a little noise."""
    count = len(pictures)
    some = moved(pictures, generator, grow=(0.9, 1.2), shift=0.12)
    tinted = some * between(count, 0.9, 1.1, generator, 3, 1, 1) + between(count, -0.06, 0.06, generator, 3, 1, 1)
    noise = torch.randn(pictures.shape, generator=generator, device=generator.device)
    return (tinted + between(count, 0.0, 0.08, generator, 1, 1, 1) * noise).clamp(-1, 1)
