//! The decoder as a WebAssembly module: numbers in and out, bytes in the module's memory.
//!
//! An instance is one decoder. Bytes go in through [`ui2c_room`], to which the caller writes them
//! before the call that takes them. Calls that can fail return [`FAILED`] and leave a text, which
//! [`ui2c_text`] and [`ui2c_text_length`] give. Whatever lies in the memory stays in its place until
//! the next call. `ui2c.mjs` makes a class of this.

use std::cell::RefCell;
use std::ptr;
use std::sync::Arc;

use ui2c_core::bitstream::{Limits, SequenceHeader};
use ui2c_core::decoder::{Decoder, Engines, Frame, Native, Options};
use ui2c_core::model::Model;
use ui2c_core::network::Loops;
use ui2c_core::unit::Samples;
use ui2c_core::{Error, Result};

/// The call failed; a text says why.
const FAILED: i32 = -1;

/// Bytes that decoding may hold: half of all that a module can address.
const MAX_MEMORY: u64 = 2 << 30;

/// The only model that is there.
struct Given(Arc<Model>);

impl Engines for Given {
    type Engine = Native;

    fn find(&mut self, header: &SequenceHeader) -> Result<Native> {
        if header.model_id != self.0.id() {
            let name = |id: [u8; 8]| id.map(|byte| format!("{byte:02x}")).concat();
            let (needed, given) = (name(header.model_id), name(self.0.id()));
            let what = format!("the stream needs model {needed}, this is model {given}");
            return Err(Error::Unsupported { what });
        }
        Ok(Native::new(Arc::clone(&self.0), None))
    }
}

#[derive(Default)]
struct State {
    room: Vec<u8>,
    decoder: Option<Decoder<Given>>,
    frame: Option<Frame>,
    text: String,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

impl State {
    fn open(&mut self) -> Result<i32> {
        let model = Arc::new(Model::new(&std::mem::take(&mut self.room), Loops::chosen())?);
        let limits = Limits { max_memory: MAX_MEMORY, ..Limits::default() };
        let options = Options { limits, ..Options::default() };
        self.frame = None;
        self.decoder = Some(Decoder::new(Given(model), options));
        Ok(0)
    }

    fn decoder(&mut self) -> Result<&mut Decoder<Given>> {
        let missing = || Error::InvalidArgument { what: "no model was opened".into() };
        self.decoder.as_mut().ok_or_else(missing)
    }

    fn push(&mut self) -> Result<i32> {
        let bytes = std::mem::take(&mut self.room);
        self.decoder()?.feed(&bytes)?;
        Ok(0)
    }

    /// The plane's samples, columns and rows; nothing if there is no frame or no such plane.
    fn plane(&self, plane: usize) -> Option<(*const u8, usize, usize)> {
        let frame = self.frame.as_ref().filter(|_| plane < 3)?;
        let (samples, (columns, rows)) = match &frame.picture {
            Samples::Bytes(picture) => {
                (picture.planes().ok()?[plane].samples().as_ptr(), picture.size(plane))
            }
            Samples::Words(picture) => {
                (picture.planes().ok()?[plane].samples().as_ptr().cast(), picture.size(plane))
            }
        };
        Some((samples, columns, rows))
    }

    /// The sequence header as JSON, empty before it has come.
    fn header(&self) -> String {
        let header = self.decoder.as_ref().and_then(Decoder::header);
        header.map_or_else(String::new, |header| {
            serde_json::json!({
                "width": header.width,
                "height": header.height,
                "bitDepth": header.bit_depth,
                "colorPrimaries": header.color_primaries,
                "transfer": header.transfer,
                "matrix": header.matrix,
                "fullRange": header.full_range,
                "timebase": [header.timebase.0, header.timebase.1],
                "sampleAspect": [header.sample_aspect.0, header.sample_aspect.1],
            })
            .to_string()
        })
    }
}

/// Runs what may fail.
fn attempt<E: ToString>(run: impl FnOnce(&mut State) -> std::result::Result<i32, E>) -> i32 {
    STATE.with_borrow_mut(|state| {
        run(state).unwrap_or_else(|error| {
            state.text = error.to_string();
            FAILED
        })
    })
}

/// Where to write so many bytes for the next call; null if there is no memory for them.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_room(length: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.room = Vec::new();
        if state.room.try_reserve_exact(length).is_err() {
            return ptr::null_mut();
        }
        state.room.resize(length, 0);
        state.room.as_mut_ptr()
    })
}

/// Takes the bytes of a model file, for a stream that begins anew.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_open() -> i32 {
    attempt(State::open)
}

/// Takes the next bytes of the stream.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_push() -> i32 {
    attempt(State::push)
}

/// Says that no more bytes follow.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_close() -> i32 {
    attempt(|state| state.decoder().map(|decoder| decoder.close()).map(|()| 0))
}

/// Decodes a frame: 1 if there is one, 0 if more bytes are needed or, after the last, none follows.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_next() -> i32 {
    attempt(|state| {
        state.frame = None;
        let frame = state.decoder().map_err(Arc::new)?.next_frame()?;
        state.frame = frame;
        Ok::<_, Arc<Error>>(i32::from(state.frame.is_some()))
    })
}

/// The samples of the frame's plane 0, 1 or 2, row by row: bytes, or words of two bytes at more
/// than 8 bits; null if there is no frame.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_plane(plane: usize) -> *const u8 {
    STATE.with_borrow(|state| state.plane(plane).map_or(ptr::null(), |(samples, _, _)| samples))
}

/// Columns of the frame's plane, 0 if there is no frame.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_columns(plane: usize) -> usize {
    STATE.with_borrow(|state| state.plane(plane).map_or(0, |(_, columns, _)| columns))
}

/// Rows of the frame's plane, 0 if there is no frame.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_rows(plane: usize) -> usize {
    STATE.with_borrow(|state| state.plane(plane).map_or(0, |(_, _, rows)| rows))
}

/// The frame's number, counting shown frames from 0.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_number() -> u64 {
    STATE.with_borrow(|state| state.frame.as_ref().map_or(0, |frame| frame.number))
}

/// When the frame is shown, in ticks of the header's timebase.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_pts() -> i64 {
    let saturated = |pts: i128| pts.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    STATE.with_borrow(|state| state.frame.as_ref().map_or(0, |frame| saturated(frame.pts)))
}

/// Makes the sequence header the text, as JSON; empty before it has come.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_header() {
    STATE.with_borrow_mut(|state| state.text = state.header());
}

/// The text that the last call left, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_text() -> *const u8 {
    STATE.with_borrow(|state| state.text.as_ptr())
}

/// Bytes of the text.
#[unsafe(no_mangle)]
pub extern "C" fn ui2c_text_length() -> usize {
    STATE.with_borrow(|state| state.text.len())
}
