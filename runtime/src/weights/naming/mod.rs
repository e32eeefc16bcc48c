//! How the tensors that a network asks for are named in a file.
//!
//! A network asks by the names that diffusers and transformers write. Single files have the names of the
//! code that the models were trained with: CompVis' latent diffusion for the UNet and the autoencoder, and
//! OpenCLIP for the larger text encoders.

mod clip;
mod unet;
mod vae;

/// The naming of a part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// As diffusers and transformers write them.
    Diffusers,
    /// Latent diffusion's UNet, below a prefix; `layers` holds the resnets of each level on the way down.
    LatentUNet {
        /// What stands before every name.
        prefix: String,
        /// Resnets of each level.
        layers: Vec<usize>,
    },
    /// Latent diffusion's autoencoder, below a prefix.
    LatentVae {
        /// What stands before every name.
        prefix: String,
        /// How many levels it has.
        levels: usize,
    },
    /// transformers' CLIP below a prefix, with `text_model.` or without.
    Clip {
        /// What stands before every name.
        prefix: String,
    },
    /// OpenCLIP's text encoder below a prefix.
    OpenClip {
        /// What stands before every name.
        prefix: String,
    },
}

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name there.
    pub name: String,
    /// What of it is asked for.
    pub taken: Taken,
}

/// What of a stored tensor is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// All of it.
    Whole,
    /// The first, second or third third of its rows: a query, key or value among three.
    Third(usize),
    /// The matrix turned over its diagonal.
    Turned,
}

impl Stored {
    /// A whole tensor.
    pub fn whole(name: String) -> Self {
        Self {
            name,
            taken: Taken::Whole,
        }
    }
}

impl Naming {
    /// What stands before every name.
    pub fn prefix(&self) -> &str {
        match self {
            Naming::Diffusers => "",
            Naming::LatentUNet { prefix, .. }
            | Naming::LatentVae { prefix, .. }
            | Naming::Clip { prefix }
            | Naming::OpenClip { prefix } => prefix,
        }
    }

    /// Where the tensor that is asked for as `asked` may lie, most likely first.
    pub fn stored(&self, asked: &str) -> Vec<Stored> {
        let below = |prefix: &str, names: Vec<String>| {
            let whole = names
                .into_iter()
                .map(|name| Stored::whole(format!("{prefix}{name}")));
            whole.collect()
        };
        match self {
            Naming::Diffusers => vec![Stored::whole(asked.to_owned())],
            Naming::LatentUNet { prefix, layers } => below(prefix, unet::names(asked, layers)),
            Naming::LatentVae { prefix, levels } => {
                below(prefix, vae::name(asked, *levels).into_iter().collect())
            }
            Naming::Clip { prefix } => below(prefix, clip::names(asked)),
            Naming::OpenClip { prefix } => {
                let stored = clip::open_clip(asked).into_iter().map(|stored| Stored {
                    name: format!("{prefix}{}", stored.name),
                    ..stored
                });
                stored.collect()
            }
        }
    }
}

/// The names of latent diffusion's UNet for a tensor of ours, as LoRA files use them too.
pub fn latent_unet_names(asked: &str, layers: &[usize]) -> Vec<String> {
    unet::names(asked, layers)
}
