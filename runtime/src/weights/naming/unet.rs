//! Latent diffusion's UNet. Its blocks are numbered through: one for the first convolution, one for each
//! resnet with the attention after it, one for each change of resolution on the way down; on the way up
//! a change of resolution belongs to the last block of its level.

/// The names that a tensor may have; two where the number depends on whether the level attends.
pub fn names(asked: &str, layers: &[usize]) -> Vec<String> {
    let words: Vec<&str> = asked.split('.').collect();
    let one = |start: &str, rest: &[&str]| vec![join(start, rest)];
    match &words[..] {
        ["conv_in", rest @ ..] => one("input_blocks.0.0", rest),
        ["time_embedding", "linear_1", rest @ ..] => one("time_embed.0", rest),
        ["time_embedding", "linear_2", rest @ ..] => one("time_embed.2", rest),
        ["add_embedding", "linear_1", rest @ ..] => one("label_emb.0.0", rest),
        ["add_embedding", "linear_2", rest @ ..] => one("label_emb.0.2", rest),
        ["conv_norm_out", rest @ ..] => one("out.0", rest),
        ["conv_out", rest @ ..] => one("out.2", rest),
        ["mid_block", "attentions", "0", rest @ ..] => one("middle_block.1", rest),
        ["mid_block", "resnets", place, rest @ ..] => match *place {
            "0" => resnet("middle_block.0", rest),
            "1" => resnet("middle_block.2", rest),
            _ => Vec::new(),
        },
        ["down_blocks", level, kind, place, rest @ ..] => {
            let Some((level, place)) = numbers(level, place) else {
                return Vec::new();
            };
            let before = 1 + blocks(layers.iter().take(level));
            match (*kind, rest) {
                ("resnets", rest) => resnet(&format!("input_blocks.{}.0", before + place), rest),
                ("attentions", rest) => one(&format!("input_blocks.{}.1", before + place), rest),
                ("downsamplers", ["conv", rest @ ..]) => {
                    let last = before + layers.get(level).copied().unwrap_or(0);
                    one(&format!("input_blocks.{last}.0.op"), rest)
                }
                _ => Vec::new(),
            }
        }
        ["up_blocks", level, kind, place, rest @ ..] => {
            let Some((level, place)) = numbers(level, place) else {
                return Vec::new();
            };
            let before = blocks(layers.iter().rev().take(level));
            match (*kind, rest) {
                ("resnets", rest) => resnet(&format!("output_blocks.{}.0", before + place), rest),
                ("attentions", rest) => one(&format!("output_blocks.{}.1", before + place), rest),
                ("upsamplers", ["conv", rest @ ..]) => {
                    let last = before + layers.iter().rev().nth(level).copied().unwrap_or(0);
                    let after = |modules: usize| {
                        join(&format!("output_blocks.{last}.{modules}.conv"), rest)
                    };
                    vec![after(2), after(1)]
                }
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// The blocks of some levels: a resnet each, and one more.
fn blocks<'a>(layers: impl Iterator<Item = &'a usize>) -> usize {
    layers.map(|count| count + 1).sum()
}

fn numbers(level: &str, place: &str) -> Option<(usize, usize)> {
    Some((level.parse().ok()?, place.parse().ok()?))
}

fn resnet(block: &str, words: &[&str]) -> Vec<String> {
    let Some((layer, rest)) = words.split_first() else {
        return Vec::new();
    };
    let name = match *layer {
        "norm1" => "in_layers.0",
        "conv1" => "in_layers.2",
        "time_emb_proj" => "emb_layers.1",
        "norm2" => "out_layers.0",
        "conv2" => "out_layers.3",
        "conv_shortcut" => "skip_connection",
        _ => return Vec::new(),
    };
    vec![join(&format!("{block}.{name}"), rest)]
}

fn join(start: &str, rest: &[&str]) -> String {
    if rest.is_empty() {
        start.to_owned()
    } else {
        format!("{start}.{}", rest.join("."))
    }
}
