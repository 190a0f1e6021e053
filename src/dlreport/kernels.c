/* What is left of a training step beside its matrix products: one pass over memory for each time step.
 *
 * Shapes as in models/rnn.py and models/lstm.py, all arrays row-major and contiguous, all float32:
 * B batch, D input dim, H hidden dim, O classes. No two arguments of a call may overlap. A gradient of a weight or bias
 * is added to what its array holds.
 *
 * exp and tanh are written out so that the compiler can vectorise the loops; they are within 3 units in the last place
 * (tests/test_kernels.py), and pass NaN and infinity on.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2, and a polynomial for e^r (coefficients: Cephes, expf). */
static inline float exponential(float x) {
    const float rounder = 12582912.0f; /* 1.5 * 2^23: adding it leaves round(x) in the low bits of the sum */
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    float shifted = x * 1.44269504f + rounder, n = shifted - rounder;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    bits = (bits << 23) + 0x3f800000u;
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

/* Near zero 1 - 2 / (e^2x + 1) would cancel: there an odd polynomial (coefficients: Cephes, tanhf). */
static inline float hyperbolic_tangent(float x) {
    float size = fabsf(x), square = x * x;
    float p = -5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    float near = p * square * x + x;
    float far = copysignf(1.0f - 2.0f / (exponential(2.0f * size) + 1.0f), x);
    return size < 0.625f ? near : far;
}

/* row [N] += bias + x_b W_x, for one sequence: x_b [D], W_x [D, N] */
static inline void add_input(int D, int N, const float *x, const float *W_x, const float *bias,
                             float *restrict row) {
    for (int j = 0; j < N; j++) row[j] += bias[j];
    for (int d = 0; d < D; d++)
        for (int j = 0; j < N; j++) row[j] += x[d] * W_x[d * N + j];
}

/* d_bias [N] += row,  dW_x [D, N] += x_b^T row */
static inline void add_input_gradient(int D, int N, const float *x, const float *row, float *restrict dW_x,
                                      float *restrict d_bias) {
    for (int j = 0; j < N; j++) d_bias[j] += row[j];
    for (int d = 0; d < D; d++)
        for (int j = 0; j < N; j++) dW_x[d * N + j] += x[d] * row[j];
}

/* h [B, H] comes as h_{t-1} W_hh (zeros at the first step) and leaves as h_t */
void rnn_forward(int B, int D, int H, const float *x, const float *W_hx, const float *b_h, float *restrict h) {
    for (int b = 0; b < B; b++, h += H) {
        add_input(D, H, x + b * D, W_hx, b_h, h);
        for (int j = 0; j < H; j++) h[j] = hyperbolic_tangent(h[j]);
    }
}

/* da [B, H] = dh * (1 - h^2), the gradient of tanh's argument */
void rnn_backward(int B, int D, int H, const float *x, const float *restrict h, const float *restrict dh,
                  float *restrict da, float *dW_hx, float *db_h) {
    for (int b = 0; b < B; b++, h += H, dh += H, da += H) {
        for (int j = 0; j < H; j++) da[j] = dh[j] * (1.0f - h[j] * h[j]);
        add_input_gradient(D, H, x + b * D, da, dW_hx, db_h);
    }
}

/* z [B, 4H] comes as h_{t-1} W_h and leaves as the gates i, f, o, g; it and c_before are zeros at the first step */
void lstm_forward(int B, int D, int H, const float *x, const float *W_x, const float *bias,
                  const float *restrict c_before, float *restrict z, float *restrict c, float *restrict tanh_c,
                  float *restrict h) {
    for (int b = 0; b < B; b++, z += 4 * H, c_before += H, c += H, tanh_c += H, h += H) {
        add_input(D, 4 * H, x + b * D, W_x, bias, z);
        for (int j = 0; j < 3 * H; j++) z[j] = sigmoid(z[j]);
        for (int j = 3 * H; j < 4 * H; j++) z[j] = hyperbolic_tangent(z[j]);
        for (int j = 0; j < H; j++) {
            float i = z[j], f = z[H + j], o = z[2 * H + j], g = z[3 * H + j];
            c[j] = g * i + c_before[j] * f;
            tanh_c[j] = hyperbolic_tangent(c[j]);
            h[j] = tanh_c[j] * o;
        }
    }
}

/* z [B, 4H] comes as the gates and leaves as the gradient of their arguments; dc [B, H] comes as what reaches c_t from
 * c_{t+1} and leaves as what reaches c_{t-1} from c_t */
void lstm_backward(int B, int D, int H, const float *x, const float *restrict c_before, const float *restrict tanh_c,
                   const float *restrict dh, float *restrict dc, float *restrict z, float *dW_x, float *d_bias) {
    for (int b = 0; b < B; b++, z += 4 * H, c_before += H, tanh_c += H, dh += H, dc += H) {
        for (int j = 0; j < H; j++) {
            float i = z[j], f = z[H + j], o = z[2 * H + j], g = z[3 * H + j];
            float d = dc[j] + dh[j] * o * (1.0f - tanh_c[j] * tanh_c[j]);
            z[j] = d * g * i * (1.0f - i);
            z[H + j] = d * c_before[j] * f * (1.0f - f);
            z[2 * H + j] = dh[j] * tanh_c[j] * o * (1.0f - o);
            z[3 * H + j] = d * i * (1.0f - g * g);
            dc[j] = d * f;
        }
        add_input_gradient(D, 4 * H, x + b * D, z, dW_x, d_bias);
    }
}

/* Mean of -log softmax(logits)[target] and share of correct answers over the batch -> result [2];
 * logits [B, O] leave as the loss's gradient, (softmax(logits) - onehot(target)) / B */
void cross_entropy(int B, int O, const int64_t *target, float *logits, float *result) {
    double loss = 0.0;
    int correct = 0;
    for (int b = 0; b < B; b++) {
        float *restrict row = logits + b * O, sum = 0.0f;
        int best = 0;
        for (int j = 1; j < O; j++) best = row[j] > row[best] ? j : best;
        float top = row[best], at_target = row[target[b]];
        for (int j = 0; j < O; j++) sum += row[j] = expf(row[j] - top);
        for (int j = 0; j < O; j++) row[j] /= sum * B;
        row[target[b]] -= 1.0f / B;
        loss += logf(sum) + top - at_target;
        correct += best == target[b];
    }
    result[0] = loss / B;
    result[1] = (float)correct / B;
}

/* square [N] = alpha square + (1 - alpha) gradient^2;  parameter [N] -= rate gradient / (sqrt(square) + epsilon) */
void rmsprop(int N, const float *restrict gradient, float rate, float alpha, float epsilon, float *restrict square,
             float *restrict parameter) {
    for (int j = 0; j < N; j++) {
        square[j] = alpha * square[j] + (1.0f - alpha) * gradient[j] * gradient[j];
        parameter[j] -= rate * gradient[j] / (sqrtf(square[j]) + epsilon);
    }
}
