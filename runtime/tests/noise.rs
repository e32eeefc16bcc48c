//! The generator against numbers that torch drew.

use guide_runtime::noise::Generator;
use safetensors::SafeTensors;

const TENSORS: &[u8] = include_bytes!("../../tests/oracle/models/rng/rng.safetensors");
const CASES: &str = include_str!("../../tests/oracle/models/rng/rng.json");

/// Rounding of `log`, `sqrt`, `cos` in f32, stated with the reference.
const TOLERANCE: f32 = 1e-5;

fn expected(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).expect("a tensor");
    tensor
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

#[test]
fn normals_are_those_of_torch() {
    let file = SafeTensors::deserialize(TENSORS).expect("a safetensors file");
    let cases: serde_json::Value = serde_json::from_str(CASES).expect("JSON");
    for (name, shapes) in cases["cases"].as_object().expect("cases") {
        let seed = name
            .split('/')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .expect("a seed");
        let mut generator = Generator::new(seed);
        for (i, shape) in shapes.as_array().expect("shapes").iter().enumerate() {
            let axes = shape.as_array().expect("a shape").iter();
            let count = axes
                .map(|n| n.as_u64().expect("a length") as usize)
                .product();
            let wanted = expected(&file, &format!("{name}/{i}"));
            let drawn = generator.normals(count);
            assert_eq!(drawn.len(), wanted.len());
            for (j, (a, b)) in drawn.iter().zip(&wanted).enumerate() {
                assert!(
                    (a - b).abs() <= TOLERANCE,
                    "{name}/{i}[{j}]: {a} is not {b}"
                );
            }
        }
    }
}

#[test]
fn uniforms_are_those_of_torch() {
    let file = SafeTensors::deserialize(TENSORS).expect("a safetensors file");
    let mut seen = 0;
    for name in file.names() {
        let Some(seed) = name.strip_prefix("rand/") else {
            continue;
        };
        let mut generator = Generator::new(seed.parse().expect("a seed"));
        assert_eq!(generator.uniforms(20), expected(&file, name), "{name}");
        seen += 1;
    }
    assert!(seen > 0);
}
