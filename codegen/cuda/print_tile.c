/* Phases with a Tile -> kernels for tensor cores, in the manner of FlashAttention-2 (Dao 2023).
 *
 * A block of four warps has 64 queries, 16 a warp, whose rows stay in registers where they fit. Tiles of keys
 * and values go through two buffers in shared memory: while one is worked on, the next one that any query of
 * the block sees something of is on its way. Scores stay in the fragments that mma leaves them in (PTX ISA,
 * m16n8k16): a thread has rows lane / 4 and lane / 4 + 8, of every 8 columns the two from lane % 4 * 2 on.
 *
 * Hidden keys weigh 0, but 0 times a value that is not finite is NaN. That is rare: where a sum came out so
 * and pairs were hidden, the block does its work again with care, adding visible pairs alone in partial
 * tiles. The same helps weights without a softmax that f16 has no room for: with care they are f32, in all
 * tiles.
 *
 * Requires: 16-bit rows. Ensures: what Phase.body says, sums in f32, weights rounded to 16 bits (relative to
 * the greatest of a softmax; bfloat16 has 8, so that others take two of them). */
#include <string.h>

#include "codegen/cuda/print.h"
#include "compiler/graph.h"
#include "compiler/walk.h"

enum { IN_REGISTERS = 128 /* features of a query, at most */, ROW_LONG = 6 /* operations of its place */ };

/* Names in the kernel. */
typedef struct TilePrinter {
    Printer *p;
    const Tile *t;
    const char *i[TILE_DIMS], *j[TILE_DIMS], *e; /* a query, a key, a feature */
    const char *from[TILE_DIMS], *to[TILE_DIMS]; /* queries of the block: from .. to */
    const char *begin, *end, *next, *first;      /* keys; tiles of them: the next one, that in work */
    unsigned parts;                              /* of 16 bits that a weight has */
    bool masks, boxes;                           /* pairs are hidden; keys have several indices */
    bool plain;                                  /* no softmax: weights may be too large for 16 bits */
} TilePrinter;

static unsigned padded(int64_t n) { return (unsigned)(n + 15) / 16 * 16; }

static unsigned row_bytes(unsigned columns) { return columns * 2; }

/* Queries, later their weights or the output. */
static unsigned query_bytes(const Tile *t)
{
    unsigned d = row_bytes(padded(t->d)), e = row_bytes(padded(t->e)), keys = t->keys * 2;
    unsigned most = d > e ? d : e;
    return t->queries * (most > keys ? most : keys) + (t->d > IN_REGISTERS ? t->queries * keys : 0);
}

static unsigned tiles_bytes(const Tile *t)
{
    return 2 * t->keys * (row_bytes(padded(t->d)) + row_bytes(padded(t->e)));
}
/* Coordinates of keys, for two tiles. */
static unsigned list_bytes(const Tile *t) { return t->n_keys > 1 ? 2 * t->n_keys * t->keys * 4 : 0; }

/* Too much code to have it once for every element. */
static bool is_long(Printer *p, const Node *n)
{
    enum { LONG = 24 };
    return node_count(p->c, n) > LONG;
}

unsigned print_tile_shared(Printer *p, const Tile *t)
{
    unsigned scores = !t->scale && is_long(p, t->score) ? t->keys / 2 * 512 : 0;
    return query_bytes(t) + tiles_bytes(t) + list_bytes(t) + scores;
}

/* ---- text ---- */

/* Lines of a text, indented. Those of braces alone are not worth a call: `{` at the end of a line opens a
 * block,
 * `}` at its beginning ends one. */
static void print_lines(Printer *p, const char *text)
{
    for (const char *next; *text; text = next) {
        size_t n = strcspn(text, "\n");
        next = text + n + (text[n] == '\n');
        if (text[0] == '}') p->indent--;
        if (text[0] != '#') print_line(p, (Span){0});
        text_add(p->out, "%.*s\n", (int)n, text);
        if (n && text[n - 1] == '{') p->indent++;
    }
}

