// Forward and backward of the block and of its neighbours for training on the CPU, float32,
// channels last.
//
// The plain PyTorch modules, with the rounding of `quantised.py`, define the results; these
// functions make fewer passes over memory. Weights come rounded, inputs are rounded here.
// Matrix products go to the BLAS inside PyTorch, handed over as a function pointer, so that this
// file needs none of PyTorch's headers and compiles in seconds; or, if asked, to bfloat16.h.
// Gradients of parameters are added to the buffers given; gradients of inputs are written.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bfloat16.h"

namespace {

using Sgemm = void (*)(const char*, const char*, const int*, const int*, const int*, const float*,
                       const float*, const int*, const float*, const int*, const float*, float*,
                       const int*);

Sgemm sgemm = nullptr;

// Rows of positions that go through a chain of products together: what they touch stays in the
// second-level cache.
constexpr int64_t CHUNK = 192;

// c [m, n] = beta * c + alpha * a [m, k] * b [k, n], either factor stored transposed if asked; all
// stored row by row, with the given distances of rows. BLAS sees columns, and so c^T = b^T a^T.
void multiply(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, bool a_turned,
              const float* b, int64_t b_row, bool b_turned, float alpha, float beta, float* c,
              int64_t c_row) {
    const int rows = int(m), columns = int(n), inner = int(k);
    const int lda = int(a_row), ldb = int(b_row), ldc = int(c_row);
    sgemm(b_turned ? "T" : "N", a_turned ? "T" : "N", &columns, &rows, &inner, &alpha, b, &ldb, a,
          &lda, &beta, c, &ldc);
}

// Whether products of layers are made in bfloat16; those of `orthogonalise` never are.
bool reduced = false;

// Words of packed factors that nobody needs after the product; kept by the thread.
uint32_t* room(std::vector<uint32_t>& store, int64_t words) {
    if (store.size() < size_t(words)) store.resize(size_t(words));
    return store.data();
}

thread_local std::vector<uint32_t> left_room, right_room;

// A weight as the right factor of products, packed once for all of them where that is needed.
struct Factor {
    const float* weight;
    int64_t inner, columns;
    bool turned;  // lies as [columns, inner]
    const uint32_t* packed = nullptr;

    static int64_t floats(int64_t inner, int64_t columns) {
#ifdef __AVX512BF16__
        return reduced ? bfloat16::right_words(inner, columns) : 0;
#else
        return 0;
#endif
    }

    Factor(const float* weight, int64_t inner, int64_t columns, bool turned, float* space)
        : weight(weight), inner(inner), columns(columns), turned(turned) {
#ifdef __AVX512BF16__
        if (!reduced) return;
        auto* words = reinterpret_cast<uint32_t*>(space);
        if (turned)
            bfloat16::pack_right_turned(inner, columns, weight, inner, words);
        else
            bfloat16::pack_right(inner, columns, weight, columns, words);
        packed = words;
#endif
    }

