//! Blocks.

use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArray4, PyArrayMethods, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use ui2c_core::motion::blocks::{self, Blend, Cell};
use ui2c_core::motion::{Gradients, Sample, Vector};

use crate::arrays::{NumpyPlanes, borrow, plane, to_numpy as planes_to_numpy};
use crate::errors::convert;
use crate::threads::run_shared;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Blocks>()?;
    m.add_function(wrap_pyfunction!(search_blocks, m)?)?;
    m.add_function(wrap_pyfunction!(apply_blocks, m)?)?;
    m.add_function(wrap_pyfunction!(blocks_adjoint, m)?)
}

/// The blocks of one frame, by cells of 16 × 16 luma samples.
#[pyclass(module = "ui2c._core", frozen)]
pub struct Blocks(pub blocks::Blocks);

#[pymethods]
impl Blocks {
    /// Of `modes`, uint8 `[rows, columns]`: 0 kept, 1 and 2 the mean with one block or with one for
    /// each quarter, 3 and 4 these alone; and `vectors`, int16
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
            1 => Ok(Cell::Whole(Blend::Mean, parts[0])),
            2 => Ok(Cell::Quarters(Blend::Mean, parts)),
            3 => Ok(Cell::Whole(Blend::Replace, parts[0])),
            4 => Ok(Cell::Quarters(Blend::Replace, parts)),
            _ => Err(PyValueError::new_err(format!("modes must be 0 to 4, not {mode}"))),
        };
        let cells = modes.as_slice()?.iter().zip(parts).map(cell).collect::<PyResult<_>>()?;
        blocks::Blocks::new(rows, columns, cells).map(Self).map_err(convert)
    }

    #[getter]
    fn modes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u8>>> {
        let mode = |cell: &Cell| match cell {
            Cell::Kept => 0,
            Cell::Whole(Blend::Mean, _) => 1,
            Cell::Quarters(Blend::Mean, _) => 2,
            Cell::Whole(Blend::Replace, _) => 3,
            Cell::Quarters(Blend::Replace, _) => 4,
        };
        let modes: Vec<u8> = self.0.cells().iter().map(mode).collect();
        modes.into_pyarray(py).reshape([self.0.rows(), self.0.columns()])
    }

    #[getter]
    fn vectors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray4<i16>>> {
        let parts = |cell: &Cell| match *cell {
            Cell::Kept => [[0; 2]; 4],
            Cell::Whole(_, vector) => [vector; 4],
            Cell::Quarters(_, vectors) => vectors,
        };
        let components: Vec<i16> = self.0.cells().iter().flat_map(parts).flatten().collect();
        components.into_pyarray(py).reshape([self.0.rows(), self.0.columns(), 4, 2])
    }
}

/// `[rows, columns, 2]` as one vector a cell.
pub fn guesses(array: &Bound<'_, PyAny>) -> PyResult<Vec<Vector>> {
    let array = borrow::<i16>(array, "guesses", &["rows", "columns", "2"])?;
    if array.shape()[2] != 2 {
        return Err(PyValueError::new_err("guesses must have 2 components"));
    }
    Ok(array.as_slice()?.as_chunks::<2>().0.to_vec())
}

/// The blocks worth their bits, or None; luma planes `[height, width]`.
#[pyfunction]
#[pyo3(signature = (source, base, other, guesses, *, lagrangian, trust, shift = 0, bit_depth = 8))]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
fn search_blocks<'py>(
    source: &Bound<'py, PyAny>,
    base: &Bound<'py, PyAny>,
    other: &Bound<'py, PyAny>,
    guesses: &Bound<'py, PyAny>,
    lagrangian: f32,
    trust: f32,
    shift: u32,
    bit_depth: u32,
) -> PyResult<Option<Blocks>> {
    let guesses = self::guesses(guesses)?;
    let planes = [source, base, other];
    if bit_depth == 8 {
        search_typed::<u8>(planes, &guesses, bit_depth, lagrangian, shift, trust)
    } else {
        search_typed::<u16>(planes, &guesses, bit_depth, lagrangian, shift, trust)
    }
}

