"""Stage `data`: the icons as 64x64 pictures, and the things they show."""

import json
import shutil
import subprocess

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from .folders import RECIPE, STYLES, Trouble, read_json

SIZE = 64


def run(work, _options):
    """Draws the icons with Node, reduces them, and writes one file of pictures."""
    if shutil.which("node") is None:
        raise Trouble("`node` is not on the path; it draws the icons (version 18 or newer)")
    work.icons.mkdir(parents=True, exist_ok=True)
    command = ["node", str(RECIPE / "draw_icons.mjs"), str(work.icons)]
    if subprocess.run(command).returncode != 0:
        raise Trouble("the icons could not be drawn")
    things = read_json(work.icons / "things.json", "data")
    pictures = {style: torch.stack([picture(work, style, name) for name in things]) for style in STYLES}
    save_file(pictures, work.pictures)
    print(f"{len(things)} things in {len(STYLES)} styles: {work.pictures}")


def picture(work, style, name):
    """One icon as bytes, channels first; each pixel is the mean of four drawn ones."""
    path = work.icons / style / f"{name}.png"
    try:
        drawn = Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.BOX)
    except OSError as error:
        raise Trouble(f"{path} is unreadable ({error}); delete it and run this stage again") from error
    return torch.from_numpy(np.array(drawn)).permute(2, 0, 1).contiguous()


def load_things(work, chosen):
    """Names and categories: of a file with a name a line, or `all`."""
    known = read_json(work.icons / "things.json", "data")
    if chosen == "all":
        return list(known), list(known.values())
    path = RECIPE / chosen
    if not path.exists():
        raise Trouble(f"--things takes `all` or a file with a name a line; there is no {path}")
    names = [line.strip().replace(" ", "-") for line in path.read_text().splitlines() if line.strip()]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Trouble(f"{path} names things that the icon sets do not share: {', '.join(unknown)}")
    return names, [known[name] for name in names]


def load_pictures(work, chosen):
    """Names, categories and the pictures, `[things, styles, 3, 64, 64]` from -1 to 1."""
    every = list(read_json(work.icons / "things.json", "data"))
    names, categories = load_things(work, chosen)
    stored = load_file(work.needs(work.pictures, "data"))
    if any(len(stored[style]) != len(every) for style in STYLES):
        raise Trouble(f"{work.pictures} does not fit things.json; run `python train.py data` again")
    rows = torch.tensor([every.index(name) for name in names])
    pictures = torch.stack([stored[style][rows] for style in STYLES], dim=1)
    return names, categories, pictures.float() / 127.5 - 1


def spoken(name):
    """A thing's name as captions write it."""
    return name.replace("-", " ")


def write_grid(pictures, columns, path, zoom=1):
    """Writes pictures, `[n, 3, h, w]` from -1 to 1, as one PNG with so many columns."""
    rows = [torch.cat(list(row), dim=2) for row in pictures.clamp(-1, 1).split(columns)]
    white = torch.ones_like(rows[0])
    rows = [torch.cat([row, white[:, :, row.shape[2] :]], dim=2) for row in rows]
    grid = ((torch.cat(rows, dim=1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    sheet = Image.fromarray(grid)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.NEAREST).save(path)


def write_json(path, value):
    """Writes JSON with an indent and a final line break."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")
