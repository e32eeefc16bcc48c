//! A network that answers: a UNet, the space of its answers and, where it has one, its own text side.

use candle_core::{DType, Device};
use guide_compiler::plan::Space;

use super::fields::Fields;
use super::sd::{self, UNet, UNetConfig};
use super::text::TextSide;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::weights::{Source, Weights};

/// The network of the main model or of a second one.
#[derive(Debug)]
pub struct Network {
    /// The network.
    pub unet: UNet,
    /// What it answers in.
    pub space: Space,
    /// Its text side; a second model without one uses the main model's.
    pub text: Option<TextSide>,
}

impl Network {
    /// Loads the main model's network.
    ///
    /// # Errors
    /// What loading a part refuses.
    pub fn main(source: &Source, dtype: DType, device: &Device) -> Result<Self> {
        check_class(source)?;
        let unet = unet(source, dtype, device)?;
        let text = TextSide::load(source, unet.config().added.is_some(), dtype, device)?;
        fits(&unet, &text, source)?;
        Ok(Self {
            unet,
            space: sd::space(source)?,
            text: Some(text),
        })
    }

    /// Loads a second model beside `main`: a whole pipeline, or a folder with `unet/` only, which shares
    /// the main model's text side and space.
    ///
    /// # Errors
    /// What loading a part refuses; `BadBinding` for latents of another shape.
    pub fn second(source: &Source, main: &Network, dtype: DType, device: &Device) -> Result<Self> {
        check_class(source)?;
        let unet = unet(source, dtype, device)?;
        let channels = (unet.config().in_channels, main.unet.config().in_channels);
        if channels.0 != channels.1 {
            return Err(RuntimeError::new(
                ErrorKind::BadBinding,
                format!(
                    "`{}` works on latents with {} channels, the main model with {}",
                    source.show(""),
                    channels.0,
                    channels.1
                ),
            ));
        }
        let own_text = source.has("text_encoder/config.json");
        let text = own_text
            .then(|| TextSide::load(source, unet.config().added.is_some(), dtype, device))
            .transpose()?;
        if let Some(text) = text.as_ref().or(main.text.as_ref()) {
            fits(&unet, text, source)?;
        }
        let own_space = source.has("scheduler/scheduler_config.json");
        let space = if own_space {
            sd::space(source)?
        } else {
            main.space
        };
        Ok(Self { unet, space, text })
    }
}

fn unet(source: &Source, dtype: DType, device: &Device) -> Result<UNet> {
    if !source.has("unet/config.json") {
        return Err(RuntimeError::new(
            ErrorKind::ModelIncomplete,
            format!("`{}` has no `unet/config.json`", source.show("")),
        )
        .help("give a folder in diffusers layout, with `unet/`"));
    }
    let config = UNetConfig::read(source, "unet")?;
    UNet::load(
        &Weights::open(source, "unet", "diffusion_pytorch_model", dtype, device)?,
        config,
    )
}

/// Refuses a pipeline of another family by its name.
fn check_class(source: &Source) -> Result<()> {
    if !source.has("model_index.json") {
        return Ok(());
    }
    let fields = Fields::read(source, "model_index.json")?;
    match fields
        .word("_class_name", "StableDiffusionPipeline")?
        .as_str()
    {
        "StableDiffusionPipeline" | "StableDiffusionXLPipeline" => Ok(()),
        other => Err(RuntimeError::new(
            ErrorKind::NotYet,
            format!(
                "`{}` is a `{other}`, which this version cannot run",
                source.show("")
            ),
        )
        .help("use a model of Stable Diffusion 1.x, 2.x or XL (its base)")),
    }
}

/// Whether the text states and the pooled text have the widths that the UNet takes.
fn fits(unet: &UNet, text: &TextSide, source: &Source) -> Result<()> {
    let config = unet.config();
    let refuse = |field: &str, wanted: usize, given: String| {
        Err(RuntimeError::new(
            ErrorKind::BadConfig,
            format!(
                "`{field}` in `{}` makes room for a width of {wanted}, and {given}",
                source.show("unet/config.json"),
            ),
        ))
    };
    let width = text.width();
    if let Some(wanted) = config.cross_attention_dim.iter().find(|n| **n != width) {
        let given = format!("the text encoder gives states of width {width}");
        return refuse("cross_attention_dim", *wanted, given);
    }
    let wanted = config.added.map(|added| added.pooled_width);
    match (wanted, text.pooled_width()) {
        (Some(wanted), given) if given != Some(wanted) => {
            let given = match given {
                Some(given) => format!("the text encoder pools to a width of {given}"),
                None => "the text encoder pools nothing".to_owned(),
            };
            refuse("projection_class_embeddings_input_dim", wanted, given)
        }
        _ => Ok(()),
    }
}
