//! The tensors of Stable Diffusion's networks: names and shapes, by their configs.

use serde_json::Value;

/// A tensor to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its name in diffusers layout.
    pub name: String,
    /// Its sides.
    pub sides: Vec<usize>,
}

impl Shape {
    /// How many numbers it holds.
    pub fn count(&self) -> usize {
        self.sides.iter().product()
    }
}

#[derive(Default)]
struct Shapes(Vec<Shape>);

impl Shapes {
    fn add(&mut self, name: &str, sides: &[usize]) {
        self.0.push(Shape {
            name: name.to_owned(),
            sides: sides.to_vec(),
        });
    }

    fn weight_and_bias(&mut self, name: &str, sides: &[usize]) {
        self.add(&format!("{name}.weight"), sides);
        self.add(&format!("{name}.bias"), &sides[..1]);
    }

    fn linear(&mut self, name: &str, input: usize, output: usize) {
        self.weight_and_bias(name, &[output, input]);
    }

    fn conv(&mut self, name: &str, input: usize, output: usize, kernel: usize) {
        self.weight_and_bias(name, &[output, input, kernel, kernel]);
    }

    fn norm(&mut self, name: &str, channels: usize) {
        self.weight_and_bias(name, &[channels]);
    }

    fn resnet(&mut self, name: &str, input: usize, output: usize, time: Option<usize>) {
        self.norm(&format!("{name}.norm1"), input);
        self.conv(&format!("{name}.conv1"), input, output, 3);
        if let Some(time) = time {
            self.linear(&format!("{name}.time_emb_proj"), time, output);
        }
        self.norm(&format!("{name}.norm2"), output);
        self.conv(&format!("{name}.conv2"), output, output, 3);
        if input != output {
            self.conv(&format!("{name}.conv_shortcut"), input, output, 1);
        }
    }

    fn transformer(&mut self, name: &str, channels: usize, depth: usize, unet: &UNet) {
        self.norm(&format!("{name}.norm"), channels);
        for projection in ["proj_in", "proj_out"] {
            if unet.linear {
                self.linear(&format!("{name}.{projection}"), channels, channels);
            } else {
                self.conv(&format!("{name}.{projection}"), channels, channels, 1);
            }
        }
        for i in 0..depth {
            let block = format!("{name}.transformer_blocks.{i}");
            for norm in ["norm1", "norm2", "norm3"] {
                self.norm(&format!("{block}.{norm}"), channels);
            }
            for (attention, from) in [("attn1", channels), ("attn2", unet.text)] {
                let attention = format!("{block}.{attention}");
                self.add(&format!("{attention}.to_q.weight"), &[channels, channels]);
                self.add(&format!("{attention}.to_k.weight"), &[channels, from]);
                self.add(&format!("{attention}.to_v.weight"), &[channels, from]);
                self.linear(&format!("{attention}.to_out.0"), channels, channels);
            }
            self.linear(&format!("{block}.ff.net.0.proj"), channels, 8 * channels);
            self.linear(&format!("{block}.ff.net.2"), 4 * channels, channels);
        }
    }
}

struct UNet {
    channels: Vec<usize>,
    layers: usize,
    depth: Vec<usize>,
    down_attends: Vec<bool>,
    up_attends: Vec<bool>,
    text: usize,
    linear: bool,
}

fn number(config: &Value, field: &str) -> usize {
    config[field].as_u64().unwrap_or(0) as usize
}

fn numbers(config: &Value, field: &str) -> Vec<usize> {
    let list = config[field].as_array().into_iter().flatten();
    list.filter_map(|n| Some(n.as_u64()? as usize)).collect()
}

/// A UNet's tensors.
pub fn unet(config: &Value) -> Vec<Shape> {
    let channels = numbers(config, "block_out_channels");
    let attends = |field: &str| {
        let types = config[field].as_array().into_iter().flatten();
        types
            .map(|t| t.as_str().is_some_and(|t| t.starts_with("CrossAttn")))
            .collect()
    };
    let depth = numbers(config, "transformer_layers_per_block");
    let unet = UNet {
        layers: number(config, "layers_per_block"),
        depth: if depth.is_empty() {
            vec![1; channels.len()]
        } else {
            depth
        },
        down_attends: attends("down_block_types"),
        up_attends: attends("up_block_types"),
        text: number(config, "cross_attention_dim"),
        linear: config["use_linear_projection"] == true,
        channels,
    };
    let (first, last) = (unet.channels[0], unet.channels.len() - 1);
    let time = 4 * first;
    let mut all = Shapes::default();
    all.conv("conv_in", number(config, "in_channels"), first, 3);
    all.linear("time_embedding.linear_1", first, time);
    all.linear("time_embedding.linear_2", time, time);
    let added = number(config, "projection_class_embeddings_input_dim");
    if added > 0 {
        all.linear("add_embedding.linear_1", added, time);
        all.linear("add_embedding.linear_2", time, time);
    }
    down(&mut all, &unet, time);
    let middle = unet.channels[last];
    all.resnet("mid_block.resnets.0", middle, middle, Some(time));
    all.transformer("mid_block.attentions.0", middle, unet.depth[last], &unet);
    all.resnet("mid_block.resnets.1", middle, middle, Some(time));
    up(&mut all, &unet, time);
    all.norm("conv_norm_out", first);
    all.conv("conv_out", first, number(config, "out_channels"), 3);
    all.0
}