#define LINES(p, ...) print_lines(p, format((p)->c, __VA_ARGS__))

static bool reads(const Printer *p, const Node *n)
{
    if (p->memo[n->id]) return false;
    if (n->op == N_READ) return true;
    for (unsigned k = 0; k < n->n_args; k++)
        if (reads(p, n->args[k])) return true;
    return false;
}

/* Declares what the value needs; then `before VALUE after`. */
static void print_value(Printer *p, const char *before, Node *n, const char *type, const char *after)
{
    uint32_t mark = p->trail.n;
    print_shared(p, p->span, 1, &n);
    print_line(p, (Span){0});
    text_add(p->out, "%s", before);
    if (type)
        print_as(p, n, type, BIND_ANY);
    else
        print_node(p, n, BIND_UNARY);
    text_add(p->out, "%s\n", after);
    print_forget(p, mark);
}

static void bind(Printer *p, const Index *index, const char *name)
{
    p->indices[index->id] = name;
    set_add(&p->bound, index->id);
}

/* ---- coordinates ---- */

static bool has_query(const TilePrinter *x, const Node *n)
{
    bool has = false;
    for (unsigned k = 0; k < x->t->n_queries; k++) has = has || node_depends_on(n, x->t->query[k]);
    return has;
}

/* Declares those of query number `r` of the block that `n` needs (NULL: all). A warp has a box of its own. */
static void print_queries_at(TilePrinter *x, const Node *n, const char *r, bool clamp)
{
    static const char *const two[] = {"number / 32 * 4 + number % 16 / 4",
                                      "number / 16 % 2 * 4 + number % 4"};
    static const char *const three[] = {"number / 16", "number / 4 % 4", "number % 4"};
    const Tile *t = x->t;
    Printer *p = x->p;
    bool needed = t->n_queries > 1 && (!n || has_query(x, n));
    if (needed && strcmp(r, "number")) LINES(p, "const unsigned number = %s;", r);
    for (unsigned k = 0; k < t->n_queries; k++) {
        if (n && !node_depends_on(n, t->query[k])) continue;
        const char *at = t->n_queries == 1 ? r : t->n_queries == 2 ? two[k] : three[k];
        if (clamp)
            LINES(p, "const int64 %s = least(%s + %s, %s - 1);", x->i[k], x->from[k], at, x->to[k]);
        else
            LINES(p, "const int64 %s = %s + %s;", x->i[k], x->from[k], at);
    }
}

/* `y < y_end && x < x_end` */
static const char *inside_block(const TilePrinter *x)
{
    Text text = {.c = x->p->c};
    for (unsigned k = 0; k < x->t->n_queries; k++)
        text_add(&text, "%s%s < %s", k ? " && " : "", x->i[k], x->to[k]);
    return text.at;
}

/* Declares the coordinates of a key from its place in the list. */
static void print_keys_at(TilePrinter *x, const char *place)
{
    const Tile *t = x->t;
    Printer *p = x->p;
    LINES(p, "unsigned at = (unsigned)least(%s, %s - 1);", place, x->end);
    for (unsigned k = t->n_keys; k-- > 0;) {
        const char *begin = p->locals[t->begin[k]->id], *count = p->locals[t->count[k]->id];
        if (k)
            LINES(p, "const int64 %s = %s + at %% (unsigned)%s;\nat /= (unsigned)%s;", x->j[k], begin, count,
                  count);
        else
            LINES(p, "const int64 %s = %s + at;", x->j[k], begin);
    }
}

/* ---- rows ---- */

/* The dimension that the variable is the coordinate of, if that is all that it does; else -1. */
static int plain_dim(const Node *read, const Index *variable)
{
    int dim = -1;
    for (unsigned k = 0; k + 1 < read->n_args; k++) {
        if (!node_depends_on(read->args[k], variable)) continue;
        if (dim >= 0 || read->args[k]->op != N_INDEX) return -1;
        dim = (int)k;
    }
    return dim;
}

