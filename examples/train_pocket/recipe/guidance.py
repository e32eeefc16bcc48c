"""The rules that are measured, as `std::rules` has them, over a UNet of diffusers."""

import torch

from . import networks

PAG_SCALE = 3.0
# A norm grows with the root of the count of numbers: 15 is for SDXL's latents, which have 64 times as many.
APG_RADIUS, APG_MOMENTUM = 2.0, -0.5


class Networks:
    """What a rule may ask for one batch of prompts."""

    def __init__(self, unet, states, empty, weak=None):
        self.unet, self.states, self.empty, self.weak = unet, states, empty, weak
        self.alphas = networks.scheduler().alphas_cumprod

    def cond(self, latents, time):
        """The prediction with the prompt."""
        return self.unet(latents, time, self.states).sample

    def pair(self, latents, time):
        """The predictions with the prompt and with the empty one."""
        states = torch.cat([self.states, self.empty])
        return self.unet(torch.cat([latents, latents]), time, states).sample.chunk(2)

    def perturbed(self, latents, time):
        """The prediction with the prompt, where self-attention in the middle is the identity."""
        attentions = [
            block.attn1 for attention in self.unet.mid_block.attentions for block in attention.transformer_blocks
        ]
        kept = [attention.processor for attention in attentions]
        for attention in attentions:
            attention.set_processor(IdentityAttention())
        predicted = self.cond(latents, time)
        for attention, processor in zip(attentions, kept):
            attention.set_processor(processor)
        return predicted

    def weaker(self, latents, time):
        """The weak UNet's prediction with the prompt."""
        return self.weak(latents, time, self.states).sample


class IdentityAttention:
    """Self-attention in which every place attends to itself alone."""

    def __call__(self, attention, hidden_states, *_others, **_more):
        return attention.to_out[0](attention.to_v(hidden_states))


def cfg(nets, scale):
    """Classifier-free guidance; at scale 1 only the conditional network runs."""
    if scale == 1:
        return nets.cond

    def predict(latents, time):
        cond, uncond = nets.pair(latents, time)
        return uncond + scale * (cond - uncond)

    return predict


def cfg_pag(nets, scale):
    """Classifier-free guidance and the direction away from the perturbed network."""

    def predict(latents, time):
        cond, uncond = nets.pair(latents, time)
        return uncond + scale * (cond - uncond) + PAG_SCALE * (cond - nets.perturbed(latents, time))

    return predict


def apg(nets, scale):
    """Adaptive projected guidance in x0, with momentum and a largest norm."""
    past = 0

    def predict(latents, time):
        nonlocal past
        alpha = nets.alphas[time]
        cond, uncond = [(latents - (1 - alpha).sqrt() * eps) / alpha.sqrt() for eps in nets.pair(latents, time)]
        past = (cond - uncond) + APG_MOMENTUM * past
        update = past * (APG_RADIUS / norm(past)).clamp(max=1)
        axis = cond / norm(cond)
        orthogonal = update - (update * axis).sum((1, 2, 3), keepdim=True) * axis
        guided = cond + (scale - 1) * orthogonal
        return (latents - alpha.sqrt() * guided) / (1 - alpha).sqrt()

    return predict


def autoguidance(nets, scale):
    """Away from the weak model."""

    def predict(latents, time):
        weak = nets.weaker(latents, time)
        return weak + scale * (nets.cond(latents, time) - weak)

    return predict


def norm(values):
    """L2 norm of each sample."""
    return values.square().sum((1, 2, 3), keepdim=True).sqrt()


RULES = {"CFG": cfg, "APG": apg, "PAG+CFG": cfg_pag, "autoguidance": autoguidance}
