/* Whole training steps of a sequence model on one thread of a CPU, without a return to Python between matrix products.
 *
 * Why C: a step consists of some forty products of a hundred microseconds. In PyTorch each of the small operations
 * between them costs 10 to 50 microseconds more. Most of that time goes into fetching PyTorch's own code, which the
 * products' data have driven out of the cache.
 *
 * A step has four parts, which are the functions below:
 *   forward        h_t from h_{t-1} and x_t, for t = 0 ... T - 1
 *   output_layer   logits = h_{T-1} W_p + b_p, the loss, and their gradients
 *   backward       the gradients of W_x, W_h and b, by backpropagation through time
 *   clip, then adam or rmsprop: the update of all parameters
 * In comments dW is dloss/dW, and W' is W transposed. cell.h has the models' own equations, which are those of their
 * files in sequence/models/, and the backward passes.
 *
 * Shapes: B batch, T time steps, D input dim, H hidden dim, O classes; G the columns of W_h, a multiple of H (4H for
 * the LSTM: i, f, o, g); N <= B different first inputs; M any number of rows. All arrays are row-major and contiguous.
 */
#include "cell.h"

/* Room for what a step computes on its way. The first hidden state follows from the first input alone, which is one of
 * ten digits, so sequences that begin alike share it. It is computed, and multiplied by W_h, once for each of the N
 * beginnings. */
typedef struct {
    /* The first step of the N beginnings: x_0 [N, D], z_0 [N, G], the others [N, H] */
    float *x_0, *z_0, *c_0, *tanh_c_0, *h_0, *dh_0, *dc_0;
    float *zeros;  /* [N, H]: c before the first step */
    size_t *group; /* [B]: which of the N beginnings each sequence has */
    /* All time steps: z [T, B, G], the others [T, B, H]. At t = 0, c and h repeat c_0 and h_0 for each sequence, and z
     * is free for an array [N, G]. */
    float *z, *c, *tanh_c, *h;
    float *dh, *dc, *logits;                                 /* [B, H] [B, H] [B, O] */
    float *h_T, *W_T, *W_p_T;                                /* h' [H, B], W_h' [G, H], W_p' [O, H] */
    uint16_t *W_copy, *W_T_copy, *h_copy, *z_copy, *dz_copy; /* copies in bfloat16; the last three are of one step */
} Work;

/* Write the different rows of x [B, D], in the order in which they come, to rows [N, D], and to group [B] which of them
 * each row of x is. Returns N. */
static size_t distinct(size_t B, size_t D, const float *x, float *rows, size_t *group) {
    size_t N = 0;
    for (size_t b = 0; b < B; b++, x += D) {
        size_t k = 0;
        while (k < N && memcmp(rows + k * D, x, D * sizeof(float))) k++;
        if (k == N) memcpy(rows + N++ * D, x, D * sizeof(float));
        group[b] = k;
    }
    return N;
}

/* all [B, width] = rows[group], with rows [N, width] */
static void gather(size_t B, size_t width, const size_t *group, const float *rows, float *all) {
    for (size_t b = 0; b < B; b++) memcpy(all + b * width, rows + group[b] * width, width * sizeof(float));
}

/* Backward pass of `gather`: rows [N, width] = the sum of the rows of `all` [B, width] that belong to each group */
static void sum_groups(size_t B, size_t N, size_t width, const size_t *group, const float *restrict all,
                       float *restrict rows) {
    memset(rows, 0, N * width * sizeof(float));
    for (size_t b = 0; b < B; b++)
        for (size_t j = 0; j < width; j++) rows[group[b] * width + j] += all[b * width + j];
}