    // c [rows, columns] = beta * c + a [rows, inner] * this; beta is 0 or 1
    void product(int64_t rows, const float* a, float beta, float* c) const {
#ifdef __AVX512BF16__
        if (reduced) {
            const auto left = bfloat16::pack_left(
                rows, inner, a, inner, room(left_room, bfloat16::left_words(rows, inner)));
            bfloat16::multiply(rows, columns, inner, left, packed, beta == 0, c, columns);
            return;
        }
#endif
        multiply(rows, columns, inner, a, inner, false, weight, turned ? inner : columns, turned, 1,
                 beta, c, columns);
    }
};

// The same for a single product.
void single(const float* weight, int64_t inner, int64_t columns, bool turned, int64_t rows,
            const float* a, float beta, float* c) {
    auto* space = room(right_room, Factor::floats(inner, columns));
    Factor(weight, inner, columns, turned, reinterpret_cast<float*>(space))
        .product(rows, a, beta, c);
}

// c [m, n] = beta * c + a [m, k] * w [n, k]^T
void product(int64_t m, int64_t n, int64_t k, const float* a, const float* w, float beta,
             float* c) {
    single(w, k, n, true, m, a, beta, c);
}

// c [m, k] = beta * c + a [m, n] * w [n, k]
void product_back(int64_t m, int64_t n, int64_t k, const float* a, const float* w, float beta,
                  float* c) {
    single(w, n, k, false, m, a, beta, c);
}

// c [n, k] += a [m, n]^T * b [m, k]
void product_weights(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
#ifdef __AVX512BF16__
    if (reduced) {
        const auto left = bfloat16::pack_left_turned(
            n, m, a, n, room(left_room, bfloat16::left_words(n, m)));
        uint32_t* right = room(right_room, bfloat16::right_words(m, k));
        bfloat16::pack_right(m, k, b, k, right);
        bfloat16::multiply(n, k, m, left, right, false, c, k);
        return;
    }
#endif
    multiply(n, k, m, a, n, true, b, k, false, 1, 1, c, k);
}

// x * clamp(x + 1/2, 0, 1)
inline float activate(float x) { return x * std::min(std::max(x + 0.5f, 0.0f), 1.0f); }

inline float slope(float x) {
    const float inside = 2 * x + 0.5f;
    return x <= -0.5f ? 0.0f : (x >= 0.5f ? 1.0f : inside);
}

void fill_rows(int64_t rows, int64_t c, const float* row, float* out) {
    for (int64_t i = 0; i < rows; ++i) std::memcpy(out + i * c, row, size_t(c) * sizeof(float));
}

// In place, too.
void add_row(int64_t rows, int64_t c, const float* x, const float* row, float* out) {
    for (int64_t i = 0; i < rows; ++i)
#pragma GCC ivdep
        for (int64_t j = 0; j < c; ++j) out[i * c + j] = x[i * c + j] + row[j];
}

// sums [c] += sums over the rows
void sum_rows(int64_t rows, int64_t c, const float* x, float* __restrict sums) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < c; ++j) sums[j] += x[i * c + j];
}

// Memory of a call that nobody needs afterwards; kept by the thread for the next call.
struct Scratch {
    std::vector<float> store;
    size_t used = 0;
    void reserve(int64_t floats) {
        if (store.size() < size_t(floats) + 1024) store.resize(size_t(floats) + 1024);
        used = 0;
    }
    float* take(int64_t floats) {
        float* p = store.data() + used;
        used += (size_t(floats) + 15) / 16 * 16;
        return p;
    }
};

thread_local Scratch scratch;

struct Shape {
    int64_t n, h, w, c;
    int64_t rows() const { return n * h * w; }
    int64_t padded() const { return n * (h + 2) * (w + 2) * c; }
    // Offset of a row of a sample in the padded picture, behind the left border.
    int64_t line(int64_t sample, int64_t y) const {
        return ((sample * (h + 2) + y + 1) * (w + 2) + 1) * c;
    }
};

void clear_borders(const Shape& s, float* padded) {
    const size_t line = size_t(s.w + 2) * size_t(s.c) * sizeof(float);
    const size_t cell = size_t(s.c) * sizeof(float);
    for (int64_t i = 0; i < s.n; ++i) {
        std::memset(padded + s.line(i, -1) - s.c, 0, line);
        std::memset(padded + s.line(i, s.h) - s.c, 0, line);
        for (int64_t y = 0; y < s.h; ++y) {
            std::memset(padded + s.line(i, y) - s.c, 0, cell);
            std::memset(padded + s.line(i, y) + s.w * s.c, 0, cell);
        }
    }
}

// [c, 3, 3] to [3, 3, c]
void taps_outside(int64_t c, const float* kernel, float* __restrict taps) {
    for (int64_t j = 0; j < c; ++j)
        for (int t = 0; t < 9; ++t) taps[t * c + j] = kernel[j * 9 + t];
}

// Sixteen channels at once; one register where the machine has them so wide.
typedef float Lanes __attribute__((vector_size(64)));

template <typename T>
inline T load(const float* p) {
    T lanes;
    std::memcpy(&lanes, p, sizeof lanes);
    return lanes;
}

template <typename T>
inline void store(float* p, T lanes) {
    std::memcpy(p, &lanes, sizeof lanes);
}

// Beyond, a row's largest value counts as zero; as in `integer.py`.
constexpr float LEAST = 0x1p-100f, MOST = 0x1p40f;

