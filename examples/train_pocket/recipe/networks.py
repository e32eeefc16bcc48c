"""The networks: their shapes, and how they begin."""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTextConfig, CLIPTextModel
from transformers.utils import logging as transformers_logging

from .captions import LENGTH, Words, write_tokenizer
from .data import load_things
from .folders import Work, init_folder

diffusers_logging.set_verbosity_error()
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

WIDTH = 96
MAIN, WEAK = (48, 80, 112), (16, 24, 32)
HEADS = 4


def new_autoencoder():
    """64x64 pictures to 4x16x16 latents in three levels."""
    return AutoencoderKL(
        block_out_channels=(24, 48, 96),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
    )


def new_unet(channels):
    """Attention at the two finer levels and in the middle; predicts eps."""
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=HEADS,
        cross_attention_dim=WIDTH,
        norm_num_groups=8,
    )


def new_text_encoder(words):
    """Two layers of CLIP's text model."""
    vocabulary = words.tokenizer.get_vocab()
    end = vocabulary[words.tokenizer.eos_token]
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocabulary),
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=HEADS,
            max_position_embeddings=LENGTH,
            projection_dim=WIDTH,
            bos_token_id=vocabulary[words.tokenizer.bos_token],
            eos_token_id=end,
            pad_token_id=end,
        )
    )


def scheduler():
    """Stable Diffusion 1.5's betas and timesteps."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def tokenizer_folder(work: Work, init):
    """The tokenizer's folder: of the pipeline to go on from, or made once for this run."""
    if init is not None:
        return init_folder(init) / "tokenizer"
    folder = work.folder / "tokenizer"
    if not (folder / "vocab.json").exists():
        write_tokenizer(*load_things(work, "all"), folder)
    return folder


def words_of(work, init):
    """The tokenizer in use."""
    return Words(tokenizer_folder(work, init))


def text_states(encoder, words, captions):
    """What the UNet attends to: the last layer's states after the final norm."""
    return encoder(words(captions).to(encoder.device)).last_hidden_state


def load_vae(init):
    """The autoencoder of an exported pipeline, in f32."""
    return AutoencoderKL.from_pretrained(init_folder(init) / "vae", torch_dtype=torch.float32)


def load_unet(init, part="unet"):
    """A UNet of an exported pipeline, in f32."""
    return UNet2DConditionModel.from_pretrained(init_folder(init) / part, torch_dtype=torch.float32)


def load_text_encoder(init):
    """The text encoder of an exported pipeline, in f32."""
    return CLIPTextModel.from_pretrained(init_folder(init) / "text_encoder", dtype=torch.float32)