typedef struct Stage {
    const Node *read;
    const char *tile, *shape, *rows;
    int64_t columns;
    bool keys;
} Stage;

static void print_stage_head(TilePrinter *x, Stage s)
{
    const PrintBuffer *b = &x->p->buffers[x->p->buffer_of[s.read->tensor->id] - 1];
    print_line(x->p, (Span){0});
    text_add(x->p->out, "stage<%s>(%s, %s, %lld, %s_chunks, io.%s[%u],\n", s.shape, s.tile, s.rows,
             (long long)s.columns, b->access, b->strides, s.read->n_args - 1);
    text_add(x->p->out, "%*s", (int)(4 * x->p->indent + 6), "");
}

static void print_row_start(TilePrinter *x, Stage s, const char *before, const char *after)
{
    Printer *p = x->p;
    uint32_t mark = p->trail.n;
    for (unsigned k = 0; k + 1 < s.read->n_args; k++) print_shared(p, p->span, 1, &s.read->args[k]);
    if (before) {
        print_line(p, (Span){0});
        text_add(p->out, "%s", before);
    } else
        print_stage_head(x, s);
    print_address(p, s.read->tensor, s.read->args);
    text_add(p->out, "%s\n", after);
    print_forget(p, mark);
}

/* Copies the rows of a READ to a tile: those of keys from `next` on, or of the block's queries. */
static void print_stage(TilePrinter *x, Stage s)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    const PrintBuffer *b = &p->buffers[p->buffer_of[s.read->tensor->id] - 1];
    const Index *variable = s.keys ? t->key[0] : t->query[0];
    bool one = s.keys ? t->n_keys == 1 : t->n_queries == 1;
    int dim = one ? plain_dim(s.read, variable) : -1;
    if (dim >= 0 && b->heads != dim) { /* a stride apart */
        p->indices[variable->id] = s.keys ? x->next : x->from[0];
        print_row_start(x, s, NULL, format(p->c, ", io.%s[%d]);", b->strides, dim));
        p->indices[variable->id] = s.keys ? x->j[0] : x->i[0];
        return;
    }
    LINES(p, "const auto %s_row = [&](unsigned number) {", b->access);
    if (!s.keys)
        print_queries_at(x, NULL, "number", true);
    else if (one)
        LINES(p, "const int64 %s = least(%s + number, %s - 1);", x->j[0], x->next, x->end);
    else
        print_keys_at(x, format(p->c, "%s + number", x->next));
    print_row_start(x, s, "return ", ";");
    LINES(p, "};");
    unsigned work = 0;
    for (unsigned k = 0; k < s.read->n_args; k++) work += node_count(p->c, s.read->args[k]);
    if (work > ROW_LONG) s.shape = format(p->c, "%s, 1", s.shape);
    print_stage_head(x, s);
    text_add(p->out, "%s_row);\n", b->access);
}

static void print_chunks(TilePrinter *x, const Tensor *t)
{
    const PrintBuffer *b = &x->p->buffers[x->p->buffer_of[t->id] - 1];
    LINES(x->p, "const bool %s_chunks = in_chunks(io.%s, io.%s);", b->access, b->data, b->strides);
}

/* ---- scores ---- */

/* Loops over the elements of a thread: 2 rows, KEYS / 4 keys. */
static void print_elements_open(TilePrinter *x, const Node *n, bool roll)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    bool clamp = reads(p, n);
    const char *unroll = roll ? "#pragma unroll 1" : "#pragma unroll";
    LINES(p, "%s\nfor (int r = 0; r < 2; r++) {", unroll);
    print_queries_at(x, n, "warp * 16 + lane / 4 + r * 8", clamp);
    LINES(p, "%s\nfor (int n = 0; n < KEYS / 4; n++) {\nconst int key = n / 2 * 8 + lane %% 4 * 2 + n %% 2;",
          unroll);
    for (unsigned k = 0; k < t->n_keys; k++) {
        if (!node_depends_on(n, t->key[k])) continue;
        if (x->boxes)
            LINES(p, "const int64 %s = load_shared(list_now + (%u * KEYS + key) * 4);", x->j[k], k);
        else if (clamp)
            LINES(p, "const int64 %s = least(%s + key, %s - 1);", x->j[k], x->first, x->end);
        else
            LINES(p, "const int64 %s = %s + key;", x->j[k], x->first);
    }
}