template <typename T>
inline T magnitude(T x, T most) {
    most = x > most ? x : most;
    return -x > most ? -x : most;
}

float largest_of_row(int64_t c, const float* x, const float* factor) {
    Lanes most = {};
    int64_t j = 0;
    for (; j + 16 <= c; j += 16)
        most = magnitude(load<Lanes>(x + j) * load<Lanes>(factor + j), most);
    float largest = 0;
    for (int l = 0; l < 16; ++l) largest = std::max(largest, most[l]);
    for (; j < c; ++j) largest = magnitude(x[j] * factor[j], largest);
    return largest >= LEAST && largest <= MOST ? largest : 0.0f;
}

// What a layer's inputs [rows, c] stand for once they are rounded; in place, too. `rounding` has
// the factor of each channel, its inverse, and the largest integer.
void round_inputs(int64_t rows, int64_t c, const float* rounding, const float* x, float* out) {
    const float *factor = rounding, *inverse = rounding + c;
    const float whole = rounding[2 * c];
    for (int64_t i = 0; i < rows; ++i, x += c, out += c) {
        const float largest = largest_of_row(c, x, factor);
        const float steps = largest > 0 ? whole / largest : 0.0f, step = largest / whole;
#pragma GCC ivdep
        for (int64_t j = 0; j < c; ++j)
            out[j] = std::nearbyint(x[j] * factor[j] * steps) * step * inverse[j];
    }
}

void activate_into_padded(const Shape& s, const float* u, const float* bias, float* padded) {
    const int64_t c = s.c;
    for (int64_t i = 0; i < s.n; ++i)
        for (int64_t y = 0; y < s.h; ++y) {
            const float* from = u + (i * s.h + y) * s.w * c;
            float* __restrict to = padded + s.line(i, y);
            for (int64_t x = 0; x < s.w; ++x)
                for (int64_t j = 0; j < c; ++j)
                    to[x * c + j] = activate(from[x * c + j] + bias[j]);
        }
}

// Channels j … j + the lanes of T, at all positions.
template <typename T>
void depthwise_lanes(const Shape& s, int64_t j, const float* padded, const float* taps,
                     const float* bias, float* out) {
    const int64_t c = s.c, stride = (s.w + 2) * c;
    T tap[9];
    for (int t = 0; t < 9; ++t) tap[t] = load<T>(taps + t * c + j);
    const T start = load<T>(bias + j);
    for (int64_t i = 0; i < s.n; ++i)
        for (int64_t y = 0; y < s.h; ++y) {
            const float* from = padded + s.line(i, y) + j;
            float* to = out + (i * s.h + y) * s.w * c + j;
            for (int64_t x = 0; x < s.w; ++x, from += c, to += c) {
                T sum = start;
                for (int t = 0; t < 9; ++t)
                    sum += load<T>(from + (t / 3 - 1) * stride + (t % 3 - 1) * c) * tap[t];
                store<T>(to, sum);
            }
        }
}

void depthwise(const Shape& s, const float* padded, const float* taps, const float* bias,
               float* out) {
    int64_t j = 0;
    for (; j + 16 <= s.c; j += 16) depthwise_lanes<Lanes>(s, j, padded, taps, bias, out);
    for (; j < s.c; ++j) depthwise_lanes<float>(s, j, padded, taps, bias, out);
}

