/* Phases with a Tile -> kernels, in the manner of FlashAttention-2 (Dao 2023).
 *
 * A block of four warps has 64 queries, 16 a warp. On tensor cores, rows of 16 bits stay in registers where
 * they fit; tiles of keys and values go through two buffers in shared memory: while one is worked on, the
 * next one that any query of the block sees something of is on its way. Scores stay in the fragments that mma
 * leaves them in (PTX ISA, m16n8k16): a thread has rows lane / 4 and lane / 4 + 8, of every 8 columns the two
 * from lane % 4 * 2 on.
 *
 * Sums of weights or greatest scores alone have no values, and no output but a number for every query.
 *
 * Rows of f32 are twice as wide, and the products take much longer. So they have one buffer: values come
 * while scores are worked out, the next keys while values are summed. A thread has 4 rows, and a column of
 * every 8.
 *
 * Hidden keys weigh 0, but 0 times a value that is not finite is NaN. That is rare: where a sum came out so
 * and pairs were hidden, the block does its work again with care, adding visible pairs alone in partial
 * tiles. The same helps weights without a softmax that f16 has no room for: with care they are f32, in all
 * tiles.
 *
 * Rows of f32 may be asked for as tf32: then they are in the place of rows of 16 bits, twice as wide; values,
 * which ldmatrix cannot turn over, are loaded one by one.
 *
 * Requires: rows of one type. Ensures: what Phase.body says, sums in f32; on tensor cores weights are rounded
 * to 16 bits (relative to the greatest of a softmax; bfloat16 has 8, so that others take two of them). */
#include <string.h>

#include "codegen/cuda/print_tile.h"
#include "compiler/graph.h"
#include "compiler/tile_model.h"
#include "compiler/walk.h"

/* Of mma: a thread has two rows, and pairs of columns. */
#define FRAGMENTS \
    .rows = 2, \
    .lanes = 4, \
    .row = "warp * 16 + lane / 4", \
    .step = 8, \
    .n_keys = "KEYS / 4", \
    .key = "n / 2 * 8 + lane % 4 * 2 + n % 2", \
    .bit = "n / 2 * 4 + 2 * r + n % 2", \
    .score = "s[n / 2][2 * r + n % 2]", \
    .n_columns = "E / 4", \
    .column = "n / 2 * 8 + lane % 4 * 2 + n % 2", \
    .total = "total[n / 2][2 * row + n % 2]"
static const TileLayout fragments = {FRAGMENTS, .features = 16, .columns = 16};
static const TileLayout wide_fragments = {FRAGMENTS, .features = 8, .columns = 32}; /* tf32 */
#undef FRAGMENTS
static const TileLayout squares = {
    .rows = 4,
    .lanes = 8,
    .row = "warp * 16 + lane / 8",
    .step = 4,
    .n_keys = "KEYS / 8",
    .key = "n * 8 + lane % 8",
    .bit = "n * 4 + r",
    .score = "s[n][r]",
    .n_columns = "E / 8",
    .column = "n / 4 * 32 + lane % 8 * 4 + n % 4",
    .total = "total[n][row]",
    .features = 8,
    .columns = 32,
};

static const TileLayout *layout_of(const Tile *t)
{
    return t->tf32 ? &wide_fragments : t->mma ? &fragments : &squares;
}

static unsigned number_bytes(const Tile *t) { return t->mma && !t->tf32 ? 2 : 4; }
static bool keeps_queries(const Tile *t) { return t->mma && tile_keeps_queries(t->tf32, t->d); }

/* ---- shared memory ---- */

static unsigned padded(int64_t n, unsigned to) { return (unsigned)(n + to - 1) / to * to; }

/* Bytes of a row. */
static unsigned row_q(const Tile *t) { return padded(t->d, layout_of(t)->features) * number_bytes(t); }
static unsigned row_v(const Tile *t) { return padded(t->e, layout_of(t)->columns) * number_bytes(t); }

/* Queries, on tensor cores later their weights or the output. */
static unsigned query_bytes(const Tile *t)
{
    unsigned keys = t->keys * 2, most = row_q(t) > row_v(t) ? row_q(t) : row_v(t);
    if (!t->mma) return t->queries * row_q(t);
    return t->queries * (most > keys ? most : keys) + (keeps_queries(t) ? 0 : t->queries * keys);
}

static bool is_doubled(const Tile *t) { return t->mma || !t->v; }
static unsigned buffers(const Tile *t) { return is_doubled(t) ? 2 : 1; }
static unsigned tiles_bytes(const Tile *t) { return buffers(t) * t->keys * (row_q(t) + row_v(t)); }
static unsigned weight_bytes(const Tile *t) { return is_doubled(t) ? 0 : t->queries * t->keys * 4; }

