//! Decoding takes what it says before it begins, and not much less.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ui2c_core::bitstream::CodedUnit;
use ui2c_core::decoder::{Engine, Native};
use ui2c_core::model::Model;
use ui2c_core::motion::{Field, Plane, blocks};
use ui2c_core::network::{Loops, Session};
use ui2c_core::postfilter::{self, Filters};
use ui2c_core::rans::Encoder;
use ui2c_core::unit::Geometry;

/// Counts what is allocated.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `alloc` took it from there.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn view([y, u, v]: &[Vec<u8>; 3], width: usize, height: usize) -> [Plane<'_, u8>; 3] {
    let plane = |k: usize, samples| Plane::new(width / k, height / k, samples).unwrap();
    [plane(1, &y[..]), plane(2, &u[..]), plane(2, &v[..])]
}

/// A still of noise and a unit of two frames of other noise after it, without motion.
fn units(model: &Model, geometry: &Geometry) -> Vec<CodedUnit> {
    let (width, height) = (geometry.coded_width(), geometry.coded_height());
    let networks = Arc::clone(model.networks());
    let mut session = Session::new(networks, width, height, geometry.bit_depth).unwrap();
    let picture = |seed: usize| -> [Vec<u8>; 3] {
        let plane = |samples| (0..samples).map(|k| (k * (k + seed) / 7 % 256) as u8).collect();
        [plane(width * height), plane(width * height / 4), plane(width * height / 4)]
    };
    let mut reference = picture(0).map(|plane| vec![128; plane.len()]);
    let mut units = Vec::new();
    for (qp, intra) in [(10, true), (20, false)] {
        let pictures = [picture(qp + 1), picture(qp + 2)];
        let frames = pictures.each_ref().map(|picture| view(picture, width, height));
        let expected = [view(&reference, width, height); 2];
        session.begin(qp, intra, &Field::still(2), &expected).unwrap();
        let mut encoder = Encoder::new();
        if !intra {
            encoder.begin_segment();
            encoder.put_bits(0, 2).unwrap();
            for _ in 0..3 {
                blocks::encode(&mut encoder, None, &[], 0).unwrap();
            }
        }
        let z = session.analyse(&frames, &expected).unwrap();
        encoder.put_slice(model.hyper_tables(), &session.hyper_scales().unwrap(), &z).unwrap();
        let scales = session.scales(&z).unwrap();
        let y = session.quantise().unwrap();
        encoder.put_slice(model.tables(), &scales, &y).unwrap();
        let none = Filters::default();
        postfilter::encode(&mut encoder, &none, model.filters(qp, intra), &none).unwrap();
        session.synthesise(None).unwrap();
        reference = session.frame(1, &expected[1]).unwrap();
        let (log2_lanes, stream) = encoder.finish(None).unwrap();
        units.push(CodedUnit {
            intra,
            qp: qp as u8,
            motion_step: 0,
            log2_lanes,
            shown: if intra { 1 } else { 2 },
            feature_hash: None,
            ticks: None,
            stream,
        });
    }
    units
}

/// The only test of this program, since the counters are everyone's.
#[test]
fn decoding_takes_what_it_says() {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../../tests/golden/nano.safetensors"].iter().collect();
    let model = Arc::new(Model::new(&std::fs::read(path).unwrap(), Loops::chosen()).unwrap());
    for (width, height) in [(640, 360), (1000, 700)] {
        let geometry = Geometry { width, height, bit_depth: 8 };
        let units = units(&model, &geometry);
        let engine = Native::new(Arc::clone(&model), Some(2));
        // A quarter of what it says is for what allocators keep.
        let said = engine.work_space(&geometry).unwrap() as usize * 3 / 4;
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let mut decoder = engine.open(geometry).unwrap();
        for unit in [&units[0], &units[1], &units[0]] {
            decoder.decode(unit).unwrap();
        }
        let took = PEAK.load(Ordering::Relaxed) - before;
        assert!(took <= said && said <= 2 * took, "{width}x{height}: {took} bytes, not {said}");
    }
}