fn down(all: &mut Shapes, unet: &UNet, time: usize) {
    let mut before = unet.channels[0];
    for (level, &channels) in unet.channels.iter().enumerate() {
        let block = format!("down_blocks.{level}");
        for i in 0..unet.layers {
            all.resnet(
                &format!("{block}.resnets.{i}"),
                before,
                channels,
                Some(time),
            );
            before = channels;
            if unet.down_attends[level] {
                let name = format!("{block}.attentions.{i}");
                all.transformer(&name, channels, unet.depth[level], unet);
            }
        }
        if level + 1 != unet.channels.len() {
            all.conv(
                &format!("{block}.downsamplers.0.conv"),
                channels,
                channels,
                3,
            );
        }
    }
}

fn up(all: &mut Shapes, unet: &UNet, time: usize) {
    // What the way down keeps: its first map, each layer's, and each change of resolution.
    let mut kept = vec![unet.channels[0]];
    for (level, &channels) in unet.channels.iter().enumerate() {
        kept.extend(vec![channels; unet.layers]);
        if level + 1 != unet.channels.len() {
            kept.push(channels);
        }
    }
    let mut before = unet.channels[unet.channels.len() - 1];
    for (i, (level, &channels)) in unet.channels.iter().enumerate().rev().enumerate() {
        let block = format!("up_blocks.{i}");
        for j in 0..=unet.layers {
            let input = before + kept.pop().unwrap_or(0);
            all.resnet(&format!("{block}.resnets.{j}"), input, channels, Some(time));
            before = channels;
            if unet.up_attends[i] {
                let name = format!("{block}.attentions.{j}");
                all.transformer(&name, channels, unet.depth[level], unet);
            }
        }
        if level != 0 {
            all.conv(&format!("{block}.upsamplers.0.conv"), channels, channels, 3);
        }
    }
}

/// An autoencoder's tensors.
pub fn vae(config: &Value) -> Vec<Shape> {
    let channels = numbers(config, "block_out_channels");
    let layers = number(config, "layers_per_block");
    let latent = number(config, "latent_channels");
    let (first, last) = (channels[0], channels[channels.len() - 1]);
    let mut all = Shapes::default();
    all.conv("encoder.conv_in", number(config, "in_channels"), first, 3);
    let mut before = first;
    for (level, &output) in channels.iter().enumerate() {
        let block = format!("encoder.down_blocks.{level}");
        for i in 0..layers {
            all.resnet(&format!("{block}.resnets.{i}"), before, output, None);
            before = output;
        }
        if level + 1 != channels.len() {
            all.conv(&format!("{block}.downsamplers.0.conv"), output, output, 3);
        }
    }
    vae_middle(&mut all, "encoder", last);
    all.norm("encoder.conv_norm_out", last);
    all.conv("encoder.conv_out", last, 2 * latent, 3);
    all.conv("quant_conv", 2 * latent, 2 * latent, 1);
    all.conv("post_quant_conv", latent, latent, 1);
    all.conv("decoder.conv_in", latent, last, 3);
    vae_middle(&mut all, "decoder", last);
    for (i, &output) in channels.iter().rev().enumerate() {
        let block = format!("decoder.up_blocks.{i}");
        for j in 0..=layers {
            all.resnet(&format!("{block}.resnets.{j}"), before, output, None);
            before = output;
        }
        if i + 1 != channels.len() {
            all.conv(&format!("{block}.upsamplers.0.conv"), output, output, 3);
        }
    }
    all.norm("decoder.conv_norm_out", first);
    all.conv("decoder.conv_out", first, number(config, "out_channels"), 3);
    all.0
}

fn vae_middle(all: &mut Shapes, side: &str, channels: usize) {
    all.resnet(
        &format!("{side}.mid_block.resnets.0"),
        channels,
        channels,
        None,
    );
    let attention = format!("{side}.mid_block.attentions.0");
    all.norm(&format!("{attention}.group_norm"), channels);
    for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
        all.linear(&format!("{attention}.{projection}"), channels, channels);
    }
    all.resnet(
        &format!("{side}.mid_block.resnets.1"),
        channels,
        channels,
        None,
    );
}

/// A text encoder's tensors.
pub fn text_encoder(config: &Value) -> Vec<Shape> {
    let width = number(config, "hidden_size");
    let inner = number(config, "intermediate_size");
    let mut all = Shapes::default();
    let embedding = |name: &str| format!("text_model.embeddings.{name}_embedding.weight");
    let (words, places) = (
        number(config, "vocab_size"),
        number(config, "max_position_embeddings"),
    );
    all.add(&embedding("token"), &[words, width]);
    all.add(&embedding("position"), &[places, width]);
    for i in 0..number(config, "num_hidden_layers") {
        let layer = format!("text_model.encoder.layers.{i}");
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            all.linear(&format!("{layer}.self_attn.{projection}"), width, width);
        }
        all.norm(&format!("{layer}.layer_norm1"), width);
        all.norm(&format!("{layer}.layer_norm2"), width);
        all.linear(&format!("{layer}.mlp.fc1"), width, inner);
        all.linear(&format!("{layer}.mlp.fc2"), inner, width);
    }
    all.norm("text_model.final_layer_norm", width);
    if config["architectures"][0] == "CLIPTextModelWithProjection" {
        let projection = number(config, "projection_dim");
        all.add("text_projection.weight", &[projection, width]);
    }
    all.0
}