/* Take the arrays of `Work` from memory. N is not known yet, so the first step's arrays have room for B rows. */
static void lay_out(const Net *net, Work *w, Memory *memory) {
    const size_t B = net->B, D = net->D, H = net->H, O = net->O, G = net->G, s = sizeof(float);
    const size_t TB = net->T * B; /* cannot overflow: x has at least as many elements */
    w->x_0 = take(memory, s, B, D), w->z_0 = take(memory, s, B, G), w->c_0 = take(memory, s, B, H);
    w->tanh_c_0 = take(memory, s, B, H), w->h_0 = take(memory, s, B, H), w->dh_0 = take(memory, s, B, H);
    w->dc_0 = take(memory, s, B, H), w->zeros = take(memory, s, B, H), w->group = take(memory, sizeof(size_t), B, 1);
    w->z = take(memory, s, TB, G), w->c = take(memory, s, TB, H), w->tanh_c = take(memory, s, TB, H);
    w->h = take(memory, s, TB, H), w->dh = take(memory, s, B, H), w->dc = take(memory, s, B, H);
    w->logits = take(memory, s, B, O), w->h_T = take(memory, s, H, B), w->W_T = take(memory, s, G, H);
    w->W_p_T = take(memory, s, O, H);
    if (net->recurrent.bf16) { /* with room for pairs: of columns in a left matrix, of rows in a right one */
        w->W_copy = take(memory, 2, H + 1, G), w->W_T_copy = take(memory, 2, G + 1, H);
        w->h_copy = take(memory, 2, B + 1, H + 1), w->z_copy = take(memory, 2, B, G + 1);
        w->dz_copy = take(memory, 2, B + 1, G);
    }
}

/* dW_h [H, G] += h' dz, summed over M sequences: h [M, H], dz [M, G]. It follows from z = h W_h + ... */
static void weight_gradient(const Net *net, const Work *w, size_t M, const float *h, const float *dz, float *dW_h) {
    const Products *p = &net->recurrent;
    const size_t H = net->H, G = net->G;
    transpose(M, H, h, H, w->h_T);
    product(p, H, G, M, left(p, H, M, w->h_T, w->h_copy), right(p, M, G, dz, w->dz_copy), true, dW_h, G);
}

/* The forward pass through all time steps of one batch x [T, B, D]. Returns N. */
static size_t forward(const Cell *cell, const Net *net, const Work *w, const float *x, const Parameters *p) {
    const size_t B = net->B, T = net->T, D = net->D, H = net->H, G = net->G, BH = B * H, BG = B * G;
    const Products *products = &net->recurrent;

    /* t = 0, for the N beginnings: the state before is zero, and so is its product with W_h */
    const size_t N = distinct(B, D, x, w->x_0, w->group);
    memset(w->z_0, 0, N * G * sizeof(float));
    cell->forward(net, N, w->x_0, p, w->zeros, w->z_0, w->c_0, w->tanh_c_0, w->h_0);
    /* every sequence gets the state of its beginning */
    gather(B, H, w->group, w->h_0, w->h);
    if (cell->memory) gather(B, H, w->group, w->c_0, w->c);

    const void *W = right(products, H, G, p->W_h, w->W_copy);
    for (size_t t = 1; t < T; t++) {
        float *z = w->z + t * BG, *h_before = w->h + (t - 1) * BH;
        /* z = h_{t-1} W_h; at t = 1 only for the N beginnings */
        if (t == 1) {
            product(products, N, G, H, left(products, N, H, w->h_0, w->h_copy), W, false, w->z, G);
            gather(B, G, w->group, w->z, z);
        } else {
            product(products, B, G, H, left(products, B, H, h_before, w->h_copy), W, false, z, G);
        }
        /* add x_t W_x + b to z, and compute c_t and h_t */
        cell->forward(net, B, x + t * B * D, p, w->c + (t - 1) * BH, z, w->c + t * BH, w->tanh_c + t * BH,
                      w->h + t * BH);
    }
    return N;
}

/* The output layer, logits = h_last W_p + b_p, forward and backward. It writes loss and accuracy to result [2], the
 * gradients of W_p and b_p to d, and dloss/dh_last to w->dh. */
