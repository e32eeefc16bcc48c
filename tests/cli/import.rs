//! `guidec import`

use serde_json::{Map, Value, json};

use crate::sandbox::{Ended, Sandbox, project};

fn imported(config: &Value) -> (Sandbox, Ended) {
    let sandbox = Sandbox::new().with("in.json", config.to_string());
    let ended = sandbox
        .run(&["import", "in.json", "--out", "in.guide"])
        .with(0);
    assert_eq!(ended.stdout, "");
    (sandbox, ended)
}

/// The guide without its comments, after making sure that it is clean, formatted and can be planned.
#[track_caller]
fn clean(sandbox: &Sandbox, bind: &[&str]) -> String {
    sandbox
        .run(&["check", "in.guide"])
        .with(0)
        .says(&["nothing to complain of"]);
    sandbox.run(&["fmt", "--check", "in.guide"]).with(0);
    let text = sandbox.read("in.guide");
    let mut args = [&["plan", "in.guide", "--model", "sd15"], bind].concat();
    // The blocks that transformers number have names in this network.
    for (name, set) in [
        (" layers", "layers=mid"),
        (" skip_layers", "skip_layers=mid"),
    ] {
        if text.contains(&format!("{name}: Layers = [")) {
            args.extend(["--set", set]);
        }
    }
    sandbox.run(&args).with(0);
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<&str>>().join("\n").trim().to_owned()
}

/// A guider's configuration.
pub fn guider(class: &str, fields: Value) -> Value {
    let mut config = json!({
        "_class_name": class, "_diffusers_version": "0.36.0", "_use_default_values": [], "enabled": true,
        "guidance_scale": 6.5, "guidance_rescale": 0.25, "start": 0.1, "stop": 0.9,
        "use_original_formulation": true,
    });
    if let (Value::Object(config), Value::Object(fields)) = (&mut config, fields) {
        config.extend(fields);
    }
    config
}

fn guiders() -> Vec<Value> {
    let hook = |indices: Value| {
        json!({"indices": indices, "fqn": "auto", "skip_attention": true,
        "skip_attention_scores": false, "skip_ff": true, "dropout": 1.0})
    };
    vec![
        guider(
            "ClassifierFreeGuidance",
            json!({"distilled_guidance_scale": 3.5}),
        ),
        guider(
            "AdaptiveProjectedGuidance",
            json!({"adaptive_projected_guidance_momentum": null,
            "adaptive_projected_guidance_rescale": 12.5, "eta": 0.3}),
        ),
        guider(
            "AdaptiveProjectedMixGuidance",
            json!({"adaptive_projected_guidance_scale": 9,
            "adaptive_projected_guidance_momentum": -0.75, "adaptive_projected_guidance_rescale": 8.5,
            "adaptive_projected_guidance_start_step": 3, "eta": 0.1}),
        ),
        guider(
            "SkipLayerGuidance",
            json!({"skip_layer_guidance_scale": 2.1,
            "skip_layer_guidance_start": 0.05, "skip_layer_guidance_stop": 0.3,
            "skip_layer_guidance_layers": null, "skip_layer_config": [hook(json!(3)), hook(json!([2, 3]))]}),
        ),
        guider(
            "PerturbedAttentionGuidance",
            json!({"perturbed_guidance_scale": 2.2,
            "perturbed_guidance_start": 0.06, "perturbed_guidance_stop": 0.4,
            "perturbed_guidance_layers": 4, "skip_layer_guidance_scale": 2.2}),
        ),
        guider(
            "SmoothedEnergyGuidance",
            json!({"seg_guidance_scale": 2.3, "seg_guidance_start": 0.07,
            "seg_guidance_stop": 0.5, "seg_guidance_layers": [1, 0], "seg_blur_sigma": 9999999.0,
            "seg_blur_threshold_inf": 9999.0, "seg_guidance_config": null}),
        ),
        guider(
            "ClassifierFreeZeroStarGuidance",
            json!({"zero_init_steps": 2}),
        ),
        guider("TangentialClassifierFreeGuidance", json!({})),
        guider("MagnitudeAwareGuidance", json!({"alpha": 6.5})),
        guider(
            "FrequencyDecoupledGuidance",
            json!({"guidance_scales": [9.5, 8.0, 4.5], "start": [0.1, 0.1, 0.1],
            "stop": [0.9, 0.8, 0.7], "guidance_rescale": 0.0, "parallel_weights": [1.0, 0.5, 1.0],
            "guidance_rescale_space": "freq"}),
        ),
        guider(
            "NormalizedAttentionCFGGuidance",
            json!({"nag_scale": 7.0, "nag_tau": 2.0, "nag_alpha": 0.5, "nag_sigma_end": null}),
        ),
        guider(
            "AutoGuidance",
            json!({"auto_guidance_layers": [5], "auto_guidance_config": null, "dropout": 0.5}),
        ),
    ]
}

