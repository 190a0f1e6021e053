/* One time step of each model, forward and back, and the loss. Shapes: see sequence.c. */
#pragma once

#include "common.h"

typedef struct {
    size_t B, T, D, H, G, O;
    Products recurrent, output; /* over the hidden state, in fp32 or bf16; of the output layer, always in fp32 */
} Net;

/* The parameters, or their gradients, one after the other as in the model's parameters() */
typedef struct {
    float *W_x, *W_h, *b, *W_p, *b_p; /* [D, G] [H, G] [G] [H, O] [O] */
} Parameters;

static Parameters split(const Net *net, float *all) {
    Parameters p;
    p.W_x = all;
    p.W_h = p.W_x + net->D * net->G;
    p.b = p.W_h + net->H * net->G;
    p.W_p = p.b + net->G;
    p.b_p = p.W_p + net->H * net->O;
    return p;
}

/* row [N] += bias + x_b W_x, for one sequence: x_b [D], W_x [D, N] */
static inline void add_input(size_t D, size_t N, const float *x, const float *W_x, const float *bias,
                             float *restrict row) {
    for (size_t j = 0; j < N; j++) row[j] += bias[j] + x[0] * W_x[j];
    for (size_t d = 1; d < D; d++)
        for (size_t j = 0; j < N; j++) row[j] += x[d] * W_x[d * N + j];
}

/* d_bias [N] += row,  dW_x [D, N] += x_b^T row */
static inline void add_input_gradient(size_t D, size_t N, const float *x, const float *row, float *restrict dW_x,
                                      float *restrict d_bias) {
    for (size_t j = 0; j < N; j++) {
        d_bias[j] += row[j];
        dW_x[j] += x[0] * row[j];
    }
    for (size_t d = 1; d < D; d++)
        for (size_t j = 0; j < N; j++) dW_x[d * N + j] += x[d] * row[j];
}

/* One time step of M sequences. z [M, G] comes as h_{t-1} W_h, and leaves as `backward` wants it; c_before comes as
 * c_{t-1} (zeros at the first step); leaves c, tanh(c) and h [M, H]. A model without c uses h alone. */
typedef void Forward(const Net *net, size_t M, const float *x, const Parameters *p, const float *restrict c_before,
                     float *restrict z, float *restrict c, float *restrict tanh_c, float *restrict h);

/* Back through it, from dh [M, H] = dloss/dh_t: leaves dloss/d(gate arguments) in z and adds to the gradients of W_x
 * and b. dc comes as what reaches c_t by way of c_{t+1}, and leaves as what reaches c_{t-1} by way of c_t. */
typedef void Backward(const Net *net, size_t M, const float *x, const Parameters *gradient,
                      const float *restrict c_before, const float *restrict tanh_c, const float *restrict h,
                      const float *restrict dh, float *restrict dc, float *restrict z);

/* h_t = tanh(z) */
static void vanilla_rnn_forward(const Net *net, size_t M, const float *x, const Parameters *p,
                                const float *restrict c_before, float *restrict z, float *restrict c,
                                float *restrict tanh_c, float *restrict h) {
    (void)c_before, (void)c, (void)tanh_c;
    const size_t D = net->D, H = net->H;
    for (size_t m = 0; m < M; m++, x += D, z += H, h += H) {
        add_input(D, H, x, p->W_x, p->b, z);
        for (size_t j = 0; j < H; j++) h[j] = hyperbolic_tangent(z[j]);
    }
}

/* dloss/dz = dloss/dh (1 - tanh(z)^2), with h = tanh(z) */
static void vanilla_rnn_backward(const Net *net, size_t M, const float *x, const Parameters *gradient,
                                 const float *restrict c_before, const float *restrict tanh_c,
                                 const float *restrict h, const float *restrict dh, float *restrict dc,
                                 float *restrict z) {
    (void)c_before, (void)tanh_c, (void)dc;
    const size_t D = net->D, H = net->H;
    for (size_t m = 0; m < M; m++, x += D, z += H, h += H, dh += H) {
        for (size_t j = 0; j < H; j++) z[j] = dh[j] * (1.0f - h[j] * h[j]);
        add_input_gradient(D, H, x, z, gradient->W_x, gradient->b);
    }
}

