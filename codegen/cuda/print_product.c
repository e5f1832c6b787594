/* Phases with a Product -> kernels: a tile of the result for every block of four warps.
 *
 * Both sides of the next products are on their way to shared memory (two buffers, swizzled) while those
 * before are multiplied: one barrier a step. What is no row in memory is computed for every element on its
 * way. On tensor cores a step is a few mma of 16 x 8 x 16 for every ldmatrix, in f32 16 x 4 products for
 * every load of four numbers. The result goes through shared memory, so that its rows leave as a whole, and
 * is computed from the sum there.
 *
 * Requires: sides of one type. Ensures: what Phase.body says, with sums in f32, in the order of the summed
 * indices. */
#include "codegen/cuda/print_tile.h"
#include "compiler/graph.h"

/* Names in the kernel. */
typedef struct ProductPrinter {
    Printer *p;
    const Product *t;
    const char *i[2], *from[2], *to[2],
        *left[2];                 /* rows, columns: one, those of the block, how many these are */
    const char *at[PRODUCT_DIMS]; /* a summed coordinate */
    const char *begin[PRODUCT_DIMS], *end[PRODUCT_DIMS];
    const char *next; /* where the last of them goes on */
} ProductPrinter;

enum { BUFFERS = 2 };

static unsigned element_bytes(const Product *t) { return t->mma ? 2 : 4; }
static unsigned side_bytes(const Product *t, unsigned rows) { return rows * t->depth * element_bytes(t); }

unsigned print_product_shared(const Product *t)
{
    return BUFFERS * (side_bytes(t, t->rows) + side_bytes(t, t->columns));
}

static const Index *last(const Product *t) { return t->along[t->n_along - 1]; }

static void bind(Printer *p, const Index *index, const char *name)
{
    p->indices[index->id] = name;
    set_add(&p->bound, index->id);
}

/* ---- sides ---- */

typedef struct Side {
    const ProductSide *side;
    unsigned number; /* 0: rows, 1: columns */
    const Index *own;
    const char *tile, *shape; /* where it goes */
    const char *rows, *columns;
} Side;

static Side side_of(ProductPrinter *x, unsigned number)
{
    Compilation *c = x->p->c;
    const Product *t = x->t;
    const ProductSide *side = number ? &t->b : &t->a;
    const char *extent = number ? "COLUMNS" : "ROWS", *left = x->left[number];
    return (Side){.side = side,
                  .number = number,
                  .own = number ? t->column : t->row,
                  .tile = format(c, "%s_tile + buffer * %s_BYTES", number ? "b" : "a", extent),
                  .shape = format(c, side->along ? "%s, DEPTH" : "DEPTH, %s", extent),
                  .rows = side->along ? left : "depth",
                  .columns = side->along ? "depth" : left};
}

static void print_copy(ProductPrinter *x, const Side *s)
{
    Printer *p = x->p;
    const Product *t = x->t;
    bool along = s->side->along;
    const char *own = x->from[s->number];
    const Index *rows = along ? s->own : last(t);
    TileCopy copy = {s->side->value, s->tile, s->shape, s->rows, s->columns, along ? x->next : own};
    if (tile_copy_apart(p, &copy, rows, along ? own : x->next)) return;
    const char *row = tile_copy_open(p, &copy);
    if (along)
        LINES(p, "const int64 %s = least(%s + number, %s - 1);", x->i[s->number], own, x->to[s->number]);
    else
        LINES(p, "const int64 %s = least(%s + number, %s - 1);", x->at[t->n_along - 1], x->next,
              x->end[t->n_along - 1]);
    tile_copy_close(p, copy, row);
}

static void print_values(ProductPrinter *x, const Side *s)
{
    Printer *p = x->p;
    bool along = s->side->along;
    LINES(p, "stage_%s<%s>(%s, %s, %s, [&](int row, int column) -> float {", x->t->mma ? "halves" : "floats",
          s->shape, s->tile, s->rows, s->columns);
    LINES(p, "const int64 %s = %s + %s, %s = %s + %s;", x->i[s->number], x->from[s->number],
          along ? "row" : "column", x->at[x->t->n_along - 1], x->next, along ? "column" : "row");
    print_value(p, "return ", s->side->value, "float", ";");
    LINES(p, "});");
}

static void print_side(ProductPrinter *x, unsigned number)
{
    Side s = side_of(x, number);
    if (s.side->copied)
        print_copy(x, &s);
    else
        print_values(x, &s);
}

/* ---- steps ---- */

static const char *shape_of(const ProductPrinter *x)
{
    return format(x->p->c, "ROWS, COLUMNS, DEPTH, %s, %s", x->t->a.along ? "true" : "false",
                  x->t->b.along ? "true" : "false");
}