/* Coordinates of keys. */
static unsigned list_bytes(const Tile *t) { return t->n_keys > 1 ? buffers(t) * t->n_keys * t->keys * 4 : 0; }

static bool is_score_long(Printer *p, const Tile *t)
{
    return (!t->scale && tile_is_long(p, t->score)) || (t->gain && tile_is_long(p, t->gain));
}

/* Scores, for long expressions; where weights will be, if there are any. */
static unsigned score_bytes(Printer *p, const Tile *t)
{
    return is_doubled(t) && is_score_long(p, t) ? t->queries * t->keys * 4 : 0;
}

unsigned print_tile_shared(Printer *p, const Tile *t)
{
    return query_bytes(t) + tiles_bytes(t) + weight_bytes(t) + list_bytes(t) + score_bytes(p, t);
}

static void bind(Printer *p, const Index *index, const char *name)
{
    p->indices[index->id] = name;
    set_add(&p->bound, index->id);
}

/* ---- tiles of keys ---- */

/* Finds the next one. */
static void print_judge(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    if (!x->masks) {
        LINES(p, "const bool some = %s < %s;", x->next, x->end);
        return;
    }
    LINES(p,
          "// The next tile with a visible pair.\nbool some = false, hides = false;\nfor (; %s < %s; %s += "
          "KEYS) {",
          x->next, x->end, x->next);
    p->locals[t->some->id] = "some";
    p->locals[t->partial->id] = "hides";
    print_part(p, &t->judge);
    LINES(p, "if (some) break;\n}");
}

static void print_tiles_open(TilePrinter *x, const char *variable, const char *step)
{
    LINES(x->p, "int64 %s = %s, %s = 0;\n%sfor (%s) {", x->next, x->begin, x->first,
          x->masks ? "bool partial = false;\n" : "", format(x->p->c, "%s;; %s", variable, step));
}

static void print_tiles_close(TilePrinter *x, const char *due)
{
    LINES(x->p, "if (!some) break;\n%s = %s, %s += KEYS%s%s;\n}", x->first, x->next, x->next, due,
          x->masks ? ", partial = hides" : "");
}

static void print_left(TilePrinter *x)
{
    LINES(x->p, "const int left = (int)least(%s - %s, KEYS);\nconst bool full = %sleft >= KEYS;", x->end,
          x->first, x->masks ? "!partial && " : "");
}

/* Sums of values on tensor cores. */
static void print_values(TilePrinter *x)
{
    if (x->careful)
        LINES(x->p, "if (careful%s)\n    add_visible<KEYS, E>(total, s, v_now, hidden, w_tile);\nelse",
              x->large ? "" : " && partial");
    LINES(x->p, "%sadd_values<KEYS, E%s>(total, s, v_now + v_lane, %s);", x->careful ? "    " : "",
          x->parts == 2 ? ", 2" : "", x->boxes ? "live" : "~0u");
}

static void print_work(TilePrinter *x)
{
    Printer *p = x->p;
    LINES(p, "unsigned hidden = 0;");
    tile_mask(x);
    if (x->boxes) LINES(p, "const unsigned live = __reduce_or_sync(~0u, ~hidden);\nif (live) {");
    LINES(p, "float s[KEYS / 8][4] = {};");
    tile_scores(x, keeps_queries(x->t) ? "q" : "q_tile + q_lane", "k_now");
    tile_hide(x);
    tile_weigh(x);
    if (x->t->v) print_values(x);
    if (x->boxes) LINES(p, "}");
}

static void print_doubled_tiles(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    LINES(p, "bool due = false;");
    print_tiles_open(x, "int buffer = 0", "buffer ^= 1");
    print_judge(x);
    LINES(p,
          "// It is on its way while the one before, which has arrived, is worked on.\n"
          "copies_wait();\n__syncthreads();\nif (some) {\nconst int rows = (int)least(%s - %s, KEYS);",
          x->end, x->next);
    tile_stage_keys(x, format(p->c, "k_tile + buffer * %s", x->d_bytes), x->next);
    if (t->v) tile_stage_values(x, format(p->c, "v_tile + buffer * %s", x->e_bytes), x->next);
    if (x->boxes) tile_stage_list(x, format(p->c, "list + buffer * %u", list_bytes(t) / 2));
    LINES(p, "}\nif (due) {\nconst unsigned k_now = k_tile + (buffer ^ 1) * %s + k_lane;", x->d_bytes);
    if (t->v) LINES(p, "const unsigned v_now = v_tile + (buffer ^ 1) * %s;", x->e_bytes);
    print_left(x);
    if (x->boxes) LINES(p, "const unsigned list_now = list + (buffer ^ 1) * %u;", list_bytes(t) / 2);
    print_work(x);
    LINES(p, "}");
    print_tiles_close(x, ", due = true");
}