static void output_layer(const Net *net, const Work *w, const int64_t *target, const Parameters *p,
                         const Parameters *d, float *result) {
    const size_t B = net->B, H = net->H, O = net->O;
    const Products *products = &net->output;
    const float *h_last = w->h + (net->T - 1) * B * H;
    /* logits = b_p, then += h_last W_p */
    for (size_t b = 0; b < B; b++) memcpy(w->logits + b * O, p->b_p, O * sizeof(float));
    product(products, B, O, H, h_last, p->W_p, true, w->logits, O);
    cross_entropy(B, O, target, w->logits, result); /* from here on `logits` holds dloss/dlogits */

    /* dW_p = h_last' dlogits */
    transpose(B, H, h_last, H, w->h_T);
    product(products, H, O, B, w->h_T, w->logits, false, d->W_p, O);
    /* db_p = the sum of dlogits over the batch */
    memset(d->b_p, 0, O * sizeof(float));
    for (size_t b = 0; b < B; b++)
        for (size_t j = 0; j < O; j++) d->b_p[j] += w->logits[b * O + j];
    /* dh_last = dlogits W_p' */
    transpose(H, O, p->W_p, O, w->W_p_T);
    product(products, B, H, O, w->logits, w->W_p_T, false, w->dh, H);
}

/* Backpropagation through time: from dloss/dh of the last step, in w->dh, to the gradients of W_x, W_h and b */
static void backward(const Cell *cell, const Net *net, const Work *w, const float *x, size_t N, const Parameters *p,
                     const Parameters *d) {
    const size_t B = net->B, T = net->T, D = net->D, H = net->H, G = net->G, BH = B * H, BG = B * G;
    const Products *products = &net->recurrent;
    transpose(H, G, p->W_h, G, w->W_T);
    const void *W_T = right(products, G, H, w->W_T, w->W_T_copy);
    /* The gradients are sums over the time steps. The last c_t has no step after it, so its dc is 0. */
    memset(d->W_x, 0, D * G * sizeof(float));
    memset(d->b, 0, G * sizeof(float));
    memset(d->W_h, 0, H * G * sizeof(float));
    memset(w->dc, 0, BH * sizeof(float));
    for (size_t t = T - 1; t > 0; t--) {
        float *z = w->z + t * BG;
        /* from dh_t and dc_t to dz_t, in z, and to dc_{t-1}; adds to dW_x and db */
        cell->backward(net, B, x + t * B * D, d, w->c + (t - 1) * BH, w->tanh_c + t * BH, w->h + t * BH, w->dh, w->dc,
                       z);
        if (t == 1) break; /* the products with h_0 follow below */
        /* dW_h += h_{t-1}' dz,  dh_{t-1} = dz W_h' */
        weight_gradient(net, w, B, w->h + (t - 1) * BH, z, d->W_h);
        product(products, B, H, G, left(products, B, G, z, w->z_copy), W_T, false, w->dh, H);
    }
    /* The products of t = 1 are with the N beginnings' h_0. Each h_0 serves all sequences of its group, so the sum of
     * their dz takes the place of dz. */
    if (T > 1) {
        sum_groups(B, N, G, w->group, w->z + BG, w->z);
        weight_gradient(net, w, N, w->h_0, w->z, d->W_h);
        product(products, N, H, G, left(products, N, G, w->z, w->z_copy), W_T, false, w->dh_0, H);
    } else { /* a single time step: its dh comes from the output layer */
        sum_groups(B, N, H, w->group, w->dh, w->dh_0);
    }
    /* t = 0, for the N beginnings: the state before is zero, and so is its part of dW_h */
    sum_groups(B, N, H, w->group, w->dc, w->dc_0);
    cell->backward(net, N, w->x_0, d, w->zeros, w->tanh_c_0, w->h_0, w->dh_0, w->dc_0, w->z_0);
}

/* Scale the gradients, all together as one vector g, to a norm of at most max_norm:
 *   g *= min(1, max_norm / (|g| + 1e-6)) */
static void clip(size_t count, float max_norm, float *gradients) {
    double square = 0.0;
    for (size_t j = 0; j < count; j++) square += (double)gradients[j] * gradients[j];
    float factor = max_norm / ((float)sqrt(square) + 1e-6f);
    if (factor < 1.0f)
        for (size_t j = 0; j < count; j++) gradients[j] *= factor;
}

/* RMSprop, by elements:
 *   squares = alpha squares + (1 - alpha) gradients^2
 *   parameters -= rate gradients / (sqrt(squares) + epsilon) */
