//! CLIP's text encoders.

use super::{Stored, Taken};

const MODEL: &str = "text_model.";

/// transformers' names, with `text_model.` or without.
pub fn names(asked: &str) -> Vec<String> {
    let bare = asked.strip_prefix(MODEL).unwrap_or(asked);
    if bare.starts_with("text_projection") {
        return vec![bare.to_owned()];
    }
    vec![format!("{MODEL}{bare}"), bare.to_owned()]
}

/// OpenCLIP's names. Queries, keys and values stand in one tensor; the projection is that of rows.
pub fn open_clip(asked: &str) -> Vec<Stored> {
    let bare = asked.strip_prefix(MODEL).unwrap_or(asked);
    let words: Vec<&str> = bare.split('.').collect();
    let whole = |name: String| vec![Stored::whole(name)];
    match &words[..] {
        ["embeddings", "token_embedding", "weight"] => whole("token_embedding.weight".to_owned()),
        ["embeddings", "position_embedding", "weight"] => whole("positional_embedding".to_owned()),
        ["final_layer_norm", kind] => whole(format!("ln_final.{kind}")),
        ["text_projection", "weight"] => vec![
            Stored {
                name: "text_projection".to_owned(),
                taken: Taken::Turned,
            },
            Stored::whole("text_projection.weight".to_owned()),
        ],
        ["encoder", "layers", layer, rest @ ..] => {
            let block = format!("transformer.resblocks.{layer}");
            match rest {
                ["self_attn", "out_proj", kind] => whole(format!("{block}.attn.out_proj.{kind}")),
                ["self_attn", projection, kind] => {
                    let place = ["q_proj", "k_proj", "v_proj"]
                        .iter()
                        .position(|name| name == projection);
                    let third = place.map(|place| Stored {
                        name: format!("{block}.attn.in_proj_{kind}"),
                        taken: Taken::Third(place),
                    });
                    third.into_iter().collect()
                }
                ["layer_norm1", kind] => whole(format!("{block}.ln_1.{kind}")),
                ["layer_norm2", kind] => whole(format!("{block}.ln_2.{kind}")),
                ["mlp", "fc1", kind] => whole(format!("{block}.mlp.c_fc.{kind}")),
                ["mlp", "fc2", kind] => whole(format!("{block}.mlp.c_proj.{kind}")),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}