/* The weights of the tile in work, while its values come. */
static void print_f32_weights(TilePrinter *x)
{
    Printer *p = x->p;
    LINES(p, "if (due) {");
    print_left(x);
    LINES(p, "const int rows = left;");
    tile_stage_values(x, "v_tile", x->first);
    LINES(p, "unsigned hidden = 0;");
    tile_mask(x);
    if (x->boxes) LINES(p, "live = __reduce_or_sync(~0u, ~hidden);\nif (live) {");
    LINES(p, "float s[KEYS / 8][4] = {};");
    tile_scores(x, "q_tile + q_lane", "k_tile + k_lane");
    tile_hide(x);
    tile_weigh(x);
    LINES(p, "put_weights<KEYS>(p_tile, s, %s);", x->careful ? "careful && partial ? hidden : 0" : "0");
    LINES(p, x->boxes ? "}\n}" : "}");
}

static void print_f32_tiles(TilePrinter *x)
{
    Printer *p = x->p;
    print_tiles_open(x, "bool due = false", "due = true");
    LINES(p, "// Keys have arrived, and values have been read.\ncopies_wait();\n__syncthreads();");
    if (x->boxes) LINES(p, "unsigned live = 0;");
    print_f32_weights(x);
    LINES(p, "// Values have arrived, and keys have been read.\ncopies_wait();\n__syncthreads();");
    print_judge(x);
    LINES(p, "if (some) {\nconst int rows = (int)least(%s - %s, KEYS);", x->end, x->next);
    tile_stage_keys(x, "k_tile", x->next);
    if (x->boxes) tile_stage_list(x, "list_now");
    LINES(p, "}\nif (%s) {", x->boxes ? "live" : "due");
    if (x->careful)
        LINES(p, "if (careful && partial)\n    add_values<KEYS, E, true>(total, v_tile, p_tile);\nelse");
    LINES(p, "%sadd_values<KEYS, E>(total, v_tile, p_tile);\n}", x->careful ? "    " : "");
    print_tiles_close(x, "");
}

/* ---- the kernel ---- */

static void print_mma_places(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    unsigned weights = query_bytes(t) - t->queries * t->keys * 2;
    if (x->careful)
        LINES(p, "const unsigned w_tile = q_tile%s;", keeps_queries(t) ? "" : format(p->c, " + %u", weights));
    LINES(p,
          "const unsigned warp = threadIdx.x / 32, lane = threadIdx.x %% 32;\n"
          "// Where a lane's rows of matrices lie in them.\n"
          "const unsigned q_lane = chunk<%s>(warp * 16 + lane %% 16, lane / 16);\n"
          "const unsigned k_lane = chunk<%s>(lane %% 8 + lane / 16 * 8, lane / 8 %% 2);",
          x->d_width, x->d_width);
    if (t->v && t->tf32)
        LINES(p, "const unsigned v_lane = chunk<%s>(lane %% 4 * 2, lane / 16) + lane / 4 %% 4 * 4;",
              x->e_width);
    else if (t->v)
        LINES(p, "const unsigned v_lane = chunk<%s>(lane %% 16, lane / 16);", x->e_width);
}

static void print_f32_places(TilePrinter *x)
{
    if (x->t->v) LINES(x->p, "const unsigned p_tile = v_tile + KEYS * E * 4; // weights");
    LINES(x->p, "const unsigned warp = threadIdx.x / 32, lane = threadIdx.x %% 32;\n"
                "// Where the first of a lane's rows lies in them.\n"
                "const unsigned q_lane = chunk<2 * D>(warp * 16 + lane / 8, 0);\n"
                "const unsigned k_lane = chunk<2 * D>(lane %% 8, 0);");
}