// Gradients of the depthwise convolution: of its taps and bias (added), and of its input.
template <typename T>
void depthwise_back_lanes(const Shape& s, int64_t j, const float* padded_gradient,
                          const float* padded_input, const float* taps, float* taps_gradient,
                          float* bias_gradient, float* input_gradient) {
    const int64_t c = s.c, stride = (s.w + 2) * c;
    T tap[9], back[9] = {}, total = {};
    for (int t = 0; t < 9; ++t) tap[t] = load<T>(taps + (8 - t) * c + j);
    for (int64_t i = 0; i < s.n; ++i)
        for (int64_t y = 0; y < s.h; ++y) {
            const float* gradient = padded_gradient + s.line(i, y) + j;
            const float* input = padded_input + s.line(i, y) + j;
            float* to = input_gradient + (i * s.h + y) * s.w * c + j;
            for (int64_t x = 0; x < s.w; ++x, gradient += c, input += c, to += c) {
                const T centre = load<T>(gradient);
                T sum = {};
                for (int t = 0; t < 9; ++t) {
                    const int64_t cell = (t / 3 - 1) * stride + (t % 3 - 1) * c;
                    sum += load<T>(gradient + cell) * tap[t];
                    back[t] += load<T>(input + cell) * centre;
                }
                total += centre;
                store<T>(to, sum);
            }
        }
    for (int t = 0; t < 9; ++t) store<T>(taps_gradient + t * c + j, back[t]);
    store<T>(bias_gradient + j, load<T>(bias_gradient + j) + total);
}

void depthwise_back(const Shape& s, const float* padded_gradient, const float* padded_input,
                    const float* taps, float* taps_gradient, float* bias_gradient,
                    float* input_gradient) {
    int64_t j = 0;
    for (; j + 16 <= s.c; j += 16)
        depthwise_back_lanes<Lanes>(s, j, padded_gradient, padded_input, taps, taps_gradient,
                                    bias_gradient, input_gradient);
    for (; j < s.c; ++j)
        depthwise_back_lanes<float>(s, j, padded_gradient, padded_input, taps, taps_gradient,
                                    bias_gradient, input_gradient);
}

// gradient of u (in place) from that of activate(u + bias); its sums are added to `sums`
void activate_back(int64_t rows, int64_t c, const float* u, const float* bias,
                   float* __restrict gradient, float* __restrict sums) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < c; ++j) {
            const float back = gradient[i * c + j] * slope(u[i * c + j] + bias[j]);
            gradient[i * c + j] = back;
            sums[j] += back;
        }
}

// g [rows, 2c] = sum of the two activated halves of u + bias, [rows, 4c]
void fold(int64_t rows, int64_t half, const float* u, const float* bias, float* __restrict g) {
    for (int64_t i = 0; i < rows; ++i) {
        const float* first = u + i * 2 * half;
        const float* second = first + half;
        for (int64_t j = 0; j < half; ++j)
            g[i * half + j] = activate(first[j] + bias[j]) + activate(second[j] + bias[half + j]);
    }
}

// The same, and the gradient of u from that of g; sums of the former are added to `sums`.
void fold_back(int64_t rows, int64_t half, const float* u, const float* bias,
               const float* g_gradient, float* __restrict g, float* __restrict u_gradient,
               float* __restrict sums) {
    for (int64_t i = 0; i < rows; ++i) {
        const float* first = u + i * 2 * half;
        const float* second = first + half;
        float* __restrict to = u_gradient + i * 2 * half;
        for (int64_t j = 0; j < half; ++j) {
            const float a = first[j] + bias[j], b = second[j] + bias[half + j];
            const float back = g_gradient[i * half + j];
            g[i * half + j] = activate(a) + activate(b);
            const float to_a = back * slope(a), to_b = back * slope(b);
            to[j] = to_a;
            to[half + j] = to_b;
            sums[j] += to_a;
            sums[half + j] += to_b;
        }
    }
}

// How the inputs of a block's layers are rounded; the adaptor's may be null.
struct Roundings {
    const float *adaptor, *in, *out, *mix_in, *mix_out;
};

// Parameters of a block, or their gradients; the adaptor's may be null.
struct Block {
    float *adaptor, *adaptor_bias, *in, *in_bias, *kernel, *kernel_bias, *out, *out_bias, *mix_in,
        *mix_in_bias, *mix_out, *mix_out_bias;
};

// What a block's forward pass leaves for the way back: the rounded inputs of its layers, and
// products without their biases.
struct Saved {
    float *x, *u, *d, *y, *m, *input;
    Saved(const Shape& s, float* store) {
        const int64_t size = s.rows() * s.c;
        x = store;
        u = x + size;
        d = u + size;
        y = d + size;
        m = y + size;
        input = m + 4 * size;
    }
};

// Squares [r, r] that are symmetric: only the blocks on and above the diagonal are computed.
struct Symmetric {
    int64_t r;