static void print_scores(TilePrinter *x)
{
    Printer *p = x->p;
    bool kept = x->t->d <= IN_REGISTERS;
    LINES(p, "float s[KEYS / 8][4] = {};\nadd_products<KEYS, D>(s, %s, k_now, %s);",
          kept ? "q" : "q_tile + q_lane", x->boxes ? "live" : "~0u");
    if (x->t->scale) return;
    if (!is_long(p, x->t->score)) {
        print_elements_open(x, x->t->score, false);
        LINES(p, "float &score = s[n / 2][2 * r + n %% 2];");
        print_value(p, "score = ", x->t->score, "float", ";");
        LINES(p, "}\n}");
        return;
    }
    LINES(p,
          "// One after the other, from shared memory.\n#pragma unroll\nfor (int x = 0; x < KEYS / 2; x++)\n"
          "    store_shared(s_own + x * 512, __float_as_uint(s[x / 4][x %% 4]));");
    print_elements_open(x, x->t->score, true);
    LINES(p, "const unsigned at = s_own + (n / 2 * 4 + 2 * r + n %% 2) * 512;\n"
             "const float score = __uint_as_float(load_shared(at));");
    print_value(p, "store_shared(at, __float_as_uint(", x->t->score, "float", "));");
    LINES(p, "}\n}\n#pragma unroll\nfor (int x = 0; x < KEYS / 2; x++) s[x / 4][x %% 4] = "
             "__uint_as_float(load_shared(s_own + x * 512));");
}

/* Which elements are hidden, as bits. */
static void print_mask(TilePrinter *x)
{
    Printer *p = x->p;
    LINES(p,
          "unsigned hidden = 0;\nconst bool full = %sleft >= KEYS;\nif (!full) {\n"
          "__syncwarp(); // so that full tiles jump",
          x->masks ? "!partial && " : "");
    print_elements_open(x, x->t->where, is_long(p, x->t->where) || reads(p, x->t->where));
    if (x->masks)
        print_value(p, "if (!(key < left && ", x->t->where, NULL,
                    ")) hidden |= 1u << (n / 2 * 4 + 2 * r + n % 2);");
    else
        LINES(p, "if (key >= left) hidden |= 1u << (n / 2 * 4 + 2 * r + n %% 2);");
    LINES(p, "}\n}%s\n}", x->masks && !x->plain ? "\nspoilable |= partial;" : "");
}

static void print_hide(TilePrinter *x)
{
    LINES(x->p,
          "if (!full) {\n__syncwarp();\n#pragma unroll\nfor (int x = 0; x < KEYS / 2; x++)\n"
          "    if (hidden >> x & 1) s[x / 4][x %% 4] = %s;\n}",
          x->plain ? "0" : "-infinity");
}

static void print_weigh(TilePrinter *x)
{
    const char *live = x->boxes ? "live" : "~0u";
    bool careful = x->masks || x->plain;
    if (!x->plain) LINES(x->p, "make_weights<KEYS, E>(s, top, sum, total, scale, slack);");
    if (careful)
        LINES(x->p, "if (careful%s)\n    add_visible<KEYS, E>(total, s, v_now, hidden, w_tile);\nelse",
              x->plain ? "" : " && partial");
    LINES(x->p, "%sadd_values<KEYS, E%s>(total, s, v_now + v_lane, %s);", careful ? "    " : "",
          x->parts == 2 ? ", 2" : "", live);
}

/* ---- tiles of keys ---- */

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