static void print_constants(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    unsigned list = query_bytes(t) + tiles_bytes(t) + weight_bytes(t);
    unsigned d = padded(t->d, x->layout->features), e = padded(t->e, x->layout->columns);
    if (t->v)
        LINES(p,
              "constexpr int D = %u, E = %u, KEYS = %u; // features of a query, of a value; keys of a tile",
              d, e, t->keys);
    else
        LINES(p, "constexpr int D = %u, KEYS = %u; // features of a query; keys of a tile", d, t->keys);
    LINES(p,
          "extern __shared__ __align__(128) char shared[];\n"
          "const unsigned q_tile = shared_address(shared), k_tile = q_tile + %u;",
          query_bytes(t));
    if (t->v) LINES(p, "const unsigned v_tile = k_tile + %s%s;", x->doubled ? "2 * " : "", x->d_bytes);
    if (x->boxes) LINES(p, "const unsigned list%s = q_tile + %u;", x->doubled ? "" : "_now", list);
    if (t->mma)
        print_mma_places(x);
    else
        print_f32_places(x);
    if (is_score_long(p, t))
        LINES(p, "const unsigned s_own = %s + warp * KEYS * 64 + lane * 4;",
              x->doubled ? format(p->c, "q_tile + %u", list + list_bytes(t)) : "p_tile");
    const Tensor *rows[] = {t->q->tensor, t->k->tensor, t->v ? t->v->tensor : NULL, t->out};
    for (unsigned k = 0; k < (t->v ? 4 : 2); k++) {
        bool known = false;
        for (unsigned other = 0; other < k; other++) known = known || rows[other] == rows[k];
        if (!known) tile_chunks(p, rows[k]);
    }
}

static void print_scale(TilePrinter *x)
{
    Printer *p = x->p;
    if (x->plain) {
        if (x->t->scale) print_value(p, "const float scale = ", x->t->scale, "float", ";");
        return;
    }
    if (x->t->scale) print_value(p, "const float score_scale = ", x->t->scale, "float", ";");
    if (x->t->sum)
        LINES(p, "const float scale = %s1.44269504f; // log2(e)", x->t->scale ? "score_scale * " : "");
    if (x->t->sum)
        LINES(p, "const float slack = %s", x->t->n_riders ? "0;" : "8 / scale; // weights up to 2^8");
}

static void print_queries(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    for (unsigned k = 0; k < t->n_queries; k++)
        LINES(p, "const int64 %s = %s * %u, %s = least(%s + %u, %s);", x->from[k],
              p->indices[t->block[k]->id], t->shape[k], x->to[k], x->from[k], t->shape[k],
              print_extent(p, t->query[k]));
    tile_stage_queries(x);
    if (!x->doubled) return;
    LINES(p, "copies_wait();\n__syncthreads();");
    if (keeps_queries(t))
        LINES(p, "unsigned q[D / %u][4];\nload_rows<%s>(q, q_tile + q_lane);", t->tf32 ? 8 : 16, x->d_width);
}

static void name_all(TilePrinter *x)
{
    static const char *const own[] = {
        "D",      "E",      "KEYS",   "shared",      "q_tile",   "k_tile",  "v_tile",    "w_tile",   "warp",
        "lane",   "q",      "s",      "x",           "n",        "r",       "key",       "score",    "top",
        "sum",    "total",  "scale",  "score_scale", "some",     "hides",   "partial",   "due",      "buffer",
        "rows",   "left",   "k_now",  "v_now",       "hidden",   "careful", "spoilable", "visible",  "weight",
        "words",  "row",    "column", "max",         "greatest", "q_lane",  "s_own",     "slack",    "k_lane",
        "v_lane", "w",      "k",      "v",           "y",        "inverse", "list",      "list_now", "live",
        "at",     "number", "from",   "to",          "full",     "p_tile"};
    Printer *p = x->p;
    const Tile *t = x->t;
    for (size_t k = 0; k < sizeof own / sizeof *own; k++) name_new(p->c, &p->own, own[k]);
    for (unsigned k = 0; k < t->n_queries; k++) {
        const char *name = t->query[k]->name;
        x->i[k] = name_new(p->c, &p->own, name);
        x->from[k] = name_new(p->c, &p->own, format(p->c, "%s_begin", name));
        x->to[k] = name_new(p->c, &p->own, format(p->c, "%s_end", name));
    }
    for (unsigned k = 0; k < t->n_keys; k++) x->j[k] = name_new(p->c, &p->own, t->key[k]->name);
    if (t->v) x->e = name_new(p->c, &p->own, t->column->name);
    x->next = name_new(p->c, &p->own, "next");
    x->first = name_new(p->c, &p->own, "first");
    p->locals[t->dot->id] = "score";
}

static void print_range(TilePrinter *x)
{
    const Tile *t = x->t;
    LINES(x->p, "// Keys that some query of the block may see.");
    print_part(x->p, &t->range);
    x->begin = x->boxes ? "0" : x->p->locals[t->begin[0]->id];
    x->end = x->p->locals[(x->boxes ? t->total_keys : t->end[0])->id];
}

