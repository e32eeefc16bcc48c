//! Latent diffusion's autoencoder. The decoder's levels are numbered from the finest; its projections are
//! 1x1 convolutions.

/// The name that a tensor has.
pub fn name(asked: &str, levels: usize) -> Option<String> {
    let words: Vec<&str> = asked.split('.').collect();
    let (side, rest) = match &words[..] {
        [side @ ("encoder" | "decoder"), rest @ ..] => (*side, rest),
        ["quant_conv" | "post_quant_conv", ..] => return Some(asked.to_owned()),
        _ => return None,
    };
    let inner = match rest {
        ["conv_in" | "conv_out", ..] => rest.join("."),
        ["conv_norm_out", rest @ ..] => format!("norm_out.{}", rest.join(".")),
        ["mid_block", "resnets", place, rest @ ..] => {
            format!(
                "mid.block_{}.{}",
                place.parse::<usize>().ok()? + 1,
                resnet(rest)?
            )
        }
        ["mid_block", "attentions", "0", rest @ ..] => format!("mid.attn_1.{}", attention(rest)?),
        ["down_blocks", level, rest @ ..] => format!("down.{level}.{}", level_part(rest)?),
        ["up_blocks", place, rest @ ..] => {
            let level = levels.checked_sub(place.parse::<usize>().ok()? + 1)?;
            format!("up.{level}.{}", level_part(rest)?)
        }
        _ => return None,
    };
    Some(format!("{side}.{inner}"))
}

fn level_part(words: &[&str]) -> Option<String> {
    match words {
        ["resnets", place, rest @ ..] => Some(format!("block.{place}.{}", resnet(rest)?)),
        ["downsamplers", "0", rest @ ..] => Some(format!("downsample.{}", rest.join("."))),
        ["upsamplers", "0", rest @ ..] => Some(format!("upsample.{}", rest.join("."))),
        _ => None,
    }
}

fn resnet(words: &[&str]) -> Option<String> {
    match words {
        ["conv_shortcut", rest @ ..] => Some(format!("nin_shortcut.{}", rest.join("."))),
        _ => Some(words.join(".")),
    }
}

fn attention(words: &[&str]) -> Option<String> {
    let (name, rest) = match words {
        ["group_norm", rest @ ..] => ("norm", rest),
        ["to_q", rest @ ..] => ("q", rest),
        ["to_k", rest @ ..] => ("k", rest),
        ["to_v", rest @ ..] => ("v", rest),
        ["to_out", "0", rest @ ..] => ("proj_out", rest),
        _ => return None,
    };
    Some(format!("{name}.{}", rest.join(".")))
}
