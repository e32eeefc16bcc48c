//! What `guidec import` refuses: one diagnostic, and nothing written.

use serde_json::{Value, json};

use crate::import::{guided, guider, ksampler, workflow};
use crate::sandbox::Sandbox;

/// One diagnostic, and nothing written.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, says: &[&str]) {
    let sandbox = Sandbox::new().with("in.json", text);
    sandbox
        .refused(&["import", "in.json", "--out", "out.guide"], 1, "G0712")
        .says(says);
}

#[test]
fn what_is_no_json() {
    refused("", &["no JSON"]);
    refused(
        "guide g() { predict(cond) }",
        &["no JSON", "line 1 column 1"],
    );
    refused(
        "{\"_class_name\": \"ClassifierFreeGuidance\", \"guidance_scale\": NaN}",
        &["no JSON"],
    );
    refused(b"{\"a\": \"\xff\"}", &["byte 7"]);
    refused("[".repeat(100_000), &["no JSON", "recursion"]);
    refused("{\"a\":".repeat(100_000), &["no JSON", "recursion"]);
    refused(" ".repeat(17 << 20), &["16777216 bytes"]);
}

#[test]
fn what_is_neither_kind() {
    for text in [
        "null",
        "[]",
        "{}",
        "7",
        "{\"steps\": 3}",
        "{\"prompt\": {\"3\": {}}}",
    ] {
        refused(text, &["neither"]);
    }
    let editor = json!({"nodes": [{"id": 1, "type": "KSampler"}], "links": [], "version": 0.4});
    refused(editor.to_string(), &["Export (API)"]);
}

#[test]
fn guiders_that_are_wrong() {
    let with = |class: &str, fields: Value| guider(class, fields).to_string();
    refused(
        with("ClassifierFreeGuidence", json!({})),
        &["`ClassifierFreeGuidance`"],
    );
    refused(
        with("DDIMScheduler", json!({})),
        &["DDIMScheduler", "known are"],
    );
    refused(
        json!({"_class_name": 7}).to_string(),
        &["`_class_name` must be a text"],
    );
    refused(
        with("SkipLayerGuidance", json!({})),
        &["`skip_layer_guidance_layers`", "`skip_layer_config`"],
    );
    refused(
        with(
            "SkipLayerGuidance",
            json!({"skip_layer_config": {"fqn": "x"}}),
        ),
        &["has no `indices`"],
    );
    refused(
        with(
            "SkipLayerGuidance",
            json!({"skip_layer_guidance_layers": ["7"]}),
        ),
        &["numbers of layers"],
    );
    refused(
        with("AutoGuidance", json!({"auto_guidance_layers": []})),
        &["numbers of layers"],
    );
    refused(
        with("ClassifierFreeGuidance", json!({"guidance_scale": "7"})),
        &["`guidance_scale` must be a number"],
    );
    refused(
        with(
            "ClassifierFreeGuidance",
            json!({"use_original_formulation": 1}),
        ),
        &["true or false"],
    );
    refused(
        with(
            "FrequencyDecoupledGuidance",
            json!({"guidance_scales": [5.0]}),
        ),
        &["two numbers or more"],
    );
    let long = "x".repeat(100_000);
    refused(with(&long, json!({})), &["…"]);
}