/* Blocks begin in the order of their numbers: those with most work first, so that none is left to the end. */
static void print_order(TilePrinter *x)
{
    Printer *p = x->p;
    const Index *block = x->t->block[0];
    if (!x->t->grows) return;
    const char *name = name_new(p->c, &p->own, "tile_from_end");
    LINES(p, "// Later queries see more keys: they are first.\nconst int64 %s = %s - 1 - %s;", name,
          print_extent(p, block), p->indices[block->id]);
    p->indices[block->id] = name;
}

/* The work of a block on its queries. */
static void print_block_work(TilePrinter *x)
{
    Printer *p = x->p;
    print_scale(x);
    print_queries(x);
    if (x->careful)
        LINES(p,
              "// A second time, with care, where %s may have spoilt a sum.\nfor (bool careful "
              "= false;; careful = true) {",
              x->large ? "weights too large for 16 bits or hidden values" : "hidden values");
    if (x->careful && !x->large) LINES(p, "bool spoilable = false;");
    tile_start(x);
    if (x->doubled)
        print_doubled_tiles(x);
    else
        print_f32_tiles(x);
    if (x->careful)
        LINES(p, "if (__syncthreads_or(!careful && %sis_tainted<E>(total))) continue;",
              x->large ? "" : "spoilable && ");
    else
        LINES(p, "__syncthreads();");
    tile_finish(x);
    if (x->t->v) tile_store(x);
    if (x->careful) LINES(p, "break;\n}");
}

static void want_helpers(TilePrinter *x, const char *element)
{
    Printer *p = x->p;
    print_want(p, HELP_TILE);
    print_want(p, HELP_MAX_F32);
    print_want(p, HELP_LEAST);
    bool tf32 = x->t->tf32;
    print_want(p, !x->t->mma               ? HELP_TILE_F32
                  : tf32                   ? HELP_TILE_TF32
                  : strcmp(element, "f16") ? HELP_TILE_BF16
                                           : HELP_TILE_F16);
    if (!x->t->v) print_want(p, HELP_TILE_ROWS);
    if (!x->t->mma) print_want(p, HELP_FLOATS);
    if (!x->t->mma) return;
    if (!tf32) print_want(p, HELP_TILE_MATRICES);
    print_want(p, HELP_TILE_STEPS);
    print_want(p, tf32 ? HELP_TILE_TF32_SUMS : HELP_TILE_SUMS);
    if (x->t->v) print_want(p, x->wide ? HELP_TILE_FLOATS : HELP_TILE_CHUNKS);
}

static TilePrinter printer_for(Printer *p, const Tile *t)
{
    const char *element = p->buffers[p->buffer_of[t->q->tensor->id] - 1].element;
    const char *out = t->v ? p->buffers[p->buffer_of[t->out->id] - 1].element : "float";
    TilePrinter x = {.p = p,
                     .t = t,
                     .layout = layout_of(t),
                     .masks = !node_is_bool(t->where, true),
                     .boxes = t->n_keys > 1,
                     .plain = !t->max,
                     .large = (!t->max || t->gain) && t->mma && !t->tf32 && t->v,
                     .doubled = is_doubled(t),
                     .wide = t->tf32 || strcmp(element, out) != 0,
                     .d_width = t->tf32 ? "2 * D" : "D",
                     .e_width = t->tf32 ? "2 * E" : "E",
                     .d_bytes = number_bytes(t) == 4 ? "KEYS * D * 4" : "tile_bytes<KEYS, D>",
                     .e_bytes = number_bytes(t) == 4 ? "KEYS * E * 4" : "tile_bytes<KEYS, E>"};
    x.careful = t->v && (x.masks || x.large);
    x.parts = x.plain && x.large && strcmp(element, "f16") ? 2 : 1;
    want_helpers(&x, element);
    return x;
}

void print_tile_body(Printer *p, const Phase *phase)
{
    const Tile *t = phase->tile;
    TilePrinter x = printer_for(p, t);
    name_all(&x);
    print_constants(&x);
    print_task_indices(p, phase, "blockIdx.x", "gridDim.x");
    print_order(&x);
    Node *roots[] = {t->score, t->scale, t->where, t->value, t->sink, t->gain};
    print_invariants_of(p, sizeof roots / sizeof *roots, roots);
    print_invariants(p, &t->range, true, (Span){0});
    print_invariants(p, &t->judge, true, (Span){0});
    print_range(&x);
    for (unsigned k = 0; k < t->n_queries; k++) bind(p, t->query[k], x.i[k]);
    for (unsigned k = 0; k < t->n_keys; k++) bind(p, t->key[k], x.j[k]);
    if (t->v) bind(p, t->column, x.e);
    bind(p, t->first, x.next);
    print_block_work(&x);
    LINES(p, "__syncthreads();\n}");
}
