//! Whole networks: every kind of kernels and number of threads decides the same, and model files
//! that are none are refused.

mod noise;
mod threads;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use noise::Noise;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use threads::with_threads;
use ui2c_core::Error;
use ui2c_core::motion::{Field, Plane, Sample};
use ui2c_core::network::{Loops, Model, Planes, Session};

const CONFIG: &str = r#"{"name": "test", "trunk": 32, "latent": 64, "hyper": 16, "prior": 48,
    "head": 32, "entropy": 32, "extractor_depths": [1, 2], "encoder_depth": 1, "decoder_depth": 2,
    "head_depth": 1, "fusion_depth": 1, "spatial_depth": 1, "motion": true,
    "frames_per_unit": 2}"#;

type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

/// A model's tensors, of random values.
struct Maker {
    noise: Noise,
    tensors: Tensors,
}

impl Maker {
    fn floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        self.tensors.push((format!("codec.{name}"), Dtype::F32, shape.into(), bytes));
    }

    fn pointwise(&mut self, name: &str, inputs: usize, outputs: usize) {
        // One of 12 bits among those of 8.
        let wide = name == "linear_out";
        let count = inputs * outputs;
        let limit = if wide { 2047 } else { 63 };
        let weights: Vec<i32> = (0..count).map(|_| self.noise.weight(limit, false)).collect();
        let weight = format!("codec.{name}.weight");
        let shape = vec![outputs, inputs];
        self.tensors.push(if wide {
            let bytes = weights.into_iter().flat_map(|w| (w as i16).to_le_bytes()).collect();
            (weight, Dtype::I16, shape, bytes)
        } else {
            let bytes = weights.into_iter().map(|w| w as i8 as u8).collect();
            (weight, Dtype::I8, shape, bytes)
        });
        let scale = 0.8 / (limit as f32 * (inputs as f32).sqrt());
        let bias = self.noise.floats(outputs, 0.3);
        let equalisation = self.noise.positive(inputs);
        self.floats(&format!("{name}.scale"), &[outputs], vec![scale; outputs]);
        self.floats(&format!("{name}.bias"), &[outputs], bias);
        self.floats(&format!("{name}.equalisation"), &[inputs], equalisation);
    }

    fn block(&mut self, name: &str, inputs: usize, c: usize) {
        if inputs != c {
            self.pointwise(&format!("{name}.adaptor"), inputs, c);
        }
        self.pointwise(&format!("{name}.spatial_in"), c, c);
        self.pointwise(&format!("{name}.spatial_out"), c, c);
        self.pointwise(&format!("{name}.mix_in"), c, 4 * c);
        self.pointwise(&format!("{name}.mix_out"), 2 * c, c);
        let (weights, bias) = (self.noise.floats(9 * c, 0.3), self.noise.floats(c, 0.3));
        self.floats(&format!("{name}.spatial.weight"), &[c, 1, 3, 3], weights);
        self.floats(&format!("{name}.spatial.bias"), &[c], bias);
    }

    fn bank(&mut self, name: &str, channels: usize) {
        let values = self.noise.positive(64 * channels);
        self.floats(&format!("{name}.values"), &[64, channels], values);
    }
}

fn tensors() -> Tensors {
    let mut m = Maker { noise: Noise(7), tensors: Vec::new() };
    let (d, y, z, p, width) = (32, 64, 16, 48, 32);
    m.block("image_adaptor", 96, d);
    m.block("extractor_1.0", d, d);
    m.block("extractor_2.0", d, d);
    m.block("extractor_2.1", d, d);
    m.block("encoder.0", 2 * d, d);
    m.block("decoder.0", 2 * d, d);
    m.block("decoder.1", d, d);
    for k in 0..2 {
        m.block(&format!("heads.{k}.0"), d, 32);
        m.pointwise(&format!("heads_out.{k}"), 32, 96);
        m.bank(&format!("head_gains.{k}"), 32);
    }
    let layers = [
        ("feature_adaptor", d, d),
        ("prediction_in", 192, d),
        ("encoder_in", 192, d),
        ("encoder_down", 4 * d, y),
        ("decoder_up", y, 4 * d),
        ("linear_in", 768, y),
        ("linear_out", y, 768),
        ("gate", d, 2),
        ("prior.hyper_down_1", 4 * width, z),
        ("prior.hyper_down_2", 4 * z, z),
        ("prior.hyper_up_1", z, 4 * z),
        ("prior.hyper_up_2", z, 4 * width),
        ("prior.temporal_down", 4 * d, p),
        ("prior.fusion_out", 2 * width, 3 * y),
        ("prior.spatial_known", y, 2 * width),
        ("prior.spatial_parameters", 3 * y, 2 * width),
        ("prior.spatial_out", 2 * width, y),
    ];
    layers.into_iter().for_each(|(name, inputs, outputs)| m.pointwise(name, inputs, outputs));
    m.block("prior.hyper_encode_1", y, width);
    m.block("prior.hyper_encode_2", z, z);
    m.block("prior.hyper_decode_1", z, z);
    m.block("prior.hyper_decode_2", width, width);
    m.block("prior.temporal", p, p);
    m.block("prior.fusion.0", width + p, 2 * width);
    m.block("prior.spatial.0", 2 * width, 2 * width);
    for (name, channels) in
        [("encoder", d), ("decoder", d), ("linear_in", y), ("linear_out", y), ("feature", d)]
    {
        m.bank(&format!("{name}_gains"), channels);
    }
    let marks = m.noise.floats(3 * y, 0.5);
    m.floats("prior.stage_marks", &[3, y], marks);
    let offsets = m.noise.floats(128, 0.2);
    m.floats("prior.offsets", &[64, 2], offsets);
    let index = (0..2 * 64 * z).map(|i| (i % 40) as u8).collect();
    m.tensors.push(("tables.hyper_index".into(), Dtype::U8, vec![2, 64, z], index));
    m.tensors
}

