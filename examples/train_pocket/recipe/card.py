"""The model card, filled with what was measured."""

import json

from .folders import RECIPE

RULES_TABLE = "| rule | {} |\n| --- |{}\n"


def write(work, folder, labels):
    """Writes the exported folder's README.md."""
    text = (RECIPE / "card.md").read_text()
    text = text.replace("{things}", ", ".join(labels)).replace("{count}", str(len(labels)))
    text = text.replace("{measured}", measured(work)).replace("{judges}", judges(work))
    (folder / "README.md").write_text(text)


def read(path):
    """A JSON file; nothing if the stage that writes it has not run."""
    return json.loads(path.read_text()) if path.exists() else None


def measured(work):
    """The tables of the stage `measure`."""
    report = read(work.folder / "measured.json")
    if report is None:
        return "Not measured yet."
    about = f"{report['seeds']} seeds a prompt, 20 steps of DDIM."
    parts = [about]
    for measure, title in (("top1", "Top-1 of the prompted thing"), ("saturation", "Mean saturation")):
        parts.append(f"{title}:\n\n" + table(report["cells"], measure))
    if any("diversity" in cell for cell in report["cells"].values()):
        parts.append("Mean difference between seeds of one prompt:\n\n" + table(report["cells"], "diversity"))
    return "\n\n".join(parts)


def table(cells, measure):
    """Rules down, scales across."""
    rows = {}
    for key, cell in cells.items():
        rule, scale = key.rsplit(" ", 1)
        row = f"{rule}, {cell['prompts']} prompts"
        rows.setdefault(row, {})[float(scale)] = cell.get(measure)
    scales = sorted({scale for row in rows.values() for scale in row})
    lines = [RULES_TABLE.format(" | ".join(f"{scale:g}" for scale in scales), " --- |" * len(scales)).rstrip()]
    for rule, row in rows.items():
        values = ["" if row.get(scale) is None else f"{row[scale]:.3f}" for scale in scales]
        lines.append(f"| {rule} | {' | '.join(values)} |")
    return "\n".join(lines)


def judges(work):
    """Accuracy of the judges on variants that were held out."""
    report = read(work.folder / "judges.json")
    if report is None:
        return "Not measured yet."
    rows = [f"| `{kind}` | {what} | {value:.3f} |" for kind, of in report.items() for what, value in of.items()]
    return "| judge | sees | top-1 |\n| --- | --- | --- |\n" + "\n".join(rows)
