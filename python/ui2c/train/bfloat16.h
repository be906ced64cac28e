// Matrix products in bfloat16 with sums in float32, for processors that have instructions for it
// (AVX512-BF16): two products a lane, twice the rate of float32 and more than what PyTorch's BLAS
// makes of a processor that is not its maker's own.
//
// Factors come and results go as float32. The left factor is repacked so that a word holds two
// neighbours along the inner dimension, the right one so that a register holds such words of
// sixteen columns. Rounding is to nearest, as the conversion instruction does it.

#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX512BF16__
#include <immintrin.h>

#include <algorithm>

namespace bfloat16 {

constexpr int64_t LANES = 16;
constexpr int64_t TILE_ROWS = 8, TILE_PANELS = 3;
// Words of the inner dimension that go through the tiles at once: panels stay in the cache.
constexpr int64_t DEPTH = 256;

using Word = uint32_t;

inline int64_t pairs(int64_t inner) { return (inner + 1) / 2; }
inline int64_t panels(int64_t columns) { return (columns + LANES - 1) / LANES; }
inline __mmask16 first(int64_t count) {
    return count >= LANES ? __mmask16(0xffff) : __mmask16((1u << std::max<int64_t>(count, 0)) - 1);
}

// Words a packed factor takes.
inline int64_t left_words(int64_t rows, int64_t inner) { return rows * pairs(inner) + LANES; }
inline int64_t right_words(int64_t inner, int64_t columns) {
    return panels(columns) * LANES * pairs(inner);
}

// A packed left factor: the word of row i and pair p lies at i * row + p * pair.
struct Left {
    const Word* words;
    int64_t row, pair;
};

// Sixteen values of each of two rows as sixteen words, the first row in the lower halves.
inline __m512i interleave(__m512 lower, __m512 upper) {
    const __m256i low = (__m256i)_mm512_cvtneps_pbh(lower);
    const __m256i high = (__m256i)_mm512_cvtneps_pbh(upper);
    return _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                           _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}

// Thirty-two neighbours of a row as sixteen words; values from `count` on are zero.
inline __m512i neighbours(const float* from, int64_t count) {
    const __m512 lower = _mm512_maskz_loadu_ps(first(count), from);
    const __m512 upper = _mm512_maskz_loadu_ps(first(count - LANES), from + LANES);
    return (__m512i)_mm512_cvtne2ps_pbh(upper, lower);
}

// x [rows, inner], its rows `stride` apart
inline Left pack_left(int64_t rows, int64_t inner, const float* x, int64_t stride, Word* to) {
    const int64_t row = pairs(inner);
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t k = 0; k < inner; k += 2 * LANES)
            _mm512_mask_storeu_epi32(to + i * row + k / 2, first(row - k / 2),
                                     neighbours(x + i * stride + k, inner - k));
    return {to, row, 1};
}

// x [inner, rows]: the left factor lies turned
inline Left pack_left_turned(int64_t rows, int64_t inner, const float* x, int64_t stride,
                             Word* to) {
    for (int64_t k = 0; k < inner; k += 2)
        for (int64_t i = 0; i < rows; i += LANES) {
            const __mmask16 mask = first(rows - i);
            const __m512 lower = _mm512_maskz_loadu_ps(mask, x + k * stride + i);
            const __m512 upper = k + 1 < inner
                                     ? _mm512_maskz_loadu_ps(mask, x + (k + 1) * stride + i)
                                     : _mm512_setzero_ps();
            _mm512_mask_storeu_epi32(to + k / 2 * rows + i, mask, interleave(lower, upper));
        }
    return {to, 1, rows};
}

// x [inner, columns]
inline void pack_right(int64_t inner, int64_t columns, const float* x, int64_t stride, Word* to) {
    const int64_t depth = pairs(inner);
    for (int64_t k = 0; k < inner; k += 2)
        for (int64_t j = 0; j < columns; j += LANES) {
            const __mmask16 mask = first(columns - j);
            const __m512 lower = _mm512_maskz_loadu_ps(mask, x + k * stride + j);
            const __m512 upper = k + 1 < inner
                                     ? _mm512_maskz_loadu_ps(mask, x + (k + 1) * stride + j)
                                     : _mm512_setzero_ps();
            _mm512_storeu_si512(to + (j * depth + k / 2 * LANES), interleave(lower, upper));
        }
}