fn file(tensors: &Tensors, entries: &[(&str, &str)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let metadata: HashMap<String, String> =
        entries.iter().map(|&(key, value)| (key.into(), value.into())).collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

const ENTRIES: [(&str, &str); 3] =
    [("format", "ui2c-model 1"), ("profile", "int8 1"), ("config", CONFIG)];

fn whole_file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| file(&tensors(), &ENTRIES))
}

fn model(loops: Loops) -> Arc<Model> {
    Arc::new(Model::new(whole_file(), loops).unwrap())
}

/// Samples of a picture, Y, U and V.
type Picture<S> = [Vec<S>; 3];

fn picture<S: Sample>(noise: &mut Noise, width: usize, height: usize, depth: u32) -> Picture<S> {
    let sizes = [width * height, width * height / 4, width * height / 4];
    let limit = (1u32 << depth) - 1;
    sizes.map(|count| (0..count).map(|_| S::from_i32((noise.next() & limit) as i32)).collect())
}

fn view<S: Sample>(picture: &Picture<S>, width: usize, height: usize) -> Planes<'_, S> {
    let [y, u, v] = picture;
    let chroma = |samples| Plane::new(width / 2, height / 2, samples).unwrap();
    [Plane::new(width, height, y).unwrap(), chroma(u), chroma(v)]
}

/// All that comes out of a session.
#[derive(PartialEq, Debug, Default)]
struct Results<S> {
    symbols: Vec<Vec<i16>>,
    tables: Vec<Vec<u8>>,
    frames: Vec<Picture<S>>,
    digests: Vec<u32>,
}

/// Units of all kinds; decoded from their symbols if `symbols` are given, else encoded.
fn run<S: Sample>(
    loops: Loops,
    (width, height): (usize, usize),
    depth: u32,
    symbols: Option<&[Vec<i16>]>,
) -> Results<S> {
    let mut noise = Noise(11);
    let mut results = Results {
        symbols: Vec::new(),
        tables: Vec::new(),
        frames: Vec::new(),
        digests: Vec::new(),
    };
    let mut session = Session::new(model(loops), width, height, depth).unwrap();
    let mut symbols = symbols.map(<[_]>::iter);
    for (intra, step, frames, qp) in [
        (true, 0, 2, 20),
        (false, 0, 2, 50),
        (false, 16, 2, 0),
        (false, 64, 1, 63),
        (true, 0, 2, 63),
    ] {
        let cells = |size: usize| if step == 0 { 0 } else { size.div_ceil(step) };
        let (rows, columns) = (cells(height), cells(width));
        let mut component = || (noise.next() % 4095) as i16 - 2047;
        let vectors = (0..frames * rows * columns).map(|_| [component(), component()]).collect();
        let field = Field::new(step, frames, rows, columns, vectors).unwrap();
        let mut pictures = || [(); 2].map(|()| picture::<S>(&mut noise, width, height, depth));
        let (known, coded) = (pictures(), pictures());
        let known = known.each_ref().map(|picture| view(picture, width, height));
        let coded = coded.each_ref().map(|picture| view(picture, width, height));
        session.begin(qp, intra, &field, &known).unwrap();
        results.tables.push(session.hyper_scales().unwrap());
        let z = match &mut symbols {
            Some(symbols) => symbols.next().unwrap().clone(),
            None => session.analyse(&coded, &known).unwrap(),
        };
        results.tables.push(session.scales(&z).unwrap());
        let y = match &mut symbols {
            Some(symbols) => symbols.next().unwrap().clone(),
            None => session.quantise().unwrap(),
        };
        session.synthesise(symbols.as_ref().map(|_| &y[..])).unwrap();
        results.symbols.extend([z, y]);
        results.digests.push(session.digest());
        results.frames.extend([0, 1].map(|k| session.frame(k, &known[k]).unwrap()));
    }
    results
}

