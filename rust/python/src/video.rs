//! Uncompressed video files.

use std::fs::File;
use std::io;

use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use ui2c_core::yuv::{Format, Frame, FrameRef, Reader, Writer};

use crate::arguments::{fraction, number};
use crate::arrays::contiguous;
use crate::errors::convert;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<VideoReader>()?;
    m.add_class::<VideoWriter>()
}

/// Y, U and V as arrays of two dimensions.
type Planes<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Reads y4m or raw 4:2:0 YUV, one frame at a time.
#[pyclass(module = "ui2c._core")]
struct VideoReader(Reader);

#[pymethods]
impl VideoReader {
    /// From an open file's descriptor, after what has been read of it already.
    #[staticmethod]
    #[pyo3(signature = (file, begun = vec![]))]
    fn y4m(py: Python<'_>, file: i32, begun: Vec<u8>) -> PyResult<Self> {
        let file = duplicate(py, file)?;
        py.detach(|| Reader::y4m_file(file, begun)).map(Self).map_err(convert)
    }

    #[staticmethod]
    #[pyo3(signature = (file, begun = vec![], *, width, height, bit_depth = 8))]
    fn yuv(
        py: Python<'_>,
        file: i32,
        begun: Vec<u8>,
        width: i64,
        height: i64,
        bit_depth: i64,
    ) -> PyResult<Self> {
        let format = format(width, height, bit_depth)?;
        let file = duplicate(py, file)?;
        py.detach(|| Reader::yuv_file(file, begun, format)).map(Self).map_err(convert)
    }

    #[getter]
    fn width(&self) -> u32 {
        self.0.format().width
    }

    #[getter]
    fn height(&self) -> u32 {
        self.0.format().height
    }

    #[getter]
    fn bit_depth(&self) -> u8 {
        self.0.format().bit_depth
    }

    #[getter]
    fn frame_rate(&self) -> (u32, u32) {
        self.0.format().frame_rate
    }

    #[getter]
    fn sample_aspect(&self) -> (u32, u32) {
        self.0.format().sample_aspect
    }

    #[getter]
    fn full_range(&self) -> Option<bool> {
        self.0.format().full_range
    }

    #[getter]
    fn color(&self) -> (u8, u8, u8) {
        self.0.format().color
    }

    #[getter]
    fn chroma(&self) -> &'static str {
        self.0.chroma().name()
    }

    /// Passes over frames; how many there were, at most `count`.
    fn skip(&mut self, py: Python<'_>, count: u64) -> PyResult<u64> {
        py.detach(|| self.0.skip(count)).map_err(convert)
    }

    /// The next frame, None at the end.
    fn read<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Planes<'py>>> {
        let sizes = self.0.format().planes();
        Ok(match py.detach(|| self.0.read()).map_err(convert)? {
            None => None,
            Some(Frame::Bits8(planes)) => Some(to_python(py, planes, sizes)?),
            Some(Frame::Bits16(planes)) => Some(to_python(py, planes, sizes)?),
        })
    }
}

/// Writes y4m or raw 4:2:0 YUV to an open file, which is complete after `close`.
#[pyclass(module = "ui2c._core")]
struct VideoWriter(Writer);

