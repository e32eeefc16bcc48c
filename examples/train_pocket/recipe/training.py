"""What every training stage does: steps with a learning rate that rises, holds and falls, and checkpoints."""

import time

import torch

from .folders import load_checkpoint, save_checkpoint

SECONDS_BETWEEN_CHECKPOINTS = 150
SECONDS_BETWEEN_REPORTS = 30


def rate(step, steps, warm_up=100, hold=0.35):
    """The share of the learning rate at a step: up, level until `hold` of all steps, then down to zero."""
    if step < warm_up:
        return (step + 1) / warm_up
    fall_from = max(warm_up, hold * steps)
    return max(0.0, min(1.0, (steps - step) / (steps - fall_from)))


class Ema:
    """A running average of weights, which is what samples are taken from."""

    def __init__(self, modules, decay=0.998):
        self.modules, self.decay, self.updates = modules, decay, 0
        self.weights = {key: value.clone() for key, value in state_of(modules).items()}

    @torch.no_grad()
    def update(self):
        """Takes the present weights in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for key, value in state_of(self.modules).items():
            if value.is_floating_point():
                self.weights[key].lerp_(value, 1 - decay)


def state_of(modules):
    """The weights of several modules in one dictionary, each under its name."""
    return {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}


def put_state(modules, state):
    """Puts such a dictionary back."""
    for name, module in modules.items():
        own = {key.removeprefix(f"{name}/"): value for key, value in state.items() if key.startswith(f"{name}/")}
        module.load_state_dict(own)


def train(path, modules, loss_of, steps, learning_rate, seed=0, hold=0.35, watch=None):
    """Trains modules, resuming from `path`, and returns the averaged weights.

    `loss_of(step, generator)` gives the loss of a step; the generator depends on the step alone, so a
    resumed run sees what an unbroken one would. `watch(step, weights)` is called at every checkpoint, which
    also holds the processor seconds used so far: a pause does not count.
    """
    parameters = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    ema, first, spent = Ema(modules), 0, 0.0
    saved = load_checkpoint(path)
    if saved is not None:
        put_state(modules, saved["weights"])
        optimizer.load_state_dict(saved["optimizer"])
        ema.weights, ema.updates = saved["average"], saved["updates"]
        first, spent = saved["step"], saved["seconds"]
        print(f"{path.stem}: resuming at step {first} of {steps}", flush=True)

    def keep(step):
        state = {"step": step, "steps": steps, "seconds": spent, "average": ema.weights}
        state |= {"weights": state_of(modules), "optimizer": optimizer.state_dict(), "updates": ema.updates}
        save_checkpoint(path, state)
        if watch is not None:
            watch(step, ema.weights)

    reported = kept = time.monotonic()
    losses, before = [], time.process_time()
    for step in range(first, steps):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate(step, steps, hold=hold)
        loss = loss_of(step, generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ema.update()
        losses.append(loss.item())
        now, used = time.monotonic(), time.process_time()
        spent, before = spent + used - before, used
        if now - reported > SECONDS_BETWEEN_REPORTS:
            mean, pace = sum(losses) / len(losses), len(losses) / (now - reported)
            print(f"{path.stem}: step {step + 1}/{steps} loss {mean:.4f} {pace:.2f} steps/s", flush=True)
            reported, losses = now, []
        if now - kept > SECONDS_BETWEEN_CHECKPOINTS:
            keep(step + 1)
            kept = time.monotonic()
    keep(max(first, steps))
    put_state(modules, ema.weights)
    return ema.weights