/* The coordinates of the keys. */
static void print_list(TilePrinter *x)
{
    Printer *p = x->p;
    LINES(p, "if (threadIdx.x < KEYS) {");
    print_keys_at(x, format(p->c, "%s + threadIdx.x", x->next));
    for (unsigned k = 0; k < x->t->n_keys; k++)
        LINES(p, "store_shared(list + buffer * %u + (%u * KEYS + threadIdx.x) * 4, (unsigned)%s);",
              list_bytes(x->t) / 2, k, x->j[k]);
    LINES(p, "}");
}

static void print_work(TilePrinter *x)
{
    Printer *p = x->p;
    print_mask(x);
    if (x->boxes) LINES(p, "const unsigned live = __reduce_or_sync(~0u, ~hidden);\nif (live) {");
    print_scores(x);
    print_hide(x);
    print_weigh(x);
    if (x->boxes) LINES(p, "}");
}

static void print_tiles(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    LINES(p, "int64 %s = %s, %s = 0;\nbool due = false%s;\nfor (int buffer = 0;; buffer ^= 1) {", x->next,
          x->begin, x->first, x->masks ? ", partial = false" : "");
    print_judge(x);
    LINES(p,
          "// It is on its way while the one before, which has arrived, is worked on.\n"
          "copies_wait();\n__syncthreads();\nif (some) {\nconst int rows = (int)least(%s - %s, KEYS);",
          x->end, x->next);
    print_stage(x, (Stage){t->k, "k_tile + buffer * tile_bytes<KEYS, D>", "KEYS, D", "rows", t->d, true});
    print_stage(x, (Stage){t->v, "v_tile + buffer * tile_bytes<KEYS, E>", "KEYS, E", "rows", t->e, true});
    if (x->boxes) print_list(x);
    LINES(p,
          "}\nif (due) {\nconst unsigned k_now = k_tile + (buffer ^ 1) * tile_bytes<KEYS, D> + k_lane;\n"
          "const unsigned v_now = v_tile + (buffer ^ 1) * tile_bytes<KEYS, E>;\n"
          "const int left = (int)least(%s - %s, KEYS);",
          x->end, x->first);
    if (x->boxes) LINES(p, "const unsigned list_now = list + (buffer ^ 1) * %u;", list_bytes(t) / 2);
    print_work(x);
    LINES(p, "}\nif (!some) break;\n%s = %s, %s += KEYS, due = true%s;\n}", x->first, x->next, x->next,
          x->masks ? ", partial = hides" : "");
}

/* ---- rows of the output ---- */

static void print_start(TilePrinter *x)
{
    Printer *p = x->p;
    LINES(p, "float total[E / 8][4] = {}%s;",
          x->plain ? "" : ", top[2] = {-infinity, -infinity}, sum[2] = {}");
    if (!x->t->sink) return;
    LINES(p, "for (int r = 0; r < 2; r++) {");
    print_queries_at(x, x->t->sink, "warp * 16 + lane / 4 + r * 8", true);
    print_value(p, "top[r] = ", x->t->sink, "float", ";");
    LINES(p, "sum[r] = lane %% 4 ? 0 : 1;\n}");
}

static void print_riders(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    if (!t->n_riders) return;
    print_queries_at(x, NULL, "warp * 16 + lane / 4 + row * 8", false);
    LINES(p, "if (lane %% 4 == 0 && %s) {", inside_block(x));
    LINES(p, "const float max = top[row]%s;", t->scale ? " * score_scale" : "");
    p->locals[t->max->id] = "max";
    p->locals[t->sum->id] = "sum[row]";
    for (unsigned k = 0; k < t->n_riders; k++) {
        const Tensor *to = t->riders[k].tensor;
        Node **at = NEW_ARRAY(p->c, Node *, to->n_dims + 1);
        for (unsigned d = 0; d < to->n_dims; d++) at[d] = node_index(p->c, to->dims[d]);
        uint32_t mark = p->trail.n;
        print_shared(p, p->span, 1, &t->riders[k].value);
        print_line(p, (Span){0});
        print_access(p, to, at);
        text_add(p->out, " = ");
        print_as(p, t->riders[k].value, "float", BIND_ANY);
        text_add(p->out, ";\n");
        print_forget(p, mark);
    }
    LINES(p, "}");
}

