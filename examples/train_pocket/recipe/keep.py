"""Stage `keep`: weights of finished stages beside the recipe, so that another run goes on from them."""

from safetensors.torch import save_file

from .folders import KEPT, Trouble, finished, kept


def run(work, _options):
    """Writes the averaged weights of every stage of this run that ran to its end, in fp16."""
    stages = [stage for stage in ("vae", "unet", "weak") if work.checkpoint(stage).exists()]
    if not stages:
        raise Trouble(f"{work.folder} has no checkpoint of a stage; run `python train.py vae` first")
    KEPT.mkdir(exist_ok=True)
    for stage in stages:
        weights = finished(work, stage)
        if stage == "vae" and work.checkpoint("decoder").exists():
            weights |= decoder_of(work)
        save_file({key: value.half().contiguous() for key, value in weights.items()}, kept(stage))
        print(f"{kept(stage)}: {kept(stage).stat().st_size} bytes")


def decoder_of(work):
    """The finished decoder, under the names that it has in the autoencoder."""
    places = {"decoder/": "vae/decoder.", "post/": "vae/post_quant_conv."}
    return {
        place + key.removeprefix(part): value
        for key, value in finished(work, "decoder").items()
        for part, place in places.items()
        if key.startswith(part)
    }