// Sixteen registers of sixteen words as their transpose: halves of halves change places.
template <int STEP>
inline void exchange(__m512i* rows) {
    typedef int Indices __attribute__((vector_size(64)));
    Indices upper, lower;
    for (int l = 0; l < 16; ++l) {
        upper[l] = l & STEP ? 16 + l - STEP : l;
        lower[l] = l & STEP ? 16 + l : l + STEP;
    }
    for (int i = 0; i < 16; ++i)
        if (!(i & STEP)) {
            const __m512i a = rows[i], b = rows[i + STEP];
            rows[i] = _mm512_permutex2var_epi32(a, (__m512i)upper, b);
            rows[i + STEP] = _mm512_permutex2var_epi32(a, (__m512i)lower, b);
        }
}

// x [columns, inner]: the right factor lies turned
inline void pack_right_turned(int64_t inner, int64_t columns, const float* x, int64_t stride,
                              Word* to) {
    const int64_t depth = pairs(inner);
    for (int64_t j = 0; j < columns; j += LANES)
        for (int64_t k = 0; k < inner; k += 2 * LANES) {
            __m512i rows[LANES];
            for (int64_t i = 0; i < LANES; ++i)
                rows[i] = j + i < columns ? neighbours(x + (j + i) * stride + k, inner - k)
                                          : _mm512_setzero_si512();
            exchange<8>(rows);
            exchange<4>(rows);
            exchange<2>(rows);
            exchange<1>(rows);
            const int64_t count = std::min(LANES, depth - k / 2);
            for (int64_t p = 0; p < count; ++p)
                _mm512_storeu_si512(to + j * depth + (k / 2 + p) * LANES, rows[p]);
        }
}

// Eight rows by PANELS panels: c = scale * c + left * right over `depth` words.
template <int PANELS>
inline void tile(int64_t rows, int64_t columns, int64_t depth, const Left& left, const Word* right,
                 int64_t panel, bool fresh, float* c, int64_t c_row) {
    // Rows that are not there are computed from the last one and not stored.
    const Word* at[TILE_ROWS];
    for (int64_t i = 0; i < TILE_ROWS; ++i)
        at[i] = left.words + std::min(i, rows - 1) * left.row;
    __m512 sums[TILE_ROWS][PANELS];
#pragma GCC unroll 8
    for (int64_t i = 0; i < TILE_ROWS; ++i)
#pragma GCC unroll 3
        for (int64_t j = 0; j < PANELS; ++j) sums[i][j] = _mm512_setzero_ps();
    for (int64_t p = 0; p < depth; ++p) {
        __m512bh b[PANELS];
#pragma GCC unroll 3
        for (int64_t j = 0; j < PANELS; ++j)
            b[j] = (__m512bh)_mm512_loadu_si512(right + j * panel + p * LANES);
#pragma GCC unroll 8
        for (int64_t i = 0; i < TILE_ROWS; ++i) {
            const __m512bh a = (__m512bh)_mm512_set1_epi32(int(at[i][p * left.pair]));
#pragma GCC unroll 3
            for (int64_t j = 0; j < PANELS; ++j)
                sums[i][j] = _mm512_dpbf16_ps(sums[i][j], a, b[j]);
        }
    }
#pragma GCC unroll 8
    for (int64_t i = 0; i < TILE_ROWS; ++i) {
        if (i >= rows) break;
#pragma GCC unroll 3
        for (int64_t j = 0; j < PANELS; ++j) {
            float* to = c + i * c_row + j * LANES;
            const __mmask16 mask = first(columns - j * LANES);
            const __m512 sum = fresh ? sums[i][j]
                                     : _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sums[i][j]);
            _mm512_mask_storeu_ps(to, mask, sum);
        }
    }
}

// c [rows, columns] = left * right, added to what is there unless `fresh`
inline void multiply(int64_t rows, int64_t columns, int64_t inner, const Left& left,
                     const Word* right, bool fresh, float* c, int64_t c_row) {
    const int64_t whole = pairs(inner), panel = whole * LANES;
    for (int64_t p = 0; p < whole; p += DEPTH) {
        const int64_t depth = std::min(DEPTH, whole - p);
        for (int64_t j = 0; j < columns; j += TILE_PANELS * LANES) {
            const int64_t left_columns = columns - j;
            const Word* b = right + j * whole + p * LANES;
            for (int64_t i = 0; i < rows; i += TILE_ROWS) {
                const Left a{left.words + i * left.row + p * left.pair, left.row, left.pair};
                float* to = c + i * c_row + j;
                const bool first_sums = fresh && p == 0;
                if (left_columns > 2 * LANES)
                    tile<3>(rows - i, left_columns, depth, a, b, panel, first_sums, to, c_row);
                else if (left_columns > LANES)
                    tile<2>(rows - i, left_columns, depth, a, b, panel, first_sums, to, c_row);
                else
                    tile<1>(rows - i, left_columns, depth, a, b, panel, first_sums, to, c_row);
            }
        }
    }
}

}  // namespace bfloat16
#endif