/* The fragments become elements of the output. */
static void print_finish(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    if (x->plain && !t->scale && t->value->op == N_LOCAL) return;
    LINES(p, "#pragma unroll\nfor (int row = 0; row < 2; row++) {");
    if (!x->plain)
        LINES(p, "sum[row] = row_sum(sum[row]);\nconst float inverse = sum[row] == 0 ? 1 : 1 / sum[row];");
    LINES(p, "#pragma unroll\nfor (int n = 0; n < E / 4; n++) {\n"
             "float &x = total[n / 2][2 * row + n %% 2];");
    if (!x->plain || t->scale) LINES(p, "x *= %s;", x->plain ? "scale" : "inverse");
    if (t->value->op != N_LOCAL) {
        print_queries_at(x, t->value, "warp * 16 + lane / 4 + row * 8", true);
        LINES(p, "const int64 %s = least(n / 2 * 8 + lane %% 4 * 2 + n %% 2, %lld);", x->e,
              (long long)t->e - 1);
        p->locals[t->total->id] = "x";
        print_value(p, "x = ", t->value, "float", ";");
    }
    LINES(p, "}");
    print_riders(x);
    LINES(p, "}");
}

static Node **own_coordinates(Printer *p, const Tensor *t)
{
    Node **at = NEW_ARRAY(p->c, Node *, t->n_dims + 1);
    for (unsigned d = 0; d < t->n_dims; d++) at[d] = node_index(p->c, t->dims[d]);
    return at;
}

/* Through shared memory, so that rows leave in chunks. */
static void print_store(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    const PrintBuffer *b = &p->buffers[p->buffer_of[t->out->id] - 1];
    LINES(p, "put_rows<E>(q_tile, total);\nfor (int n = lane; n < 2 * E; n += 32) {\n"
             "const int number = warp * 16 + n / (E / 8), column = n %% (E / 8) * 8;");
    print_queries_at(x, NULL, "number", false);
    LINES(p, "if (!(%s)) continue;", inside_block(x));
    print_line(p, (Span){0});
    text_add(p->out, "%s *to = ", b->element);
    print_address(p, t->out, own_coordinates(p, t->out));
    text_add(p->out, " + column * io.%s[%u];\n", b->strides, t->out->n_dims - 1);
    LINES(p,
          "store_chunk(to, q_tile + chunk<E>(number, column / 8), %lld - column, %s_chunks, io.%s[%u]);\n}",
          (long long)t->e, b->access, b->strides, t->out->n_dims - 1);
}

/* ---- the kernel ---- */

static void print_constants(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    unsigned weights = query_bytes(t) - t->queries * t->keys * 2;
    LINES(p, "constexpr int D = %u, E = %u, KEYS = %u; // features of a query, of a value; keys of a tile",
          padded(t->d), padded(t->e), t->keys);
    LINES(p,
          "extern __shared__ __align__(128) char shared[];\n"
          "const unsigned q_tile = shared_address(shared), k_tile = q_tile + %u;\n"
          "const unsigned v_tile = k_tile + 2 * tile_bytes<KEYS, D>;",
          query_bytes(t));
    if (!t->scale && is_long(p, t->score))
        LINES(p, "const unsigned s_own = q_tile + %u + threadIdx.x * 4;",
              query_bytes(t) + tiles_bytes(t) + list_bytes(t));
    if (x->boxes) LINES(p, "const unsigned list = q_tile + %u;", query_bytes(t) + tiles_bytes(t));
    if (x->masks || x->plain)
        LINES(p, "const unsigned w_tile = q_tile%s;",
              t->d > IN_REGISTERS ? format(p->c, " + %u", weights) : "");
    LINES(p, "const unsigned warp = threadIdx.x / 32, lane = threadIdx.x %% 32;\n"
             "// Where a lane's rows of matrices lie in them.\n"
             "const unsigned q_lane = chunk<D>(warp * 16 + lane %% 16, lane / 16);\n"
             "const unsigned k_lane = chunk<D>(lane %% 8 + lane / 16 * 8, lane / 8 %% 2);\n"
             "const unsigned v_lane = chunk<E>(lane %% 16, lane / 16);");
    print_chunks(x, t->q->tensor);
    if (t->k->tensor != t->q->tensor) print_chunks(x, t->k->tensor);
    if (t->v->tensor != t->k->tensor && t->v->tensor != t->q->tensor) print_chunks(x, t->v->tensor);
    print_chunks(x, t->out);
}