#[test]
fn every_engine_decides_the_same() {
    for size in [(16, 16), (48, 80), (208, 112)] {
        let plain = run::<u8>(Loops::SCALAR, size, 8, None);
        assert!(plain.symbols.iter().flatten().any(|&symbol| symbol != 0));
        let deep = run::<u16>(Loops::SCALAR, size, 10, None);
        for loops in Loops::available() {
            for threads in [1, 3] {
                with_threads(threads, || {
                    assert!(run(loops, size, 8, None) == plain, "{loops}, {threads} threads");
                    let symbols = Some(&plain.symbols[..]);
                    assert!(run(loops, size, 8, symbols) == plain, "{loops}, {threads} threads");
                    assert!(run(loops, size, 10, None) == deep, "{loops}, {threads} threads");
                });
            }
        }
    }
}

#[test]
fn a_state_is_gone_on_from() {
    let (width, height) = (32, 32);
    let mut noise = Noise(5);
    let pictures = [(); 2].map(|()| picture::<u8>(&mut noise, width, height, 8));
    let planes = pictures.each_ref().map(|picture| view(picture, width, height));
    let still = Field::still(2);
    let code = |session: &mut Session, intra| {
        session.begin(30, intra, &still, &planes).unwrap();
        let z = session.analyse(&planes, &planes).unwrap();
        session.scales(&z).unwrap();
        session.quantise().unwrap();
        session.synthesise(None).unwrap();
        session.digest()
    };
    let new = || Session::new(model(Loops::chosen()), width, height, 8).unwrap();
    let mut session = new();
    let first = code(&mut session, true);
    let state = session.save();
    let second = code(&mut session, false);
    assert_ne!(first, second);
    let mut other = new();
    other.restore(state.clone()).unwrap();
    assert_eq!(other.digest(), first);
    assert_eq!(code(&mut other, false), second);
    session.restore(state).unwrap();
    assert_eq!(code(&mut session, false), second);

    let mut from_picture = new();
    from_picture.restore_picture(&planes[0]).unwrap();
    assert_eq!(from_picture.digest(), 0);
    assert_ne!(code(&mut from_picture, false), second);
    let mut larger = Session::new(model(Loops::chosen()), 64, 64, 8).unwrap();
    assert!(larger.restore(other.save()).is_err());
}

#[test]
fn another_order_and_other_sizes_are_refused() {
    let (width, height) = (32, 16);
    for (width, height, depth) in
        [(0, 16, 8), (24, 16, 8), (16, 65_536, 8), (16, 16, 7), (16, 16, 17)]
    {
        assert!(Session::new(model(Loops::chosen()), width, height, depth).is_err());
    }
    let mut session = Session::new(model(Loops::chosen()), width, height, 8).unwrap();
    let mut noise = Noise(5);
    let pictures = [(); 2].map(|()| picture::<u8>(&mut noise, width, height, 8));
    let planes = pictures.each_ref().map(|picture| view(picture, width, height));
    let still = Field::still(2);
    let refused = |result: Result<(), Error>, what: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }));
        assert!(error.to_string().contains(what), "{error}");
    };
    refused(session.hyper_scales().map(drop), "no unit");
    refused(session.analyse(&planes, &planes).map(drop), "no unit");
    refused(session.scales(&[0; 16]).map(drop), "no unit");
    refused(session.synthesise(None), "no unit");
    refused(session.frame(0, &planes[0]).map(drop), "no unit");
    refused(session.begin(64, true, &still, &planes), "qp");
    refused(session.begin(30, false, &still, &planes), "before it");
    let wrong = picture::<u8>(&mut noise, 16, 16, 8);
    let wrong = [view(&wrong, 16, 16); 2];
    refused(session.begin(30, true, &still, &wrong), "16 x 16");
    let deep = picture::<u16>(&mut noise, width, height, 10);
    refused(session.begin(30, true, &still, &[view(&deep, width, height); 2]), "8 bits");

    session.begin(30, true, &still, &planes).unwrap();
    refused(session.quantise().map(drop), "analysed");
    refused(session.synthesise(None), "scales");
    refused(session.frame(0, &planes[0]).map(drop), "synthesised");
    refused(session.scales(&[0; 15]).map(drop), "15 symbols");
    session.scales(&[i16::MIN; 16]).unwrap();
    refused(session.quantise().map(drop), "analysed");
    refused(session.synthesise(None), "missing");
    refused(session.synthesise(Some(&[0; 5])), "5 symbols");
    // No symbols make anything but pictures.
    session.synthesise(Some(&[i16::MIN; 2 * 64])).unwrap();
    refused(session.frame(2, &planes[0]).map(drop), "frame 2");
    session.frame(1, &planes[0]).unwrap();
    let field = Field::new(16, 2, 2, 2, vec![[0; 2]; 8]).unwrap();
    refused(session.begin(30, false, &field, &planes), "field");
}

