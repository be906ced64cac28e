//! Backward blocks.

use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArray4, PyArrayMethods, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use ui2c_core::motion::backward::{self, Cell};
use ui2c_core::motion::{Field, Sample};

use crate::errors::convert;
use crate::motion::{NumpyPlanes, borrow, field, plane};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Backward>()?;
    m.add_function(wrap_pyfunction!(search_backward, m)?)?;
    m.add_function(wrap_pyfunction!(apply_backward, m)?)
}

/// The backward blocks of one unit, by cells of 16 × 16 luma samples.
#[pyclass(module = "ui2c._core", frozen)]
pub struct Backward(pub backward::Backward);

#[pymethods]
impl Backward {
    /// Of `modes`, uint8 `[rows, columns]`: 0 kept, 1 one block, 2 quarters; and `vectors`, int16
    /// `[rows, columns, 4, 2]`: (dx, dy) in quarter samples of which one block uses the first.
    #[new]
    fn new(modes: &Bound<'_, PyAny>, vectors: &Bound<'_, PyAny>) -> PyResult<Self> {
        let modes = borrow::<u8>(modes, "modes", &["rows", "columns"])?;
        let vectors = borrow::<i16>(vectors, "vectors", &["rows", "columns", "4", "2"])?;
        let &[rows, columns] = modes.shape() else { unreachable!("borrowed as two axes") };
        if vectors.shape() != [rows, columns, 4, 2] {
            let shape = vectors.shape();
            let error = format!("vectors must be [{rows}, {columns}, 4, 2], not {shape:?}");
            return Err(PyValueError::new_err(error));
        }
        let (pairs, _) = vectors.as_slice()?.as_chunks::<2>();
        let (parts, _) = pairs.as_chunks::<4>();
        let cell = |(&mode, &parts): (&u8, &[[i16; 2]; 4])| match mode {
            0 => Ok(Cell::Kept),
            1 => Ok(Cell::Whole(parts[0])),
            2 => Ok(Cell::Quarters(parts)),
            _ => Err(PyValueError::new_err(format!("modes must be 0, 1 or 2, not {mode}"))),
        };
        let cells = modes.as_slice()?.iter().zip(parts).map(cell).collect::<PyResult<_>>()?;
        backward::Backward::new(rows, columns, cells).map(Self).map_err(convert)
    }

    #[getter]
    fn modes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u8>>> {
        let mode = |cell: &Cell| match cell {
            Cell::Kept => 0,
            Cell::Whole(_) => 1,
            Cell::Quarters(_) => 2,
        };
        let modes: Vec<u8> = self.0.cells().iter().map(mode).collect();
        modes.into_pyarray(py).reshape([self.0.rows(), self.0.columns()])
    }

    #[getter]
    fn vectors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray4<i16>>> {
        let parts = |cell: &Cell| match *cell {
            Cell::Kept => [[0; 2]; 4],
            Cell::Whole(vector) => [vector; 4],
            Cell::Quarters(vectors) => vectors,
        };
        let components: Vec<i16> = self.0.cells().iter().flat_map(parts).flatten().collect();
        components.into_pyarray(py).reshape([self.0.rows(), self.0.columns(), 4, 2])
    }
}

/// The blocks worth their bits, or None; luma planes `[height, width]`, the unit's field.
#[pyfunction]
#[pyo3(signature = (source, decoded, last, step, vectors, *, lagrangian, shift = 0, bit_depth = 8))]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
fn search_backward<'py>(
    source: &Bound<'py, PyAny>,
    decoded: &Bound<'py, PyAny>,
    last: &Bound<'py, PyAny>,
    step: usize,
    vectors: &Bound<'py, PyAny>,
    lagrangian: f32,
    shift: u32,
    bit_depth: u32,
) -> PyResult<Option<Backward>> {
    let field = field(step, vectors)?;
    let planes = [source, decoded, last];
    if bit_depth == 8 {
        search_typed::<u8>(planes, &field, bit_depth, lagrangian, shift)
    } else {
        search_typed::<u16>(planes, &field, bit_depth, lagrangian, shift)
    }
}

fn search_typed<S: Sample + Element>(
    [source, decoded, last]: [&Bound<'_, PyAny>; 3],
    field: &Field,
    bit_depth: u32,
    lagrangian: f32,
    shift: u32,
) -> PyResult<Option<Backward>> {
    let py = source.py();
    let axes = ["height", "width"];
    let source = borrow::<S>(source, "source", &axes)?;
    let decoded = borrow::<S>(decoded, "decoded", &axes)?;
    let last = borrow::<S>(last, "last", &axes)?;
    let planes = [
        plane(&source, source.shape())?,
        plane(&decoded, decoded.shape())?,
        plane(&last, last.shape())?,
    ];
    let [source, decoded, last] = planes;
    let search = || backward::search(source, decoded, last, field, bit_depth, lagrangian, shift);
    Ok(py.detach(search).map_err(convert)?.map(Backward))
}

/// Planes (Y, U, V) of the first frame with the blocks averaged with those of the last.
#[pyfunction]
#[pyo3(signature = (decoded, last, blocks, *, bit_depth = 8))]
fn apply_backward<'py>(
    py: Python<'py>,
    decoded: [Bound<'py, PyAny>; 3],
    last: [Bound<'py, PyAny>; 3],
    blocks: &Backward,
    bit_depth: u32,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(if bit_depth == 8 {
        apply_typed::<u8>(py, &decoded, &last, &blocks.0, bit_depth)?.into_pyobject(py)?.into_any()
    } else {
        apply_typed::<u16>(py, &decoded, &last, &blocks.0, bit_depth)?.into_pyobject(py)?.into_any()
    })
}

fn apply_typed<'py, S: Sample + Element>(
    py: Python<'py>,
    decoded: &[Bound<'py, PyAny>; 3],
    last: &[Bound<'py, PyAny>; 3],
    blocks: &backward::Backward,
    bit_depth: u32,
) -> PyResult<NumpyPlanes<'py, S>> {
    let arrays = decoded
        .iter()
        .zip(["decoded[0]", "decoded[1]", "decoded[2]"])
        .chain(last.iter().zip(["last[0]", "last[1]", "last[2]"]))
        .map(|(array, name)| borrow::<S>(array, name, &["height", "width"]))
        .collect::<PyResult<Vec<_>>>()?;
    let at = |k: usize| plane(&arrays[k], arrays[k].shape());
    let (decoded, last) = ([at(0)?, at(1)?, at(2)?], [at(3)?, at(4)?, at(5)?]);
    let applied =
        py.detach(|| backward::apply(decoded, last, blocks, bit_depth)).map_err(convert)?;
    let mut planes = applied.into_iter().enumerate().map(|(k, samples)| {
        PyArray1::from_vec(py, samples).reshape([decoded[k].height(), decoded[k].width()])
    });
    let mut next = || planes.next().expect("three planes");
    Ok((next()?, next()?, next()?))
}
