/* One time step of each model, forward and back, and the loss. Shapes: see sequence.c. */
#pragma once

#include "common.h"

typedef struct {
    int B, T, D, H, G, O;
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
static inline void add_input(int D, int N, const float *x, const float *W_x, const float *bias, float *restrict row) {
    for (int j = 0; j < N; j++) row[j] += bias[j] + x[0] * W_x[j];
    for (int d = 1; d < D; d++)
        for (int j = 0; j < N; j++) row[j] += x[d] * W_x[d * N + j];
}

/* d_bias [N] += row,  dW_x [D, N] += x_b^T row */
static inline void add_input_gradient(int D, int N, const float *x, const float *row, float *restrict dW_x,
                                      float *restrict d_bias) {
    for (int j = 0; j < N; j++) {
        d_bias[j] += row[j];
        dW_x[j] += x[0] * row[j];
    }
    for (int d = 1; d < D; d++)
        for (int j = 0; j < N; j++) dW_x[d * N + j] += x[d] * row[j];
}

/* One time step of M sequences. z [M, G] comes as h_{t-1} W_h, and leaves as `backward` wants it; c_before comes as
 * c_{t-1} (zeros at the first step); leaves c, tanh(c) and h [M, H]. A model without c uses h alone. */
typedef void Forward(const Net *net, int M, const float *x, const Parameters *p, const float *restrict c_before,
                     float *restrict z, float *restrict c, float *restrict tanh_c, float *restrict h);

/* Back through it, from dh [M, H] = dloss/dh_t: leaves dloss/d(gate arguments) in z and adds to the gradients of W_x
 * and b. dc comes as what reaches c_t by way of c_{t+1}, and leaves as what reaches c_{t-1} by way of c_t. */
typedef void Backward(const Net *net, int M, const float *x, const Parameters *gradient,
                      const float *restrict c_before, const float *restrict tanh_c, const float *restrict h,
                      const float *restrict dh, float *restrict dc, float *restrict z);

/* h_t = tanh(z) */
static void vanilla_rnn_forward(const Net *net, int M, const float *x, const Parameters *p,
                                const float *restrict c_before, float *restrict z, float *restrict c,
                                float *restrict tanh_c, float *restrict h) {
    const int D = net->D, H = net->H;
    for (int m = 0; m < M; m++, x += D, z += H, h += H) {
        add_input(D, H, x, p->W_x, p->b, z);
        for (int j = 0; j < H; j++) h[j] = hyperbolic_tangent(z[j]);
    }
}

static void vanilla_rnn_backward(const Net *net, int M, const float *x, const Parameters *gradient,
                                 const float *restrict c_before, const float *restrict tanh_c,
                                 const float *restrict h, const float *restrict dh, float *restrict dc,
                                 float *restrict z) {
    const int D = net->D, H = net->H;
    for (int m = 0; m < M; m++, x += D, z += H, h += H, dh += H) {
        for (int j = 0; j < H; j++) z[j] = dh[j] * (1.0f - h[j] * h[j]);
        add_input_gradient(D, H, x, z, gradient->W_x, gradient->b);
    }
}

/* i, f, o = sigmoid, g = tanh of z's blocks, which they replace;  c_t = g i + c_{t-1} f,  h_t = tanh(c_t) o */
static void lstm_forward(const Net *net, int M, const float *x, const Parameters *p, const float *restrict c_before,
                         float *restrict z, float *restrict c, float *restrict tanh_c, float *restrict h) {
    const int D = net->D, H = net->H, G = net->G;
    for (int m = 0; m < M; m++, x += D, z += G, h += H, c_before += H, c += H, tanh_c += H) {
        add_input(D, G, x, p->W_x, p->b, z);
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

static void lstm_backward(const Net *net, int M, const float *x, const Parameters *gradient,
                          const float *restrict c_before, const float *restrict tanh_c, const float *restrict h,
                          const float *restrict dh, float *restrict dc, float *restrict z) {
    const int D = net->D, H = net->H, G = net->G;
    for (int m = 0; m < M; m++, x += D, z += G, dh += H, c_before += H, tanh_c += H, dc += H) {
        for (int j = 0; j < H; j++) {
            float i = z[j], f = z[H + j], o = z[2 * H + j], g = z[3 * H + j];
            float d = dc[j] + dh[j] * o * (1.0f - tanh_c[j] * tanh_c[j]);
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
    bool memory; /* whether there is a c */
    Forward *forward;
    Backward *backward;
} Cell;

static const Cell CELLS[] = {
    {false, vanilla_rnn_forward, vanilla_rnn_backward},
    {true, lstm_forward, lstm_backward},
};

/* Mean of -log softmax(logits)[target] and share of correct answers over the batch -> result [2]; logits [B, O] leave
 * as the loss's gradient, (softmax(logits) - onehot(target)) / B */
static void cross_entropy(int B, int O, const int64_t *target, float *logits, float *result) {
    double loss = 0.0;
    int correct = 0;
    for (int b = 0; b < B; b++, logits += O) {
        float sum = 0.0f;
        int best = 0;
        for (int j = 1; j < O; j++) best = logits[j] > logits[best] ? j : best;
        float top = logits[best], at_target = logits[target[b]];
        for (int j = 0; j < O; j++) sum += logits[j] = expf(logits[j] - top);
        for (int j = 0; j < O; j++) logits[j] /= sum * B;
        logits[target[b]] -= 1.0f / B;
        loss += logf(sum) + top - at_target;
        correct += best == target[b];
    }
    result[0] = loss / B;
    result[1] = (float)correct / B;
}
