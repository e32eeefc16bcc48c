"""A small random CLIP of the transformers library, and what that library says of a picture.

    python make.py

Writes `config.json`, `preprocessor_config.json`, `model.safetensors` and `expected.safetensors` beside itself.
The tokenizer is the embedded model's; its ids stand in `expected.safetensors`.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

HERE = Path(__file__).parent
TOKENIZER = HERE.parents[3] / "runtime/models/pocket/tokenizer"
PROMPTS = ["red apple", "a glossy lemon", "panda"]

torch.manual_seed(7)
text = dict(vocab_size=1271, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3,
            max_position_embeddings=16, eos_token_id=1270, bos_token_id=1269, pad_token_id=1270,
            hidden_act="quick_gelu")
vision = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4, image_size=32,
              patch_size=8, hidden_act="quick_gelu")
model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=20)).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        if name == "logit_scale":
            continue
        p.normal_(0, 0.3 if p.dim() > 1 else 0.5)
        if "norm" in name and name.endswith("weight"):
            p.add_(1.0)
model.save_pretrained(HERE)
(HERE / "preprocessor_config.json").write_text(
    '{"crop_size": 32, "do_center_crop": true, "do_normalize": true, "do_resize": true, '
    '"feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.48145466, 0.4578275, 0.40821073], '
    '"image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 32}\n')

tokenizer = CLIPTokenizer(str(TOKENIZER / "vocab.json"), str(TOKENIZER / "merges.txt"),
                          unk_token="<|endoftext|>", pad_token="<|endoftext|>")
ids = tokenizer(PROMPTS, padding="max_length", max_length=16, return_tensors="pt").input_ids

# In f64, so that nothing but rounding to f32 stands between this and another implementation.
model = model.double()
mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).double().view(1, 3, 1, 1)
deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).double().view(1, 3, 1, 1)
picture = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(3)).double().requires_grad_()
# Pillow's bicubic filter to the shorter side, as the library's image processor does, without its rounding to
# 8 bits between; then the middle.
resized = torch.nn.functional.interpolate(picture, size=(32, 44), mode="bicubic", antialias=True,
                                          align_corners=False)
shown = (resized[..., 6:38] - mean) / deviation
out = model(input_ids=ids, pixel_values=shown, output_hidden_states=True)
logits = out.logits_per_image
by = torch.tensor([[1.0, -2.0, 0.5]]).double()
(logits * by).sum().backward()
states = model.vision_model(pixel_values=shown, output_hidden_states=True).hidden_states
expected = dict(picture=picture.detach().float(), shown=shown, ids=ids, image=out.image_embeds,
                texts=out.text_embeds, logits=logits, by=by, gradient=picture.grad, third=states[3])
save_file({k: v.detach().contiguous() if k in ("picture", "ids") else v.detach().double().contiguous()
           for k, v in expected.items()}, HERE / "expected.safetensors")
print(logits, ids[:, :6], shown.shape)