#[test]
fn every_guider_of_diffusers() {
    let mut all = String::new();
    for mut config in guiders() {
        let class = config["_class_name"].as_str().expect("a class").to_owned();
        if class == "FrequencyDecoupledGuidance" {
            config
                .as_object_mut()
                .expect("an object")
                .remove("guidance_scale");
        }
        let (sandbox, ended) = imported(&config);
        all.push_str(&format!(
            "--- {class}\n{}\n{}\n",
            clean(&sandbox, &[]),
            ended.stderr
        ));
        // Its numbers are parameters.
        let name = if class == "FrequencyDecoupledGuidance" {
            "scale_low=2"
        } else {
            "scale=2"
        };
        clean(&sandbox, &["--set", name]);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_guider_that_is_not_enabled_leaves_the_prompt_alone() {
    let mut config = guider("ClassifierFreeGuidance", json!({}));
    config["enabled"] = false.into();
    let (sandbox, _) = imported(&config);
    assert!(clean(&sandbox, &[]).contains("predict(cond)"));
    assert!(sandbox.read("in.guide").contains("It was not"));
}

#[test]
fn the_examples() {
    let sandbox = Sandbox::new();
    let of = |name: &str| {
        let file = project(&format!("examples/import/{name}"));
        std::fs::copy(file, sandbox.path(name)).expect("an example");
        let ended = sandbox.run(&["import", name]).with(0);
        format!("{}\n--- stderr\n{}", ended.stdout, ended.stderr)
    };
    insta::assert_snapshot!(format!(
        "{}\n{}",
        of("guider_config.json"),
        of("workflow_api.json")
    ));
}

/// A workflow: a sampler with the patches in order, the first next to the loader.
pub fn workflow(sampler: &[(&str, Value)], patches: &[(&str, Value)]) -> Value {
    let mut nodes = Map::new();
    let mut node = |id: &str, class: &str, inputs: Value| {
        nodes.insert(
            id.to_owned(),
            json!({"class_type": class, "inputs": inputs}),
        );
    };
    node("4", "CheckpointLoaderSimple", json!({"ckpt_name": "m"}));
    node(
        "6",
        "CLIPTextEncode",
        json!({"text": "owl", "clip": ["4", 1]}),
    );
    node(
        "7",
        "CLIPTextEncode",
        json!({"text": "fog\n'at night'", "clip": ["4", 1]}),
    );
    node(
        "8",
        "CLIPTextEncode",
        json!({"text": "snow", "clip": ["4", 1]}),
    );
    node(
        "300",
        "ConditioningZeroOut",
        json!({"conditioning": ["7", 0]}),
    );
    let mut model = "4".to_owned();
    for (at, (class, inputs)) in patches.iter().enumerate() {
        let id = format!("{}", 100 + at);
        let mut inputs = inputs.clone();
        inputs["model"] = json!([model, 0]);
        node(&id, class, inputs);
        model = id;
    }
    for (at, (class, inputs)) in sampler.iter().enumerate() {
        let text = inputs.to_string().replace("MODEL", &model);
        node(
            &format!("{}", 200 + at),
            class,
            serde_json::from_str(&text).expect("JSON"),
        );
    }
    nodes.into()
}

/// The plain sampler.
pub fn ksampler(cfg: f64, name: &str) -> Vec<(&'static str, Value)> {
    vec![(
        "KSampler",
        json!({"model": ["MODEL", 0], "positive": ["6", 0], "negative": ["7", 0], "cfg": cfg,
        "sampler_name": name, "scheduler": "karras", "steps": 12, "seed": 5, "denoise": 1.0}),
    )]
}

/// The sampler with a guider of its own.
pub fn guided(class: &'static str, inputs: Value) -> Vec<(&'static str, Value)> {
    vec![
        (class, inputs),
        (
            "SamplerCustomAdvanced",
            json!({"guider": ["200", 0], "sampler": ["202", 0], "sigmas": ["203", 0], "noise": ["204", 0]}),
        ),
        ("KSamplerSelect", json!({"sampler_name": "euler"})),
        (
            "BasicScheduler",
            json!({"scheduler": "normal", "steps": 9, "denoise": 1.0, "model": ["MODEL", 0]}),
        ),
        ("RandomNoise", json!({"noise_seed": 11})),
    ]
}

/// The sampler of ComfyUI-NAG; its own negative prompt is not that of plain guidance.
fn nag_sampler(cfg: f64, sigma_end: f64) -> Vec<(&'static str, Value)> {
    let mut inputs = ksampler(cfg, "euler").remove(0).1;
    let more = json!({"nag_negative": ["8", 0], "nag_scale": 6.0, "nag_tau": 2.5, "nag_alpha": 0.25,
        "nag_sigma_end": sigma_end});
    if let (Value::Object(inputs), Value::Object(more)) = (&mut inputs, more) {
        inputs.extend(more);
    }
    vec![("KSamplerWithNAG", inputs)]
}

fn workflows() -> Vec<Value> {
    let slg = json!({"double_layers": "1, 2", "single_layers": "", "scale": 2.5, "start_percent": 0.1, "end_percent": 0.4, "rescaling_scale": 0.5});
    let thresholding = json!({"mimic_scale": 7.0, "threshold_percentile": 0.98, "mimic_mode": "Constant", "mimic_scale_min": 0.0,
        "cfg_mode": "Linear Down", "cfg_scale_min": 0.0, "sched_val": 1.0, "separate_feature_channels": "disable",
        "scaling_startpoint": "ZERO", "variability_measure": "STD", "interpolate_phi": 0.9});
    let apg = json!({"eta": 0.2, "norm_threshold": 9.0, "momentum": 0.4});
    let pag = json!({"scale": 2.0});
    let none = json!({});
    let plain = |patches: &[(&str, Value)]| workflow(&ksampler(5.5, "dpmpp_2m"), patches);
    let dual = json!({"model": ["MODEL", 0], "cond1": ["6", 0], "cond2": ["8", 0], "negative": ["7", 0], "cfg_conds": 4.5, "cfg_cond2_negative": 3.5, "style": "nested"});
    let perp = json!({"model": ["MODEL", 0], "positive": ["6", 0], "negative": ["7", 0], "empty_conditioning": ["8", 0], "cfg": 6.5, "neg_scale": 1.5});
    let linked = json!({"model": ["MODEL", 0], "positive": ["6", 0], "negative": ["7", 0], "cfg": ["205", 0]});
    let mut held = guided("CFGGuider", linked.clone());
    held.push(("PrimitiveFloat", json!({"value": 3.25})));
    let mut computed = guided("CFGGuider", linked);
    computed.push(("SimpleMath", json!({"a": 1.0, "b": 2.0})));
    vec![
        plain(&[]),
        plain(&[("PerturbedAttentionGuidance", pag.clone())]),
        plain(&[(
            "SelfAttentionGuidance",
            json!({"scale": 0.6, "blur_sigma": 1.5}),
        )]),
        plain(&[
            ("APG", apg.clone()),
            (
                "SelfAttentionGuidance",
                json!({"scale": 0.6, "blur_sigma": 1.5}),
            ),
        ]),
        plain(&[("SkipLayerGuidanceDiT", slg.clone())]),
        plain(&[
            ("ModelSamplingSD3", json!({"shift": 3.0})),
            ("SkipLayerGuidanceDiT", slg.clone()),
            ("TCFG", none.clone()),
        ]),
        plain(&[
            ("APG", apg.clone()),
            ("PerturbedAttentionGuidance", pag.clone()),
        ]),
        plain(&[
            ("PerturbedAttentionGuidance", pag.clone()),
            ("Mahiro", none.clone()),
            ("LoraLoader", none.clone()),
        ]),
        plain(&[("DynamicThresholdingFull", thresholding)]),
        plain(&[(
            "DynamicThresholdingSimple",
            json!({"mimic_scale": 6.0, "threshold_percentile": 0.9}),
        )]),
        plain(&[
            ("CFGZeroStar", none.clone()),
            ("CFGNorm", json!({"strength": 0.9})),
        ]),
        plain(&[(
            "SkipLayerGuidanceDiTSimple",
            json!({"double_layers": "1", "single_layers": "2", "start_percent": 0.0, "end_percent": 0.5}),
        )]),
        plain(&[
            (
                "PerpNeg",
                json!({"neg_scale": 0.8, "empty_conditioning": ["8", 0]}),
            ),
            ("SelfAttentionGuidence", none.clone()),
        ]),
        workflow(&ksampler(1.2, "euler_cfg_pp"), &[]),
        workflow(
            &ksampler(1.2, "euler_ancestral_cfg_pp"),
            &[("RescaleCFG", json!({"multiplier": 0.5}))],
        ),
        workflow(
            &ksampler(5.0, "uni_pc"),
            &[(
                "FreeU_V2",
                json!({"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
            )],
        ),
        workflow(
            &ksampler(5.0, "euler"),
            &[
                (
                    "FreeU",
                    json!({"b1": 1.1, "b2": 1.2, "s1": 0.9, "s2": 0.25}),
                ),
                ("RescaleCFG", json!({"multiplier": 0.5})),
            ],
        ),
        workflow(&guided("DualCFGGuider", dual), &[("APG", apg)]),
        workflow(&guided("PerpNegGuider", perp), &[]),
        workflow(
            &guided(
                "BasicGuider",
                json!({"model": ["MODEL", 0], "conditioning": ["6", 0]}),
            ),
            &[],
        ),
        workflow(&nag_sampler(4.5, 0.0), &[("TCFG", json!({}))]),
        workflow(
            &nag_sampler(1.0, 0.75),
            &[("ModelSamplingFlux", json!({"max_shift": 1.15}))],
        ),
        workflow(
            &guided(
                "NAGGuider",
                json!({"model": ["MODEL", 0], "conditioning": ["6", 0], "nag_negative": ["300", 0],
                "nag_scale": 9.0, "nag_tau": 3.0, "nag_alpha": 0.3, "nag_sigma_end": 0.0}),
            ),
            &[],
        ),
        workflow(&held, &[]),
        workflow(&computed, &[]),
    ]
}

#[test]
fn the_guidance_of_workflows() {
    let mut all = String::new();
    for config in workflows() {
        let (sandbox, ended) = imported(&config);
        let code = clean(&sandbox, &["--bind", "middle=snow"]);
        let text = sandbox.read("in.guide");
        let run = text
            .lines()
            .find(|line| line.contains("guidec run"))
            .unwrap_or("no command");
        all.push_str(&format!("--- {run}\n{code}\n{}\n", ended.stderr));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn several_samplers_ask_which() {
    let mut config = workflow(&ksampler(5.5, "euler"), &[]);
    config["300"] = config["200"].clone();
    config["300"]["inputs"]["cfg"] = 2.5.into();
    let sandbox = Sandbox::new().with("in.json", config.to_string());
    sandbox.refused(&["import", "in.json"], 1, "G0712").says(&[
        "2 samplers",
        "--node 200",
        "--node 300",
    ]);
    let ended = sandbox.run(&["import", "in.json", "--node", "300"]).with(0);
    assert!(
        ended.stdout.contains("scale: Scalar = 2.5"),
        "{}",
        ended.stdout
    );
    sandbox
        .refused(&["import", "in.json", "--node", "6"], 1, "G0712")
        .says(&["no sampler"]);
    sandbox
        .refused(&["import", "in.json", "--node", "9"], 1, "G0712")
        .says(&["no node `9`"]);
}

#[test]
fn as_it_is_posted_and_from_the_standard_input() {
    let config = json!({"prompt": workflow(&ksampler(5.5, "euler"), &[]), "client_id": "x"});
    let ended = Sandbox::new()
        .run_with_input(&["import", "-"], &config.to_string())
        .with(0);
    assert!(
        ended.stdout.contains("scale: Scalar = 5.5"),
        "{}",
        ended.stdout
    );
}

#[test]
fn foreign_texts_stay_in_comments() {
    let nasty = "a\nguide b() { predict(cond) }\r\u{2028}//! c";
    let mut config = workflow(&ksampler(5.5, "euler"), &[(nasty, json!({}))]);
    config["6"]["inputs"]["text"] = nasty.into();
    let (sandbox, _) = imported(&config);
    assert!(clean(&sandbox, &[]).starts_with("use std::rules::cfg\n\nguide workflow("));
}

/// The words of a workflow's command are those that its picture is made with.
#[test]
#[cfg(feature = "run")]
fn the_example_makes_a_picture() {
    let sandbox = Sandbox::new();
    let file = project("examples/import/workflow_api.json");
    sandbox
        .run(&["import", &file, "--out", "w.guide"])
        .with(0)
        .says(&["FreeU_V2"]);
    let text = sandbox.read("w.guide");
    let words = "guidec run w.guide --prompt 'red apple' --steps 20 --seed 7 --sampler euler";
    assert!(text.contains(words), "{text}");
    let args = [
        "run",
        "w.guide",
        "--prompt",
        "red apple",
        "--steps",
        "2",
        "--seed",
        "7",
        "--sampler",
        "euler",
    ];
    sandbox
        .run(&args)
        .with(0)
        .says(&["workflow-red-apple-seed7.png"]);
}
