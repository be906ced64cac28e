//! Whatever size a file claims, memory grows with the bytes that are there.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{coded, header, parse_all};
use ui2c_core::bitstream::{CodedUnit, Limits, Parser, SYNC, Writer, crc32c, index_at_end};
use ui2c_core::yuv::{Format, Reader};

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

/// The most bytes held at once by `work`, over what was held before.
fn peak(work: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed) - before
}

/// The only test of this program, since the counters are everyone's.
#[test]
fn memory_grows_with_what_is_there() {
    let start = Writer::new(header()).unwrap().start().unwrap();
    // A unit that claims 200 MB and ends after a few.
    let claim = [&start[..], &SYNC, &[2, 0x80, 0x90, 0xac, 0x5f], &[0; 100]].concat();
    let used = peak(|| {
        let (units, result) = parse_all(&claim, Limits::default());
        assert!(units.len() == 1 && result.is_err());
    });
    assert!(used < 10_000, "unit: {used} bytes");

    // A long stream of small units in small pieces.
    let unit = |writer: &mut Writer, intra| {
        writer.unit(&CodedUnit { stream: vec![1; 1000], ..coded(intra, 1) }, false).unwrap()
    };
    let used = peak(|| {
        let mut writer = Writer::new(header()).unwrap();
        let mut parser = Parser::new(Limits::default());
        parser.feed(&writer.start().unwrap()).unwrap();
        for i in 0..2000 {
            for piece in unit(&mut writer, i == 0).chunks(300) {
                parser.feed(piece).unwrap();
                while parser.next_unit().unwrap().is_some() {}
            }
        }
    });
    assert!(used < 20_000, "stream: {used} bytes");

    // Nothing that could be a sync word in much garbage.
    let garbage = [0x7f; 10_000];
    let used = peak(|| {
        let mut parser = Parser::new(Limits::default());
        for _ in 0..200 {
            parser.feed(&garbage).unwrap();
            assert!(!parser.resync());
        }
    });
    assert!(used < 50_000, "garbage: {used} bytes");

    // An index of nothing but tiny steps.
    let mut index = vec![0x85, 0x80, 0x80, 0x40];
    index.resize(4 + (1 << 20) - 4, 1);
    index.extend((index.len() as u32 + 8).to_le_bytes());
    index.extend(crc32c(&index, 0).to_le_bytes());
    let used = peak(|| assert!(index_at_end(&index, u64::MAX, &Limits::default()).is_err()));
    assert!(used < 10_000, "index: {used} bytes");

    let large = Format::new(65535, 65535, 16);
    let used = peak(|| {
        let mut reader = Reader::from_yuv(Box::new(Cursor::new([0; 100])), large).unwrap();
        assert!(reader.read().is_err());
    });
    assert!(used < 6 << 20, "frame: {used} bytes");
}
