/* The cases of bench/gpu_counters and the pairs that each of them must visit. */
#include "bench/gpu/counters.h"

static uint64_t all(const CounterCase *c) { return (uint64_t)c->n * c->n; }
static uint64_t causal(const CounterCase *c) { return (uint64_t)c->n * (c->n + 1) / 2; }

static uint64_t window_256(const CounterCase *c)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < c->n; i++) sum += i < 256 ? i + 1 : 256;
    return sum;
}

static uint64_t neighborhood_13(const CounterCase *c) { return (uint64_t)c->n * c->n * 13 * 13; }

/* Elements of a product. */
static uint64_t columns(const CounterCase *c) { return (uint64_t)c->n * c->d; }

#define PRODUCT "bench/gpu/product.attn"

const CounterCase counter_cases[] = {
    {"full, d = 64", "patterns/score/full.attn", {0}, 64, 1, 512, all, 1, 6, 1.05, 2, false, NULL},
    {"full, d = 128", "patterns/score/full.attn", {0}, 128, 1, 512, all, 1, 4, 1.05, 1, false, NULL},
    {"full, d = 256", "patterns/score/full.attn", {0}, 256, 1, 128, all, 1, 6, 0, 1, false, NULL},
    {"causal, d = 64", "patterns/mask/causal.attn", {0}, 64, 1, 512, causal, 0, 6, 1.05, 2, false, NULL},
    {"causal, d = 128", "patterns/mask/causal.attn", {0}, 128, 1, 512, causal, 0, 4, 1.05, 1, false, NULL},
    {"sigmoid, d = 64", "patterns/normaliser/sigmoid.attn", {0}, 64, 1, 512, causal, 0, 0, 0, 2, false, NULL},
    {"full, f32, d = 64", "patterns/score/full.attn", {0}, 64, 1, 512, all, 1, 0.4, 1.05, 2, true, NULL},
    {"full, f32, d = 128", "patterns/score/full.attn", {0}, 128, 1, 256, all, 1, 0.4, 1.05, 2, true, NULL},
    {"causal, 4096", "patterns/mask/causal.attn", {0}, 16, 1, 4096, causal, 1.05, 0, 0, 2, false, NULL},
    {"window 256, 4096",
     "patterns/window/sliding_window.attn",
     {"window=256"},
     16,
     1,
     4096,
     window_256,
     1.30,
     0,
     0,
     2,
     false,
     NULL},
    {"neighborhood 13x13",
     "patterns/window/neighborhood2d.attn",
     {"window=13", "dilation=1"},
     16,
     1,
     64,
     neighborhood_13,
     2.5,
     0,
     0,
     2,
     false,
     NULL},
    {"product", PRODUCT, {0}, 256, 1, 256, columns, 1, 2, 0, 2, false, "product"},
    {"product of rows", PRODUCT, {0}, 256, 1, 256, columns, 1, 2, 0, 2, false, "product_of_rows"},
    {"product, f32", PRODUCT, {0}, 256, 1, 128, columns, 1, 0.5, 0, 2, true, "product"},
    {"product of rows, f32", PRODUCT, {0}, 256, 1, 128, columns, 1, 0.5, 0, 2, true, "product_of_rows"},
};
const unsigned n_counter_cases = sizeof counter_cases / sizeof *counter_cases;