static void print_scale(TilePrinter *x)
{
    Printer *p = x->p;
    if (x->plain) {
        if (x->t->scale) print_value(p, "const float scale = ", x->t->scale, "float", ";");
        return;
    }
    if (!x->t->scale) {
        LINES(p, "const float scale = 1.44269504f; // log2(e)");
    } else {
        print_value(p, "const float score_scale = ", x->t->scale, "float", ";");
        LINES(p, "const float scale = score_scale * 1.44269504f; // log2(e)");
    }
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
    const char *rows = t->n_queries > 1 ? "64" : format(p->c, "(int)(%s - %s)", x->to[0], x->from[0]);
    print_stage(x, (Stage){t->q, "q_tile", "64, D", rows, t->d, false});
    LINES(p, "copies_wait();\n__syncthreads();");
    if (t->d > IN_REGISTERS) return;
    LINES(p, "unsigned q[D / 16][4];\nload_rows<D>(q, q_tile + q_lane);");
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
        "at",     "number", "from",   "to",          "full"};
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
    x->e = name_new(p->c, &p->own, t->column->name);
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

void print_tile_body(Printer *p, const Phase *phase)
{
    const Tile *t = phase->tile;
    TilePrinter x = {
        .p = p, .t = t, .masks = !node_is_bool(t->where, true), .boxes = t->n_keys > 1, .plain = !t->max};
    print_want(p, HELP_TILE);
    print_want(p, HELP_MAX_F32);
    print_want(p, HELP_LEAST);
    print_want(p, HELP_TILE_STEPS);
    bool f16 = !strcmp(p->buffers[p->buffer_of[t->q->tensor->id] - 1].element, "f16");
    print_want(p, f16 ? HELP_TILE_F16 : HELP_TILE_BF16);
    bool careful = x.masks || x.plain;
    x.parts = x.plain && !f16 ? 2 : 1;
    name_all(&x);
    print_constants(&x);
    print_task_indices(p, phase, "blockIdx.x", "gridDim.x");
    Node *roots[] = {t->score, t->scale, t->where, t->value, t->sink};
    print_invariants_of(p, sizeof roots / sizeof *roots, roots);
    print_invariants(p, &t->range, true, (Span){0});
    print_invariants(p, &t->judge, true, (Span){0});
    print_range(&x);
    for (unsigned k = 0; k < t->n_queries; k++) bind(p, t->query[k], x.i[k]);
    for (unsigned k = 0; k < t->n_keys; k++) bind(p, t->key[k], x.j[k]);
    bind(p, t->column, x.e);
    bind(p, t->first, x.next);
    print_scale(&x);
    print_queries(&x);
    if (careful)
        LINES(p,
              "// A second time, with care, where %s may have spoilt a sum.\nfor (bool careful "
              "= false;; careful = true) {",
              x.plain ? "weights too large for 16 bits or hidden values" : "hidden values");
    if (careful && !x.plain) LINES(p, "bool spoilable = false;");
    print_start(&x);
    print_tiles(&x);
    if (careful)
        LINES(p, "if (__syncthreads_or(!careful && %sis_tainted<E>(total))) continue;",
              x.plain ? "" : "spoilable && ");
    else
        LINES(p, "__syncthreads();");
    print_finish(&x);
    print_store(&x);
    if (careful) LINES(p, "break;\n}");
    LINES(p, "__syncthreads();\n}");
}