    // Whole tiles of `mirror`, so that these find all they read.
    int64_t block() const { return r >= 128 && r % 64 == 0 ? r / 4 : r; }

    // The part below the diagonal from that above.
    void mirror(float* c) const {
        int64_t i = 0;
        for (; i + 16 <= r; i += 16) {
            int64_t j = i;
            for (; j + 16 <= r; j += 16) transpose(c + i * r + j, c + j * r + i);
            for (; j < r; ++j)
                for (int64_t y = i; y < i + 16; ++y) c[j * r + y] = c[y * r + j];
        }
        for (; i < r; ++i)
            for (int64_t j = i + 1; j < r; ++j) c[j * r + i] = c[i * r + j];
    }

    // 16 x 16 values: halves of halves change places.
    void transpose(const float* from, float* to) const {
        Lanes rows[16];
        for (int i = 0; i < 16; ++i) rows[i] = load<Lanes>(from + i * r);
        exchange<8>(rows);
        exchange<4>(rows);
        exchange<2>(rows);
        exchange<1>(rows);
        for (int i = 0; i < 16; ++i) store(to + i * r, rows[i]);
    }

    template <int STEP>
    static void exchange(Lanes* rows) {
        typedef int Indices __attribute__((vector_size(64)));
        Indices upper, lower;
        for (int l = 0; l < 16; ++l) {
            upper[l] = l & STEP ? 16 + l - STEP : l;
            lower[l] = l & STEP ? 16 + l : l + STEP;
        }
        for (int i = 0; i < 16; ++i)
            if (!(i & STEP)) {
                const Lanes a = rows[i], b = rows[i + STEP];
                rows[i] = __builtin_shuffle(a, b, upper);
                rows[i + STEP] = __builtin_shuffle(a, b, lower);
            }
    }

    // c = a * b of symmetric matrices that commute
    void multiply(const float* a, const float* b, float* c) const {
        for (int64_t i = 0; i < r; i += block())
            ::multiply(block(), r - i, r, a + i * r, r, false, b + i, r, false, 1, 0,
                       c + i * r + i, r);
        mirror(c);
    }

    // c = alpha * x * x^T for x [r, k], or x^T * x for x [k, r]
    void gram(int64_t k, const float* x, bool tall, float alpha, float* c) const {
        for (int64_t i = 0; i < r; i += block())
            if (tall)
                ::multiply(block(), r - i, k, x + i, r, true, x + i, r, false, alpha, 0,
                           c + i * r + i, r);
            else
                ::multiply(block(), r - i, k, x + i * k, k, false, x + i * k, k, true, alpha, 0,
                           c + i * r + i, r);
        mirror(c);
    }
};

}  // namespace

