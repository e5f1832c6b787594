/* Pairs of queries and keys in tiles: their scores, which of them are hidden, and what becomes of the sums.
 * See print_tile.h.
 *
 * Each thread knows the query and the key of each of its elements, so that any score of the product, of
 * coordinates and of tensors is printed as it is. What is long is a loop over the elements, not 32 copies. */
#include "codegen/cuda/print_tile.h"
#include "compiler/graph.h"
#include "compiler/walk.h"

/* Divisions of integers are branches and loops. */
static void find_division(void *context, const Node *n)
{
    bool *divides = context;
    *divides |= (n->op == N_FLOORDIV || n->op == N_MOD) && n->args[1]->op != N_INT;
}

bool tile_is_long(Printer *p, const Node *n)
{
    enum { LONG = 24 };
    bool divides = false;
    node_visit(p->c, n, find_division, &divides);
    return divides || node_count(p->c, n) > LONG;
}

static bool reads(const Printer *p, const Node *n)
{
    if (p->memo[n->id]) return false;
    if (n->op == N_READ) return true;
    for (unsigned k = 0; k < n->n_args; k++)
        if (reads(p, n->args[k])) return true;
    return false;
}

const char *tile_row(const TilePrinter *x, const char *r)
{
    return format(x->p->c, "%s + %s * %u", x->layout->row, r, x->layout->step);
}

/* Loops over the elements of a thread, with the coordinates that `n` needs. */
static void print_elements_open(TilePrinter *x, const Node *n, bool roll)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    bool clamp = reads(p, n);
    const char *unroll = roll ? "#pragma unroll 1" : "#pragma unroll";
    LINES(p, "%s\nfor (int r = 0; r < %u; r++) {", unroll, x->layout->rows);
    tile_queries_at(x, n, tile_row(x, "r"), clamp);
    LINES(p, "%s\nfor (int n = 0; n < %s; n++) {\nconst int key = %s;", unroll, x->layout->n_keys,
          x->layout->key);
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

/* ---- scores ---- */

/* Every element becomes the value. */
static void print_each(TilePrinter *x, Node *value)
{
    Printer *p = x->p;
    if (!tile_is_long(p, value)) {
        print_elements_open(x, value, false);
        LINES(p, "float &score = %s;", x->layout->score);
        print_value(p, "score = ", value, "float", ";");
        LINES(p, "}\n}");
        return;
    }
    LINES(p,
          "// One after the other, from shared memory.\n#pragma unroll\nfor (int x = 0; x < KEYS / 2; x++)\n"
          "    store_shared(s_own + x * 128, __float_as_uint(s[x / 4][x %% 4]));");
    print_elements_open(x, value, true);
    LINES(p,
          "const unsigned at = s_own + (%s) * 128;\n"
          "const float score = __uint_as_float(load_shared(at));",
          x->layout->bit);
    print_value(p, "store_shared(at, __float_as_uint(", value, "float", "));");
    LINES(p, "}\n}\n#pragma unroll\nfor (int x = 0; x < KEYS / 2; x++) s[x / 4][x %% 4] = "
             "__uint_as_float(load_shared(s_own + x * 128));");
}

void tile_scores(TilePrinter *x, const char *q, const char *k)
{
    LINES(x->p, "add_products<KEYS, %s>(s, %s, %s, %s);", x->t->mma ? x->d_width : "D", q, k,
          x->boxes ? "live" : "~0u");
    if (!x->t->scale) print_each(x, x->t->score);
}

/* Which elements are hidden, as bits. */
void tile_mask(TilePrinter *x)
{
    Printer *p = x->p;
    LINES(p, "if (!full) {\n__syncwarp(); // so that full tiles jump");
    print_elements_open(x, x->t->where, tile_is_long(p, x->t->where) || reads(p, x->t->where));
    const char *set = format(p->c, ") hidden |= 1u << (%s);", x->layout->bit);
    if (x->masks)
        print_value(p, "if (!(key < left && ", x->t->where, NULL, format(p->c, ")%s", set));
    else
        LINES(p, "if (key >= left%s", set);
    LINES(p, "}\n}%s\n}", x->masks && x->careful && !x->large ? "\nspoilable |= partial;" : "");
}