/* Summed coordinates are counted like the digits of a number, the last DEPTH at a time. */
static void print_advance(ProductPrinter *x)
{
    Printer *p = x->p;
    unsigned n = x->t->n_along;
    LINES(p, "%s += DEPTH;", x->next);
    for (unsigned k = n; --k > 0;) {
        const char *at = k + 1 == n ? x->next : x->at[k];
        LINES(p, "if (%s >= %s) {\n%s = %s;\n%s++;", at, x->end[k], at, x->begin[k], x->at[k - 1]);
    }
    for (unsigned k = n; --k > 0;) LINES(p, "}");
    LINES(p, "some = %s < %s;", n > 1 ? x->at[0] : x->next, x->end[0]);
}

static void print_steps_open(ProductPrinter *x)
{
    Printer *p = x->p;
    unsigned n = x->t->n_along;
    Text some = {.c = p->c};
    for (unsigned k = 0; k < n; k++) {
        LINES(p, "int64 %s = %s;", k + 1 == n ? x->next : x->at[k], x->begin[k]);
        text_add(&some, "%s%s < %s", k ? " && " : "", x->begin[k], x->end[k]);
    }
    LINES(p, "bool some = %s, due = false;\nfor (int buffer = 0;; buffer ^= 1) {", some.at);
}

static void print_steps(ProductPrinter *x)
{
    Printer *p = x->p;
    print_steps_open(x);
    LINES(p,
          "// They are on their way while those before, which have arrived, are multiplied.\n"
          "copies_wait();\n__syncthreads();\nif (some) {\nconst int depth = (int)least(%s - %s, DEPTH);",
          x->end[x->t->n_along - 1], x->next);
    print_side(x, 0);
    print_side(x, 1);
    LINES(p,
          "}\nif (due)\n    add_%s<%s>(total, a_own + (buffer ^ 1) * ROWS_BYTES,\n"
          "        b_own + (buffer ^ 1) * COLUMNS_BYTES);",
          x->t->mma ? "matrices" : "floats", shape_of(x));
    LINES(p, "if (!some) break;\ndue = true;");
    print_advance(x);
    LINES(p, "}");
}

/* ---- the result ---- */

static void print_store(ProductPrinter *x)
{
    Printer *p = x->p;
    const Product *t = x->t;
    Node **at = NEW_ARRAY(p->c, Node *, t->out->n_dims + 1);
    for (unsigned d = 0; d < t->out->n_dims; d++) at[d] = node_index(p->c, t->out->dims[d]);
    LINES(p,
          "__syncthreads();\nconstexpr int WIDTH = COLUMNS / 2, PITCH = WIDTH + 8;\n"
          "const unsigned own = a_tile + warp * 16 * PITCH * 4;\n#pragma unroll\n"
          "for (int m = 0; m < ROWS / 32; m++) {\n__syncwarp();\nput_%s<COLUMNS, PITCH, %s, %s>(own, "
          "total[m]);\n__syncwarp();\n#pragma unroll 1\nfor (int n = lane; n < 16 * WIDTH; n += 32) {",
          t->mma ? "matrices" : "floats", t->a.along ? "true" : "false", t->b.along ? "true" : "false");
    LINES(p, "const int64 %s = %s + warp / 2 * (ROWS / 2) + m * 16 + n / WIDTH;", x->i[0], x->from[0]);
    LINES(p, "const int64 %s = %s + warp %% 2 * WIDTH + n %% WIDTH;", x->i[1], x->from[1]);
    LINES(p, "if (%s >= %s || %s >= %s) continue;", x->i[0], x->to[0], x->i[1], x->to[1]);
    LINES(p, "const float sum = __uint_as_float(load_shared(own + (n / WIDTH * PITCH + n %% WIDTH) * 4));");
    p->locals[t->total->id] = "sum";
    uint32_t mark = p->trail.n;
    Node *value = t->value;
    print_shared(p, p->span, 1, &value);
    print_line(p, (Span){0});
    print_access(p, t->out, at);
    text_add(p->out, " = ");
    print_as(p, value, "float", BIND_ANY);
    text_add(p->out, ";\n");
    print_forget(p, mark);
    LINES(p, "}\n}");
}

/* ---- the kernel ---- */