extern "C" {

void ui2c_set_sgemm(void* function) { sgemm = reinterpret_cast<Sgemm>(function); }

// Products of layers in bfloat16 from now on, or in float32 again. Returns whether they are in
// bfloat16, which takes a processor that has it.
int ui2c_set_reduced(int wanted) {
#ifdef __AVX512BF16__
    reduced = wanted != 0;
#else
    (void)wanted;
#endif
    return reduced;
}

// `saved`: rows * 8c floats, with an adaptor rows * (8c + inputs).
void ui2c_block_forward(int64_t n, int64_t h, int64_t w, int64_t inputs, int64_t c,
                        const Block* p, const Roundings* r, const float* input, float* saved,
                        float* out) {
    const Shape s{n, h, w, c};
    const bool adapts = p->adaptor != nullptr;
    const Saved v(s, saved);
    const int64_t square = Factor::floats(c, c), wide = Factor::floats(c, 4 * c),
                  narrow = Factor::floats(2 * c, c);
    scratch.reserve(s.padded() + s.rows() * c + 9 * c + CHUNK * 2 * c + square + wide + narrow +
                    128);
    float* padded = scratch.take(s.padded());
    float* taps = scratch.take(9 * c);
    float* g = scratch.take(CHUNK * 2 * c);
    const Factor to_out(p->out, c, c, true, scratch.take(square));
    const Factor to_mix(p->mix_in, c, 4 * c, true, scratch.take(wide));
    const Factor from_mix(p->mix_out, 2 * c, c, true, scratch.take(narrow));
    const float* x = input;
    if (adapts) {
        float* adapted = scratch.take(s.rows() * c);
        round_inputs(s.rows(), inputs, r->adaptor, input, v.input);
        fill_rows(s.rows(), c, p->adaptor_bias, adapted);
        product(s.rows(), c, inputs, v.input, p->adaptor, 1, adapted);
        x = adapted;
    }
    round_inputs(s.rows(), c, r->in, x, v.x);
    product(s.rows(), c, c, v.x, p->in, 0, v.u);
    clear_borders(s, padded);
    activate_into_padded(s, v.u, p->in_bias, padded);
    taps_outside(c, p->kernel, taps);
    depthwise(s, padded, taps, p->kernel_bias, v.d);
    for (int64_t i = 0; i < s.rows(); i += CHUNK) {
        const int64_t rows = std::min(CHUNK, s.rows() - i);
        float* d = v.d + i * c;
        float* y = v.y + i * c;
        float* m = v.m + i * 4 * c;
        float* to = out + i * c;
        round_inputs(rows, c, r->out, d, d);
        add_row(rows, c, x + i * c, p->out_bias, to);
        to_out.product(rows, d, 1, to);
        round_inputs(rows, c, r->mix_in, to, y);
        to_mix.product(rows, y, 0, m);
        fold(rows, 2 * c, m, p->mix_in_bias, g);
        round_inputs(rows, 2 * c, r->mix_out, g, g);
        add_row(rows, c, to, p->mix_out_bias, to);
        from_mix.product(rows, g, 1, to);
    }
}

// Adds to the gradients `q`; writes that of the input unless it is null.
void ui2c_block_backward(int64_t n, int64_t h, int64_t w, int64_t inputs, int64_t c,
                         const Block* p, const Roundings* r, const Block* q, float* saved,
                         const float* out_gradient, float* input_gradient) {
    const Shape s{n, h, w, c};
    const bool adapts = p->adaptor != nullptr;
    const Saved v(s, saved);
    const int64_t square = Factor::floats(c, c), wide = Factor::floats(c, 2 * c),
                  narrow = Factor::floats(4 * c, c);
    scratch.reserve(2 * s.padded() + 3 * s.rows() * c + CHUNK * 8 * c + 18 * c + square + wide +
                    narrow + 256);
    float* padded = scratch.take(s.padded());
    float* padded_gradient = scratch.take(s.padded());
    float* dx = scratch.take(s.rows() * c);
    float* dd = scratch.take(s.rows() * c);
    float* du = scratch.take(s.rows() * c);
    float* g = scratch.take(CHUNK * 2 * c);
    float* dg = scratch.take(CHUNK * 2 * c);
    float* dm = scratch.take(CHUNK * 4 * c);
    float* taps = scratch.take(9 * c);
    float* dtaps = scratch.take(9 * c);
    const Factor out_back(p->out, c, c, false, scratch.take(square));
    const Factor mix_out_back(p->mix_out, c, 2 * c, false, scratch.take(wide));
    const Factor mix_in_back(p->mix_in, 4 * c, c, false, scratch.take(narrow));
    if (!adapts && input_gradient != nullptr) dx = input_gradient;

    for (int64_t i = 0; i < s.rows(); i += CHUNK) {
        const int64_t rows = std::min(CHUNK, s.rows() - i);
        const float* back = out_gradient + i * c;
        const float* y = v.y + i * c;
        float* dy = dx + i * c;
        mix_out_back.product(rows, back, 0, dg);
        fold_back(rows, 2 * c, v.m + i * 4 * c, p->mix_in_bias, dg, g, dm, q->mix_in_bias);
        round_inputs(rows, 2 * c, r->mix_out, g, g);
        product_weights(rows, c, 2 * c, back, g, q->mix_out);
        sum_rows(rows, c, back, q->mix_out_bias);
        product_weights(rows, 4 * c, c, dm, y, q->mix_in);
        std::memcpy(dy, back, size_t(rows * c) * sizeof(float));
        mix_in_back.product(rows, dm, 1, dy);
        product_weights(rows, c, c, dy, v.d + i * c, q->out);
        sum_rows(rows, c, dy, q->out_bias);
        out_back.product(rows, dy, 0, dd + i * c);
    }
    clear_borders(s, padded);
    clear_borders(s, padded_gradient);
    activate_into_padded(s, v.u, p->in_bias, padded);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t y = 0; y < h; ++y)
            std::memcpy(padded_gradient + s.line(i, y), dd + (i * h + y) * w * c,
                        size_t(w * c) * sizeof(float));
    taps_outside(c, p->kernel, taps);
    depthwise_back(s, padded_gradient, padded, taps, dtaps, q->kernel_bias, du);
    activate_back(s.rows(), c, v.u, p->in_bias, du, q->in_bias);
    for (int64_t j = 0; j < c; ++j)
        for (int t = 0; t < 9; ++t) q->kernel[j * 9 + t] += dtaps[t * c + j];
    product_weights(s.rows(), c, c, du, v.x, q->in);
    product_back(s.rows(), c, c, du, p->in, 1, dx);
    if (adapts) {
        product_weights(s.rows(), c, inputs, dx, v.input, q->adaptor);
        sum_rows(s.rows(), c, dx, q->adaptor_bias);
        if (input_gradient != nullptr)
            product_back(s.rows(), c, inputs, dx, p->adaptor, 0, input_gradient);
    }
}