#[pymethods]
impl VideoWriter {
    #[staticmethod]
    #[pyo3(signature = (
        file,
        *,
        width,
        height,
        bit_depth = 8,
        frame_rate = (25, 1),
        sample_aspect = (1, 1),
        full_range = false,
        color = (2, 2, 2),
    ))]
    #[expect(clippy::too_many_arguments, reason = "most are keywords in Python")]
    fn y4m(
        py: Python<'_>,
        file: i32,
        width: i64,
        height: i64,
        bit_depth: i64,
        frame_rate: (i64, i64),
        sample_aspect: (i64, i64),
        full_range: bool,
        color: (u8, u8, u8),
    ) -> PyResult<Self> {
        let format = Format {
            frame_rate: fraction(frame_rate, "frame_rate")?,
            sample_aspect: fraction(sample_aspect, "sample_aspect")?,
            full_range: Some(full_range),
            color,
            ..format(width, height, bit_depth)?
        };
        let file = duplicate(py, file)?;
        py.detach(|| Writer::y4m(file, format)).map(Self).map_err(convert)
    }

    #[staticmethod]
    #[pyo3(signature = (file, *, width, height, bit_depth = 8))]
    fn yuv(py: Python<'_>, file: i32, width: i64, height: i64, bit_depth: i64) -> PyResult<Self> {
        let format = format(width, height, bit_depth)?;
        Writer::yuv(duplicate(py, file)?, format).map(Self).map_err(convert)
    }

    /// Writes a frame of the size and the depth that the writer was made for.
    fn write(&mut self, py: Python<'_>, frame: [Bound<'_, PyAny>; 3]) -> PyResult<()> {
        let sizes = self.0.format().planes();
        if self.0.format().bit_depth == 8 {
            let planes = from_python::<u8>(&frame, sizes)?;
            let [y, u, v] = &planes;
            let planes = FrameRef::Bits8([y.as_slice()?, u.as_slice()?, v.as_slice()?]);
            py.detach(|| self.0.write(planes)).map_err(convert)
        } else {
            let planes = from_python::<u16>(&frame, sizes)?;
            let [y, u, v] = &planes;
            let planes = FrameRef::Bits16([y.as_slice()?, u.as_slice()?, v.as_slice()?]);
            py.detach(|| self.0.write(planes)).map_err(convert)
        }
    }

    /// Writes what is left.
    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.close()).map_err(convert)
    }
}

/// A file of one's own behind a descriptor of Python's, with the place in it shared.
#[cfg(unix)]
fn duplicate(_: Python<'_>, descriptor: i32) -> PyResult<File> {
    use std::os::fd::BorrowedFd;

    if descriptor < 0 {
        return Err(PyValueError::new_err(format!("file: {descriptor} is no descriptor")));
    }
    // SAFETY: not -1; one that is not open, or closed while this call runs, gives an error.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    own(borrowed.try_clone_to_owned())
}

/// As on Unix: Python's descriptors are those of its C library.
#[cfg(windows)]
fn duplicate(py: Python<'_>, descriptor: i32) -> PyResult<File> {
    use std::os::windows::io::{BorrowedHandle, RawHandle};

    let handle = py.import("msvcrt")?.call_method1("get_osfhandle", (descriptor,))?;
    let handle: isize = handle.extract()?;
    // SAFETY: Python has just said that this is the handle of an open file.
    let borrowed = unsafe { BorrowedHandle::borrow_raw(handle as RawHandle) };
    own(borrowed.try_clone_to_owned())
}

fn own<T: Into<File>>(file: io::Result<T>) -> PyResult<File> {
    Ok(file.map_err(|error| convert(error.into()))?.into())
}

fn format(width: i64, height: i64, bit_depth: i64) -> PyResult<Format> {
    Ok(Format::new(
        number(width, "width")?,
        number(height, "height")?,
        number(bit_depth, "bit_depth")?,
    ))
}

fn to_python<T: Element>(
    py: Python<'_>,
    [y, u, v]: [Vec<T>; 3],
    sizes: [(usize, usize); 3],
) -> PyResult<Planes<'_>> {
    let plane = |samples: Vec<T>, (height, width): (usize, usize)| {
        PyArray1::from_vec(py, samples).reshape([height, width]).map(Bound::into_any)
    };
    Ok((plane(y, sizes[0])?, plane(u, sizes[1])?, plane(v, sizes[2])?))
}

fn from_python<'py, T: Element>(
    frame: &[Bound<'py, PyAny>; 3],
    sizes: [(usize, usize); 3],
) -> PyResult<[PyReadonlyArrayDyn<'py, T>; 3]> {
    let plane = |i: usize| {
        let plane = contiguous::<T>(&frame[i], &format!("frame[{i}]"))?;
        let (height, width) = sizes[i];
        if plane.shape() != [height, width] {
            return Err(PyValueError::new_err(format!(
                "frame[{i}]: shape {:?}, want [{height}, {width}]",
                plane.shape()
            )));
        }
        Ok(plane)
    };
    Ok([plane(0)?, plane(1)?, plane(2)?])
}