static void name_all(ProductPrinter *x)
{
    static const char *const own[] = {
        "ROWS",   "COLUMNS", "DEPTH",  "ROWS_BYTES", "COLUMNS_BYTES", "WIDTH", "PITCH", "shared", "a_tile",
        "b_tile", "a_own",   "b_own",  "warp",       "lane",          "total", "some",  "due",    "buffer",
        "depth",  "row",     "column", "number",     "sum",           "own",   "m",     "n"};
    Printer *p = x->p;
    const Product *t = x->t;
    for (size_t k = 0; k < sizeof own / sizeof *own; k++) name_new(p->c, &p->own, own[k]);
    for (unsigned k = 0; k < 2; k++) {
        const char *name = k ? t->column->name : t->row->name;
        x->i[k] = name_new(p->c, &p->own, name);
        x->from[k] = name_new(p->c, &p->own, format(p->c, "%s_begin", name));
        x->to[k] = name_new(p->c, &p->own, format(p->c, "%s_end", name));
        x->left[k] = name_new(p->c, &p->own, format(p->c, "%s_left", name));
    }
    for (unsigned k = 0; k < t->n_along; k++) x->at[k] = name_new(p->c, &p->own, t->along[k]->name);
    x->next = name_new(p->c, &p->own, "next");
}

static void print_constants(ProductPrinter *x)
{
    Printer *p = x->p;
    const Product *t = x->t;
    const char *kind = t->mma ? "matrix" : "float";
    LINES(p,
          "constexpr int ROWS = %u, COLUMNS = %u, DEPTH = %u; // of the result; products at a time\n"
          "constexpr unsigned ROWS_BYTES = %u, COLUMNS_BYTES = %u;\n"
          "extern __shared__ __align__(128) char shared[];\n"
          "const unsigned a_tile = shared_address(shared), b_tile = a_tile + 2 * ROWS_BYTES;\n"
          "const unsigned warp = threadIdx.x / 32, lane = threadIdx.x %% 32;\n"
          "const unsigned a_own = a_tile + %s_rows<ROWS, DEPTH, %s>();\n"
          "const unsigned b_own = b_tile + %s_columns<COLUMNS, DEPTH, %s>();",
          t->rows, t->columns, t->depth, side_bytes(t, t->rows), side_bytes(t, t->columns), kind,
          t->a.along ? "true" : "false", kind, t->b.along ? "true" : "false");
    const ProductSide *sides[] = {&t->a, &t->b};
    bool same = t->a.copied && t->b.copied && t->a.value->tensor == t->b.value->tensor;
    for (unsigned k = 0; k < (same ? 1 : 2); k++)
        if (sides[k]->copied) tile_chunks(p, sides[k]->value->tensor);
}

static void print_ranges(ProductPrinter *x)
{
    Printer *p = x->p;
    const Product *t = x->t;
    print_part(p, &t->range);
    for (unsigned k = 0; k < t->n_along; k++) {
        x->begin[k] = p->locals[t->begin[k]->id];
        x->end[k] = p->locals[t->end[k]->id];
    }
    const Index *own[] = {t->row, t->column}, *block[] = {t->row_block, t->column_block};
    const unsigned shape[] = {t->rows, t->columns};
    for (unsigned k = 0; k < 2; k++) {
        LINES(p, "const int64 %s = %s * %u, %s = least(%s + %u, %s);", x->from[k], p->indices[block[k]->id],
              shape[k], x->to[k], x->from[k], shape[k], print_extent(p, own[k]));
        LINES(p, "const int %s = (int)(%s - %s);", x->left[k], x->to[k], x->from[k]);
    }
}

static void want_helpers(Printer *p, const Product *t)
{
    print_want(p, HELP_TILE);
    print_want(p, HELP_LEAST);
    print_want(p, t->mma ? HELP_PRODUCT_MMA : HELP_PRODUCT_F32);
    print_want(p, HELP_FLOATS);
    if (!t->mma) return;
    print_want(p, HELP_TILE_MATRICES);
    print_want(p, job_real(p->job) == STORAGE_F16 ? HELP_TILE_F16 : HELP_TILE_BF16);
}

void print_product_body(Printer *p, const Phase *phase)
{
    const Product *t = phase->product;
    ProductPrinter x = {.p = p, .t = t};
    want_helpers(p, t);
    name_all(&x);
    print_constants(&x);
    print_task_indices(p, phase, "blockIdx.x", "gridDim.x");
    Node *roots[] = {t->a.copied ? NULL : t->a.value, t->b.copied ? NULL : t->b.value, t->value};
    print_invariants_of(p, sizeof roots / sizeof *roots, roots);
    print_invariants(p, &t->range, true, (Span){0});
    print_ranges(&x);
    bind(p, t->row, x.i[0]);
    bind(p, t->column, x.i[1]);
    for (unsigned k = 0; k < t->n_along; k++) bind(p, t->along[k], x.at[k]);
    LINES(p, "float total[ROWS / 32][COLUMNS / 16][4] = {};");
    print_steps(&x);
    print_store(&x);
    LINES(p, "__syncthreads();\n}");
}