void tile_hide(TilePrinter *x)
{
    LINES(x->p,
          "if (!full) {\n__syncwarp();\n#pragma unroll\nfor (int x = 0; x < KEYS / 2; x++)\n"
          "    if (hidden >> x & 1) s[x / 4][x %% 4] = %s;\n}",
          x->plain ? "0" : "-infinity");
}

/* ---- sums ---- */

void tile_start(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    unsigned rows = x->layout->rows;
    const char *least = rows == 2 ? "-infinity, -infinity" : "-infinity, -infinity, -infinity, -infinity";
    if (t->v) LINES(p, "float total[E / 8][4] = {};");
    if (!t->v && t->max && t->sum) LINES(p, "float total[1][4] = {}; // no values");
    if (t->max) LINES(p, "float top[%u] = {%s};", rows, least);
    if (t->sum) LINES(p, "float sum[%u] = {};", rows);
    if (!t->sink) return;
    LINES(p, "for (int r = 0; r < %u; r++) {", rows);
    tile_queries_at(x, t->sink, tile_row(x, "r"), true);
    print_value(p, "top[r] = ", t->sink, "float", ";");
    LINES(p, "sum[r] = lane %% %u ? 0 : 1;\n}", x->layout->lanes);
}

void tile_weigh(TilePrinter *x)
{
    const Tile *t = x->t;
    if (t->max && t->sum)
        LINES(x->p, "make_weights<KEYS>(s, top, sum, total, scale, slack);");
    else if (t->max)
        LINES(x->p, "keep_greatest<KEYS>(top, s);");
    else if (t->sum)
        LINES(x->p, "add_weights<KEYS>(sum, s);");
    if (t->gain) print_each(x, t->gain);
}

static void print_riders(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    if (!t->n_riders) return;
    tile_queries_at(x, NULL, tile_row(x, "row"), false);
    LINES(p, "if (lane %% %u == 0 && %s) {", x->layout->lanes, tile_inside_block(x));
    if (t->max) LINES(p, "const float max = top[row]%s;", t->scale ? " * score_scale" : "");
    if (t->max) p->locals[t->max->id] = "max";
    if (t->sum) p->locals[t->sum->id] = "sum[row]";
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

static void print_column(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    LINES(p, "#pragma unroll\nfor (int n = 0; n < %s; n++) {\nfloat &x = %s;", x->layout->n_columns,
          x->layout->total);
    if (t->max || t->scale) LINES(p, "x *= %s;", t->max ? "inverse" : "scale");
    if (t->value->op != N_LOCAL) {
        tile_queries_at(x, t->value, tile_row(x, "row"), true);
        LINES(p, "const int64 %s = least(%s, %lld);", x->e, x->layout->column, (long long)t->e - 1);
        p->locals[t->total->id] = "x";
        print_value(p, "x = ", t->value, "float", ";");
    }
    LINES(p, "}");
}

void tile_finish(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    if (t->v && !t->max && !t->scale && t->value->op == N_LOCAL) return;
    LINES(p, "#pragma unroll\nfor (int row = 0; row < %u; row++) {", x->layout->rows);
    if (t->max && !t->sum) LINES(p, "top[row] = row_max(top[row]);");
    if (t->sum) LINES(p, "sum[row] = row_sum(sum[row])%s;", !t->max && t->scale ? " * scale" : "");
    if (t->v && t->max) LINES(p, "const float inverse = sum[row] == 0 ? 1 : 1 / sum[row];");
    if (t->v) print_column(x);
    print_riders(x);
    LINES(p, "}");
}
