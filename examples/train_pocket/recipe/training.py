"""What every training stage does: steps with a learning rate that rises, holds and falls, and checkpoints."""

import time

import torch

from .folders import load_checkpoint, save_checkpoint

SECONDS_BETWEEN_CHECKPOINTS = 150
SECONDS_BETWEEN_REPORTS = 30
STEPS_TO_MEASURE = 40
STEPS_TO_START = 10


def rate(step, steps, warm_up=100, hold=0.35):
    """The share of the learning rate at a step: up, level until `hold` of all steps, then down to zero."""
    if step < warm_up:
        return (step + 1) / warm_up
    fall_from = max(warm_up, hold * steps)
    return max(0.0, min(1.0, (steps - step) / (steps - fall_from)))


class Ema:
    """A running average of weights, which is what samples are taken from."""

    def __init__(self, modules, decay=0.998):
        self.decay, self.updates = decay, 0
        present = state_of(modules)
        self.weights = {key: value.clone() for key, value in present.items()}
        self.moving = [key for key, value in present.items() if value.is_floating_point()]
        self.present = [present[key] for key in self.moving]

    @torch.no_grad()
    def update(self):
        """Takes the present weights in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_([self.weights[key] for key in self.moving], self.present, 1 - decay)


class Pace:
    """How long a stage is: so many steps, or as many as fit in `minutes` at the pace of its first steps."""

    def __init__(self, options, first, steps=None):
        self.steps = options.steps if steps is None else steps
        self.first, self.minutes = first, None if steps is not None else options.minutes
        self.began = None

    def after(self, step):
        """Told of every step that is done; settles the number of steps once, when the pace is known."""
        if self.minutes is None:
            return
        done = step + 1 - self.first
        if done == STEPS_TO_START:
            self.began = time.monotonic()
        if done == STEPS_TO_START + STEPS_TO_MEASURE:
            seconds = (time.monotonic() - self.began) / STEPS_TO_MEASURE
            self.steps = step + 1 + round((60 * self.minutes) / seconds)
            self.minutes = None
            print(f"{1 / seconds:.2f} steps/s: {self.steps} steps in all", flush=True)


def state_of(modules):
    """The weights of several modules in one dictionary, each under its name."""
    return {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}


def put_state(modules, state):
    """Puts such a dictionary back."""
    for name, module in modules.items():
        own = {key.removeprefix(f"{name}/"): value for key, value in state.items() if key.startswith(f"{name}/")}
        module.load_state_dict(own)


def quick(network, options):
    """The network as training calls it, compiled if that was asked for."""
    return torch.compile(network) if options.compile else network


def train(path, modules, loss_of, options, hold=0.35, watch=None):
    """Trains modules, resuming from `path`, and returns the averaged weights.

    `loss_of(step, generator)` gives the loss of a step; the generator depends on the step alone, so a
    resumed run sees what an unbroken one would. `watch(step, weights)` is called at every checkpoint, which
    also holds the seconds of work so far: a pause between two runs does not count.
    """
    parameters = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=options.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=options.device != "cpu"
    )
    ema, first, spent, known = Ema(modules), 0, 0.0, None
    saved = load_checkpoint(path, options.device)
    if saved is not None:
        put_state(modules, saved["weights"])
        optimizer.load_state_dict(saved["optimizer"])
        ema.weights, ema.updates = saved["average"], saved["updates"]
        first, spent = saved["step"], saved["seconds"]
        known = saved["steps"] if options.minutes is not None else None
        print(f"{path.stem}: resuming at step {first}", flush=True)
    pace = Pace(options, first, known)

    def keep(step):
        state = {"step": step, "steps": pace.steps, "seconds": spent, "average": ema.weights}
        state |= {"weights": state_of(modules), "optimizer": optimizer.state_dict(), "updates": ema.updates}
        save_checkpoint(path, state)
        if watch is not None:
            watch(step, ema.weights)

    reported = kept = before = time.monotonic()
    losses, step = [], first
    generator = torch.Generator(options.device)
    while step < pace.steps:
        generator.manual_seed(options.seed * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * rate(step, pace.steps, hold=hold)
        with torch.autocast(torch.device(options.device).type, torch.bfloat16, enabled=options.bf16):
            loss = loss_of(step, generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        ema.update()
        losses.append(loss.detach())
        pace.after(step)
        step += 1
        now = time.monotonic()
        spent, before = spent + now - before, now
        if now - reported > SECONDS_BETWEEN_REPORTS:
            mean, speed = torch.stack(losses).mean().item(), len(losses) / (now - reported)
            print(f"{path.stem}: step {step}/{pace.steps} loss {mean:.4f} {speed:.2f} steps/s", flush=True)
            reported, losses = now, []
        if now - kept > SECONDS_BETWEEN_CHECKPOINTS:
            keep(step)
            kept = before = time.monotonic()
    keep(step)
    put_state(modules, ema.weights)
    return ema.weights