fn search_typed<S: Sample + Element>(
    [source, base, other]: [&Bound<'_, PyAny>; 3],
    guesses: &[Vector],
    bit_depth: u32,
    lagrangian: f32,
    shift: u32,
    trust: f32,
) -> PyResult<Option<Blocks>> {
    let py = source.py();
    let axes = ["height", "width"];
    let source = borrow::<S>(source, "source", &axes)?;
    let base = borrow::<S>(base, "base", &axes)?;
    let other = borrow::<S>(other, "other", &axes)?;
    let planes = [
        plane(&source, source.shape())?,
        plane(&base, base.shape())?,
        plane(&other, other.shape())?,
    ];
    let [source, base, other] = planes;
    let search =
        || blocks::search(source, base, other, guesses, bit_depth, lagrangian, shift, trust);
    Ok(run_shared(py, search).map_err(convert)?.map(Blocks))
}

/// Planes (Y, U, V) of `base` with the blocks from `other`.
#[pyfunction]
#[pyo3(signature = (base, other, blocks, *, bit_depth = 8))]
fn apply_blocks<'py>(
    py: Python<'py>,
    base: [Bound<'py, PyAny>; 3],
    other: [Bound<'py, PyAny>; 3],
    blocks: &Blocks,
    bit_depth: u32,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(if bit_depth == 8 {
        apply_typed::<u8>(py, &base, &other, &blocks.0, bit_depth)?.into_pyobject(py)?.into_any()
    } else {
        apply_typed::<u16>(py, &base, &other, &blocks.0, bit_depth)?.into_pyobject(py)?.into_any()
    })
}

fn apply_typed<'py, S: Sample + Element>(
    py: Python<'py>,
    base: &[Bound<'py, PyAny>; 3],
    other: &[Bound<'py, PyAny>; 3],
    blocks: &blocks::Blocks,
    bit_depth: u32,
) -> PyResult<NumpyPlanes<'py, S>> {
    let arrays = base
        .iter()
        .zip(["base[0]", "base[1]", "base[2]"])
        .chain(other.iter().zip(["other[0]", "other[1]", "other[2]"]))
        .map(|(array, name)| borrow::<S>(array, name, &["height", "width"]))
        .collect::<PyResult<Vec<_>>>()?;
    let at = |k: usize| plane(&arrays[k], arrays[k].shape());
    let (base, other) = ([at(0)?, at(1)?, at(2)?], [at(3)?, at(4)?, at(5)?]);
    let applied =
        run_shared(py, || blocks::apply(base, other, blocks, bit_depth)).map_err(convert)?;
    planes_to_numpy(py, applied, base.map(|plane| [plane.height(), plane.width()]))
}

/// Gradients of the planes of `base` and `other`, given those of `apply_blocks(base, other, …)`.
#[pyfunction]
fn blocks_adjoint<'py>(
    py: Python<'py>,
    gradients: [Bound<'py, PyAny>; 3],
    blocks: &Blocks,
) -> PyResult<(NumpyPlanes<'py, f32>, NumpyPlanes<'py, f32>)> {
    let arrays = gradients
        .iter()
        .zip(["gradients[0]", "gradients[1]", "gradients[2]"])
        .map(|(array, name)| borrow::<f32>(array, name, &["height", "width"]))
        .collect::<PyResult<Vec<_>>>()?;
    let &[height, width] = arrays[0].shape() else { unreachable!("borrowed as two axes") };
    let planes = [arrays[0].as_slice()?, arrays[1].as_slice()?, arrays[2].as_slice()?];
    let gradients = Gradients { width, height, planes };
    let [base, other] =
        run_shared(py, || blocks::adjoint(gradients, &blocks.0)).map_err(convert)?;
    let to_numpy = |[y, u, v]: [Vec<f32>; 3]| -> PyResult<NumpyPlanes<'py, f32>> {
        let half = [height.div_ceil(2), width.div_ceil(2)];
        let plane = |sums, size: [usize; 2]| PyArray1::from_vec(py, sums).reshape(size);
        Ok((plane(y, [height, width])?, plane(u, half)?, plane(v, half)?))
    };
    Ok((to_numpy(base)?, to_numpy(other)?))
}