#[test]
fn workflows_that_are_wrong() {
    let good = || {
        workflow(
            &ksampler(5.5, "euler"),
            &[("RescaleCFG", json!({"multiplier": 0.5}))],
        )
    };
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut config = good();
        change(&mut config);
        config.to_string()
    };
    refused(
        changed(&|w| w["200"]["class_type"] = "KSamplerFast".into()),
        &["has no sampler"],
    );
    refused(
        changed(&|w| w["200"]["inputs"]["model"] = json!(["999", 0])),
        &["`999`", "is linked to"],
    );
    refused(
        changed(&|w| w["200"]["inputs"]["model"] = "x".into()),
        &["has no `model`"],
    );
    refused(
        changed(&|w| w["200"]["inputs"]["cfg"] = "high".into()),
        &["`cfg` of node `200` must be a number"],
    );
    refused(
        changed(&|w| w["100"]["inputs"]["multiplier"] = json!(["999", 0])),
        &["`999`", "is linked to"],
    );
    refused(
        changed(&|w| {
            w["100"]["inputs"]
                .as_object_mut()
                .expect("inputs")
                .remove("multiplier");
        }),
        &["has no `multiplier`"],
    );
    refused(
        changed(&|w| {
            w["200"]["inputs"]
                .as_object_mut()
                .expect("inputs")
                .remove("cfg");
        }),
        &["has no `cfg`"],
    );
    refused(
        changed(&|w| {
            w["6"].as_object_mut().expect("a node").remove("inputs");
        }),
        &["has no `inputs`"],
    );
    refused(
        changed(&|w| {
            w["6"].as_object_mut().expect("a node").remove("class_type");
        }),
        &["has no `class_type`"],
    );
    refused(changed(&|w| w["6"]["inputs"] = json!([1])), &["no object"]);
    let other = guided("CFGGuiderX", json!({"model": ["MODEL", 0]}));
    refused(workflow(&other, &[]).to_string(), &["`CFGGuider`"]);
}

#[test]
fn nodes_that_feed_each_other() {
    let pag = || ("PerturbedAttentionGuidance", json!({"scale": 2.0}));
    let mut config = workflow(&ksampler(5.5, "euler"), &[pag(), pag(), pag()]);
    config["100"]["inputs"]["model"] = json!(["101", 0]);
    refused(config.to_string(), &["`100`", "`101`", "feed each other"]);
    config["100"]["inputs"]["model"] = json!(["100", 0]);
    refused(config.to_string(), &["`100` feeds itself"]);
    let mut config = workflow(&ksampler(5.5, "euler"), &[]);
    config["300"] = json!({"class_type": "Reroute", "inputs": {"": ["301", 0]}});
    config["301"] = json!({"class_type": "Reroute", "inputs": {"": ["300", 0]}});
    config["200"]["inputs"]["cfg"] = json!(["300", 0]);
    refused(config.to_string(), &["`300`", "`301`", "feed each other"]);
}

#[test]
fn a_file_that_is_not_there_and_a_place_that_is_none() {
    let sandbox = Sandbox::new();
    sandbox
        .refused(&["import", "absent.json"], 3, "G0214")
        .says(&["does not exist"]);
    sandbox
        .refused(&["import", "."], 3, "G0214")
        .says(&["it is a folder"]);
    let config = guider("ClassifierFreeGuidance", json!({}));
    let sandbox = sandbox.with("in.json", config.to_string());
    sandbox.refused(
        &["import", "in.json", "--out", "no/where.guide"],
        3,
        "G0803",
    );
}

#[test]
fn long_circles_and_many_nodes_end_soon() {
    let pag = || ("PerturbedAttentionGuidance", json!({"scale": 2.0}));
    let chain = |count: usize| workflow(&ksampler(5.5, "euler"), &vec![pag(); count]);
    let mut config = chain(90);
    config["100"]["inputs"]["model"] = json!(["189", 0]);
    refused(config.to_string(), &["…"]);
    let mut config = chain(1);
    let nodes = config.as_object_mut().expect("nodes");
    nodes.extend((1000..7000).map(|id| (id.to_string(), json!({"class_type": "X", "inputs": {}}))));
    refused(config.to_string(), &["at most 5000 nodes"]);
}

#[test]
fn what_is_left_out_is_said_up_to_a_number() {
    let fields = (0..3000).map(|at| (format!("field_{at}"), json!(1)));
    let config = guider("ClassifierFreeGuidance", Value::Object(fields.collect()));
    let sandbox = Sandbox::new().with("in.json", config.to_string());
    let ended = sandbox
        .run(&["import", "in.json", "--out", "in.guide"])
        .with(0)
        .says(&["2900 more"]);
    assert_eq!(ended.stderr.lines().count(), 101);
    sandbox.run(&["check", "in.guide"]).with(0);
}