#[test]
fn other_files_are_refused() {
    let corrupt = |bytes: &[u8], what: &str| match Model::new(bytes, Loops::SCALAR) {
        Err(Error::Corrupt { what: found, .. }) => assert!(found.contains(what), "{found}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("was read: {what}"),
    };
    corrupt(&[], "model file");
    let whole = tensors();
    let with = |key: &str, value: &str| {
        file(&whole, &ENTRIES.map(|(k, known)| (k, if k == key { value } else { known })))
    };
    let unsupported = |bytes: &[u8]| {
        let result = Model::new(bytes, Loops::SCALAR);
        assert!(matches!(result, Err(Error::Unsupported { .. })));
    };
    for key in ["format", "profile", "config"] {
        let entries = ENTRIES.into_iter().filter(|entry| entry.0 != key).collect::<Vec<_>>();
        corrupt(&file(&whole, &entries), key);
    }
    unsupported(&with("format", "ui2c-model 2"));
    unsupported(&with("profile", "float32 1"));
    unsupported(&with("config", &CONFIG.replace("true", "false")));
    corrupt(&with("config", "{"), "EOF");
    let configs = [
        ("\"trunk\": 32", "\"trunk\": 33", "width of 33"),
        ("\"trunk\": 32", "\"trunk\": 1040", "width of 1040"),
        ("\"head_depth\": 1", "\"head_depth\": 17", "depth of 17"),
        ("\"hyper\": 16", "\"hyper\": 32", "must be"),
        ("\"trunk\": 32", "\"trunk\": -32", "invalid"),
        ("\"trunk\": 32", "\"odd\": 1, \"trunk\": 32", "odd"),
    ];
    for (from, to, what) in configs {
        corrupt(&with("config", &CONFIG.replace(from, to)), what);
    }

    let changed = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = tensors();
        change(&mut tensors);
        file(&tensors, &ENTRIES)
    };
    corrupt(&changed(&|t| drop(t.remove(40))), "no codec.");
    corrupt(&changed(&|t| t[0].0 += ".other"), "no codec.");
    corrupt(
        &changed(&|t| t.push(("codec.other".into(), Dtype::U8, vec![1], vec![0]))),
        "codec.other is not part",
    );
    corrupt(&changed(&|t| t[0].1 = Dtype::U8), "must be I8");
    corrupt(&changed(&|t| t[0].3[5] = 64), "weight of 64");
    for (suffix, value) in [("scale", 0.0), ("equalisation", -1.0), ("bias", f32::NAN)] {
        let at = |t: &Tensors| t.iter().position(|t| t.0.ends_with(suffix)).unwrap();
        let set = |t: &mut Tensors| {
            let at = at(t);
            t[at].3[..4].copy_from_slice(&f32::to_le_bytes(value));
        };
        corrupt(&changed(&set), suffix);
    }
    corrupt(&changed(&|t| t.last_mut().unwrap().3[0] = 64), "table of z");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Damage is found or changes numbers, and never does worse.
    #[test]
    fn damaged_files_do_no_harm(
        length in prop_oneof![Just(usize::MAX), 0usize..100_000],
        damage in prop::collection::vec((prop_oneof![0usize..30_000, 0usize..10_000_000], 0u8..), 0..4),
    ) {
        let mut bytes = whole_file().to_vec();
        bytes.truncate(length);
        for (at, value) in damage {
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] = value;
            }
        }
        if let Err(error) = Model::new(&bytes, Loops::SCALAR) {
            let expected = matches!(error, Error::Corrupt { .. } | Error::Unsupported { .. });
            prop_assert!(expected, "{error}");
        }
    }
}