// out [rows, outputs] = rounded input [rows, inputs] * weight^T + bias
void ui2c_linear_forward(int64_t rows, int64_t inputs, int64_t outputs, const float* weight,
                         const float* bias, const float* rounding, const float* input,
                         float* rounded, float* out) {
    round_inputs(rows, inputs, rounding, input, rounded);
    fill_rows(rows, outputs, bias, out);
    product(rows, outputs, inputs, rounded, weight, 1, out);
}

void ui2c_linear_backward(int64_t rows, int64_t inputs, int64_t outputs, const float* weight,
                          float* weight_gradient, float* bias_gradient, const float* rounded,
                          const float* out_gradient, float* input_gradient) {
    product_weights(rows, outputs, inputs, out_gradient, rounded, weight_gradient);
    sum_rows(rows, outputs, out_gradient, bias_gradient);
    if (input_gradient != nullptr)
        product_back(rows, outputs, inputs, out_gradient, weight, 0, input_gradient);
}

// Newton-Schulz iteration on the Gram matrix of x [rows, columns], as in `orthogonalise`.
void ui2c_orthogonalise(int64_t rows, int64_t columns, int64_t steps, const float* x, float* out) {
    const bool tall = rows > columns;
    const Symmetric square{std::min(rows, columns)};
    const int64_t r = square.r, k = std::max(rows, columns), size = r * r;
    const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
    scratch.reserve(6 * size + 128);
    float *gram = scratch.take(size), *power = scratch.take(size), *factor = scratch.take(size),
          *half = scratch.take(size), *total = scratch.take(size), *next = scratch.take(size);
    double squares = 0;
    for (int64_t i = 0; i < rows; ++i) {
        float sum = 0;
        for (int64_t j = 0; j < columns; ++j) sum += x[i * columns + j] * x[i * columns + j];
        squares += sum;
    }
    const float scale = 1 / (float(std::sqrt(squares)) + 1e-7f);
    square.gram(k, x, tall, scale * scale, gram);
    for (int64_t step = 0; step < steps; ++step) {
        square.multiply(gram, gram, power);
        for (int64_t i = 0; i < size; ++i) factor[i] = b * gram[i] + c * power[i];
        for (int64_t i = 0; i < r; ++i) factor[i * r + i] += a;
        if (step == 0) {
            std::memcpy(total, factor, size_t(size) * sizeof(float));
        } else {
            square.multiply(total, factor, next);
            std::swap(total, next);
        }
        if (step + 1 < steps) {
            square.multiply(factor, gram, half);
            square.multiply(half, factor, gram);
        }
    }
    if (tall)
        multiply(rows, r, r, x, r, false, total, r, false, scale, 0, out, r);
    else
        multiply(r, k, r, total, r, false, x, k, false, scale, 0, out, k);
}

}  // extern "C"