static void rmsprop(size_t count, float rate, float alpha, float epsilon, const float *restrict gradients,
                    float *restrict squares, float *restrict parameters) {
    for (size_t j = 0; j < count; j++) {
        squares[j] = alpha * squares[j] + (1.0f - alpha) * gradients[j] * gradients[j];
        parameters[j] -= rate * gradients[j] / (sqrtf(squares[j]) + epsilon);
    }
}

/* Adam (Kingma & Ba, 2015), by elements, at its step number `step`:
 *   means = beta means + (1 - beta) gradients
 *   squares = alpha squares + (1 - alpha) gradients^2
 *   parameters -= rate m / (sqrt(s) + epsilon)  with m = means / (1 - beta^step), s = squares / (1 - alpha^step)
 * The divisions correct both running means for their start at zero. */
static void adam(size_t count, float rate, float beta, float alpha, float epsilon, double step,
                 const float *restrict gradients, float *restrict means, float *restrict squares,
                 float *restrict parameters) {
    const float corrected = (float)(rate / (1.0 - pow(beta, step))), root = (float)sqrt(1.0 - pow(alpha, step));
    for (size_t j = 0; j < count; j++) {
        means[j] = beta * means[j] + (1.0f - beta) * gradients[j];
        squares[j] = alpha * squares[j] + (1.0f - alpha) * gradients[j] * gradients[j];
        parameters[j] -= corrected * means[j] / (sqrtf(squares[j]) / root + epsilon);
    }
}

/* What `train_sequence` takes: K training steps of the model CELLS[cell] on x [K, T, B, D] and target [K, B]. It writes
 * to results [K, 2] the loss and accuracy of each step before its update. `parameters`, their running `squares` and
 * `means`, and their `gradients` are flat arrays; the gradients that remain are the last step's. The update is Adam's,
 * after `done` earlier steps, or RMSprop's if `means` is NULL. An infinite max_norm means no clipping. */
typedef struct {
    size_t cell, K, B, T, D, H, G, O;
    const float *x;
    const int64_t *target;
    float rate, beta, alpha, epsilon, max_norm;
    int64_t done;
    float *parameters, *squares, *means, *gradients, *results;
    Products products;
} Training;

int train_sequence(const Training *a, size_t size) {
    if (size != sizeof *a || a->cell >= sizeof CELLS / sizeof *CELLS) return MISFIT;
    const Cell *cell = &CELLS[a->cell];
    if (a->G != cell->gates * a->H || !a->B || !a->T || !a->D) return MISFIT;
    const Net net = {a->B, a->T, a->D, a->H, a->G, a->O, a->products, {a->products.fp32, NULL, NULL}};
    const size_t count = (a->D + a->H + 1) * a->G + (a->H + 1) * a->O;
    const Parameters p = split(&net, a->parameters), d = split(&net, a->gradients);

    /* count the bytes of the arrays, allocate them, and take the arrays */
    Work work = {0};
    Memory memory = {0};
    lay_out(&net, &work, &memory);
    void *block = allocate(&memory);
    if (!block) return NO_MEMORY;
    lay_out(&net, &work, &memory);
    memset(work.zeros, 0, a->B * a->H * sizeof(float));
    for (size_t k = 0; k < a->K; k++) {
        const float *x = a->x + k * a->T * a->B * a->D;
        const size_t N = forward(cell, &net, &work, x, &p);
        output_layer(&net, &work, a->target + k * a->B, &p, &d, a->results + 2 * k);
        backward(cell, &net, &work, x, N, &p, &d);
        if (a->max_norm < INFINITY) clip(count, a->max_norm, a->gradients);
        if (a->means)
            adam(count, a->rate, a->beta, a->alpha, a->epsilon, (double)a->done + (double)k + 1.0, a->gradients,
                 a->means, a->squares, a->parameters);
        else
            rmsprop(count, a->rate, a->alpha, a->epsilon, a->gradients, a->squares, a->parameters);
    }
    if (a->products.bf16) a->products.release();
    free(block);
    return DONE;
}
