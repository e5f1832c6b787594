/* The cases: every figure of docs/performance.md, and the pairs of queries and keys that each of them
 * sees. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

static bool all(const Case *c, int i, int j) { return (void)c, (void)i, (void)j, true; }
static bool causal(const Case *c, int i, int j) { return (void)c, j <= i; }
static bool dilated(const Case *c, int i, int j)
{
    return j <= i && i - j < c->w * c->r && (i - j) % c->r == 0;
}
static bool prefix(const Case *c, int i, int j) { return j <= i || j < c->w; }
static bool global(const Case *c, int i, int j) { return abs(i - j) <= c->w || i < c->r || j < c->r; }
static bool documents(const Case *c, int i, int j)
{
    return (void)c, j <= i && input_document(i) == input_document(j);
}
static bool clusters(const Case *c, int i, int j) { return (void)c, input_cluster(i) == input_cluster(j); }
static bool clusters_causal(const Case *c, int i, int j) { return j <= i && clusters(c, i, j); }
static bool blocks(const Case *c, int i, int j) { return (void)c, input_block_kept(i / 64, j / 64); }
static bool near_on_axis(const Case *c, int i, int j)
{
    int cells = (c->side - 1 - i % c->r) / c->r + 1, start = i / c->r - c->w / 2,
        last = cells > c->w ? cells - c->w : 0;
    start = start < 0 ? 0 : start > last ? last : start;
    return i % c->r == j % c->r && start <= j / c->r && j / c->r < start + c->w;
}
static bool near2d(const Case *c, int i, int j)
{
    return near_on_axis(c, i / c->side, j / c->side) && near_on_axis(c, i % c->side, j % c->side);
}
static bool near3d(const Case *c, int i, int j)
{
    int side = c->side;
    return near_on_axis(c, i / side / side, j / side / side) &&
           near_on_axis(c, i / side % side, j / side % side) && near_on_axis(c, i % side, j % side);
}
static bool swin(const Case *c, int i, int j)
{
    return i / c->side / c->w == j / c->side / c->w && i % c->side / c->w == j % c->side / c->w;
}

#define LINE_OF(d, e) "i=4096 j=4096 d=" #d " e=" #e
#define LINE LINE_OF(64, 64)
#define PLANE "y=64 x=64 ky=64 kx=64 d=64 e=64"
#define SPACE "z=16 y=16 x=16 kz=16 ky=16 kx=16 d=64 e=64"
#define CACHE "i=1 j=32768 d=128 e=128"
#define OF(share) .of = OF_CASE, .other = "dense", .floor = share
#define SGEMM(share) .of = OF_SGEMM, .floor = share
#define DECODE \
    .sizes = CACHE, .visible = all, .queries = 1, .keys = 32768, .heads = 32, .key_heads = 8, .threads = 2

const Case cases[] = {
    {"dense", NULL, LINE, SGEMM(0.95), .peak_floor = 0.80, .visible = all},
    {"dense_d128", "dense", LINE_OF(128, 128), SGEMM(0.95), .peak_floor = 0.80, .visible = all},
    {"dense_d32", "dense", LINE_OF(32, 32), SGEMM(0.85), .visible = all},
    {"dense_d80", "dense", LINE_OF(80, 80), SGEMM(0.90), .visible = all},
    {"dense_d256", "dense", LINE_OF(256, 256), SGEMM(0.90), .visible = all},
    {"dense_two_threads", "dense", LINE, .of = OF_ONE_THREAD, .floor = 1.9, .visible = all, .threads = 2},
    {"causal", NULL, LINE, OF(0.90), .visible = causal},
    {"window256", NULL, LINE, OF(0.80), .w = 256},
    {"window1024", NULL, LINE, OF(0.90), .w = 1024},
    {"dilated", NULL, LINE, OF(0.70), .visible = dilated, .w = 256, .r = 4},
    {"documents", NULL, LINE, OF(0.75), .visible = documents},
    {"clusters", NULL, LINE, OF(0.60), .visible = clusters},
    {"clusters_causal", NULL, LINE, OF(0.60), .visible = clusters_causal},
    {"prefix", NULL, LINE, OF(0.90), .visible = prefix, .w = 512},
    {"global", NULL, LINE, OF(0.80), .visible = global, .w = 256, .r = 4},
    {"block_sparse", NULL, LINE " a=64 c=64", OF(0.85), .visible = blocks},
    {"block_list", NULL, LINE " a=64 r=16", OF(0.85), .visible = blocks},
    {"neighborhood2d", NULL, PLANE, OF(0.50), .visible = near2d, .w = 13, .r = 1, .side = 64},
    {"neighborhood2d_dilated", NULL, PLANE, OF(0.55), .visible = near2d, .w = 13, .r = 4, .side = 64},
    {"neighborhood3d", NULL, SPACE, OF(0.50), .visible = near3d, .w = 7, .r = 1, .side = 16},
    {"swin", NULL, PLANE, OF(0.75), .visible = swin, .w = 8, .side = 64},
    {"alibi", NULL, LINE, OF(0.80), .visible = causal},
    {"soft_cap", NULL, LINE, OF(0.80), .visible = all},
    {"relative", NULL, LINE " m=8191", OF(0.80), .visible = all},
    {"sigmoid", NULL, LINE, OF(0.95), .visible = all},
    {"differential", NULL, LINE, OF(0.90), .visible = all, .maps = 2},
    {"dense_bf16", NULL, LINE, OF(0.85), .visible = all},
    {"dense_f16", NULL, LINE, OF(0.85), .visible = all},
    {"dense_bf16_to_f32", NULL, LINE, OF(0.85), .visible = all},
    {"dense_f16_to_f32", NULL, LINE, OF(0.85), .visible = all},
    {"window256_one_head", "window256", LINE, .w = 256, .heads = 1},
    {"window256_long", "window256", "i=1048576 j=1048576 d=64 e=64", .of = OF_QUERY,
     .other = "window256_one_head", .floor = 1 / 1.10, .w = 256, .queries = 1 << 20, .heads = 1},
    {"decode", "dense", DECODE, .of = OF_READ, .floor = 0.80},
    {"decode_bf16", "dense_bf16", DECODE, .of = OF_CASE, .other = "decode", .floor = 1.5},
    {"decode_f16", "dense_f16", DECODE, .of = OF_CASE, .other = "decode", .floor = 1.5},
};
const int n_cases = sizeof cases / sizeof *cases;

int case_number(const char *name)
{
    for (int k = 0; k < n_cases; k++)
        if (!strcmp(cases[k].name, name)) return k;
    return -1;
}

int64_t case_extent(const Case *c, const char *index)
{
    if (!strcmp(index, "b")) return 1;
    if (!strcmp(index, "h")) return c->heads ? c->heads : 8;
    size_t n = strlen(index);
    for (const char *at = c->sizes; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (!strncmp(at, index, n) && at[n] == '=') return strtoll(at + n + 1, NULL, 10);
    }
    return 1;
}

double case_visible_pairs(const Case *c)
{
    int queries = c->queries ? c->queries : 4096, keys = c->keys ? c->keys : 4096;
    double pairs = 0;
    for (int i = 0; i < queries && c->visible; i++)
        for (int j = 0; j < keys; j++) pairs += c->visible(c, i, j);
    if (!c->visible) pairs = (double)c->w * queries - 0.5 * c->w * (c->w - 1);
    return pairs * (double)case_extent(c, "h");
}