/* i, f, o = sigmoid, g = tanh of z's blocks, which they replace;  c_t = g i + c_{t-1} f,  h_t = tanh(c_t) o */
static void lstm_forward(const Net *net, size_t M, const float *x, const Parameters *p,
                         const float *restrict c_before, float *restrict z, float *restrict c, float *restrict tanh_c,
                         float *restrict h) {
    const size_t D = net->D, H = net->H, G = net->G;
    for (size_t m = 0; m < M; m++, x += D, z += G, h += H, c_before += H, c += H, tanh_c += H) {
        add_input(D, G, x, p->W_x, p->b, z);
        for (size_t j = 0; j < 3 * H; j++) z[j] = sigmoid(z[j]);
        for (size_t j = 3 * H; j < 4 * H; j++) z[j] = hyperbolic_tangent(z[j]);
        for (size_t j = 0; j < H; j++) {
            float i = z[j], f = z[H + j], o = z[2 * H + j], g = z[3 * H + j];
            c[j] = g * i + c_before[j] * f;
            tanh_c[j] = hyperbolic_tangent(c[j]);
            h[j] = tanh_c[j] * o;
        }
    }
}

/* By the chain rule, with sigmoid' = s (1 - s) and tanh' = 1 - tanh^2. c_t reaches the loss by c_{t+1} and by h_t. */
static void lstm_backward(const Net *net, size_t M, const float *x, const Parameters *gradient,
                          const float *restrict c_before, const float *restrict tanh_c, const float *restrict h,
                          const float *restrict dh, float *restrict dc, float *restrict z) {
    (void)h;
    const size_t D = net->D, H = net->H, G = net->G;
    for (size_t m = 0; m < M; m++, x += D, z += G, dh += H, c_before += H, tanh_c += H, dc += H) {
        for (size_t j = 0; j < H; j++) {
            float i = z[j], f = z[H + j], o = z[2 * H + j], g = z[3 * H + j];
            float d = dc[j] + dh[j] * o * (1.0f - tanh_c[j] * tanh_c[j]); /* dloss/dc_t */
            z[j] = d * g * i * (1.0f - i);
            z[H + j] = d * c_before[j] * f * (1.0f - f);
            z[2 * H + j] = dh[j] * tanh_c[j] * o * (1.0f - o);
            z[3 * H + j] = d * i * (1.0f - g * g);
            dc[j] = d * f;
        }
        add_input_gradient(D, G, x, z, gradient->W_x, gradient->b);
    }
}

typedef struct {
    size_t gates; /* G / H */
    bool memory;  /* whether there is a c */
    Forward *forward;
    Backward *backward;
} Cell;

/* In the order of CELLS in sequence.py */
static const Cell CELLS[] = {
    {1, false, vanilla_rnn_forward, vanilla_rnn_backward},
    {4, true, lstm_forward, lstm_backward},
};

/* Mean of -log softmax(logits)[target] and share of correct answers over the batch -> result [2]; logits [B, O] leave
 * as the loss's gradient, (softmax(logits) - onehot(target)) / B */
static void cross_entropy(size_t B, size_t O, const int64_t *target, float *logits, float *result) {
    const float count = (float)B;
    double loss = 0.0;
    size_t correct = 0;
    for (size_t b = 0; b < B; b++, logits += O) {
        const size_t answer = (size_t)target[b];
        float sum = 0.0f;
        size_t best = 0;
        for (size_t j = 1; j < O; j++) best = logits[j] > logits[best] ? j : best;
        /* less the largest, so that no exponential overflows: it cancels in the softmax */
        float top = logits[best], at_target = logits[answer];
        for (size_t j = 0; j < O; j++) sum += logits[j] = expf(logits[j] - top);
        for (size_t j = 0; j < O; j++) logits[j] /= sum * count;
        logits[answer] -= 1.0f / count;
        loss += logf(sum) + top - at_target;
        correct += best == answer;
    }
    result[0] = (float)(loss / (double)B);
    result[1] = (float)correct / count;
}
