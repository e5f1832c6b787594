/* Rows of tiles: from where they are to shared memory, and rows of the output back. See print_tile.h.
 *
 * Ensures: rows beyond the last one are zeros, as are features beyond the last; nothing outside of a tensor
 * is read. Neighbouring threads copy neighbouring chunks. */
#include <string.h>

#include "codegen/cuda/print_tile.h"
#include "compiler/graph.h"
#include "compiler/walk.h"

enum { ROW_LONG = 6 /* operations of its place */ };

static PrintBuffer *buffer_of(const Printer *p, const Tensor *t)
{
    return &p->buffers[p->buffer_of[t->id] - 1];
}

/* ---- coordinates ---- */

static bool has_query(const TilePrinter *x, const Node *n)
{
    bool has = false;
    for (unsigned k = 0; k < x->t->n_queries; k++) has = has || node_depends_on(n, x->t->query[k]);
    return has;
}

void tile_queries_at(TilePrinter *x, const Node *n, const char *r, bool clamp)
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

const char *tile_inside_block(const TilePrinter *x)
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

void tile_stage_list(TilePrinter *x, const char *list)
{
    Printer *p = x->p;
    LINES(p, "if (threadIdx.x < KEYS) {");
    print_keys_at(x, format(p->c, "%s + threadIdx.x", x->next));
    for (unsigned k = 0; k < x->t->n_keys; k++)
        LINES(p, "store_shared(%s + (%u * KEYS + threadIdx.x) * 4, (unsigned)%s);", list, k, x->j[k]);
    LINES(p, "}");
}

/* ---- rows to shared memory ---- */

const char *tile_stride(Printer *p, const Tensor *t, unsigned dim)
{
    const PrintBuffer *b = buffer_of(p, t);
    if (b->buffer->kind == BUFFER_BOUND) return format(p->c, "io.%s[%u]", b->strides, dim);
    if (dim + 1 == t->n_dims) return "1";
    Text text = {.c = p->c};
    for (unsigned d = dim + 1; d < t->n_dims; d++)
        text_add(&text, "%s%s", d > dim + 1 ? " * " : "", print_extent(p, t->dims[d]));
    return text.at;
}

void tile_chunks(Printer *p, const Tensor *t)
{
    const PrintBuffer *b = buffer_of(p, t);
    if (b->buffer->kind == BUFFER_BOUND)
        LINES(p, "const bool %s_chunks = in_chunks(io.%s, io.%s);", b->access, b->data, b->strides);
    else
        LINES(p, "const bool %s_chunks = %s %% 4 == 0;", b->access, print_extent(p, t->dims[t->n_dims - 1]));
}

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

static void print_copy_head(Printer *p, const TileCopy *s)
{
    const Tensor *t = s->read->tensor;
    print_line(p, (Span){0});
    text_add(p->out, "stage<%s>(%s, %s, %s, %s_chunks, %s,\n", s->shape, s->tile, s->rows, s->columns,
             buffer_of(p, t)->access, tile_stride(p, t, t->n_dims - 1));
    text_add(p->out, "%*s", (int)(4 * p->indent + 6), "");
}

static void print_row_start(Printer *p, const TileCopy *s, const char *before, const char *after)
{
    const Tensor *t = s->read->tensor;
    uint32_t mark = p->trail.n;
    for (unsigned k = 0; k + 1 < s->read->n_args; k++) print_shared(p, p->span, 1, &s->read->args[k]);
    if (before) {
        print_line(p, (Span){0});
        text_add(p->out, "%s", before);
    } else
        print_copy_head(p, s);
    print_address(p, t, s->read->args);
    if (s->from) text_add(p->out, " + %s * %s", s->from, tile_stride(p, t, t->n_dims - 1));
    text_add(p->out, "%s\n", after);
    print_forget(p, mark);
}

bool tile_copy_apart(Printer *p, const TileCopy *s, const Index *variable, const char *first)
{
    int dim = plain_dim(s->read, variable);
    if (dim < 0 || buffer_of(p, s->read->tensor)->heads == dim) return false;
    const char *before = p->indices[variable->id];
    p->indices[variable->id] = first;
    print_row_start(p, s, NULL, format(p->c, ", %s);", tile_stride(p, s->read->tensor, (unsigned)dim)));
    p->indices[variable->id] = before;
    return true;
}

const char *tile_copy_open(Printer *p, const TileCopy *s)
{
    const char *row = name_new(p->c, &p->own, format(p->c, "%s_row", buffer_of(p, s->read->tensor)->access));
    LINES(p, "const auto %s = [&](unsigned number) {", row);
    return row;
}

void tile_copy_close(Printer *p, TileCopy s, const char *row)
{
    print_row_start(p, &s, "return ", ";");
    LINES(p, "};");
    unsigned work = 0;
    for (unsigned k = 0; k < s.read->n_args; k++) work += node_count(p->c, s.read->args[k]);
    if (work > ROW_LONG) s.shape = format(p->c, "%s, 1", s.shape);
    print_copy_head(p, &s);
    text_add(p->out, "%s);\n", row);
}

/* first: of the keys; NULL: the block's queries. */
static void print_stage(TilePrinter *x, TileCopy s, const char *first)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    bool one = first ? t->n_keys == 1 : t->n_queries == 1;
    if (one && tile_copy_apart(p, &s, first ? t->key[0] : t->query[0], first ? first : x->from[0])) return;
    const char *row = tile_copy_open(p, &s);
    if (!first)
        tile_queries_at(x, NULL, "number", true);
    else if (t->n_keys == 1)
        LINES(p, "const int64 %s = least(%s + number, %s - 1);", x->j[0], first, x->end);
    else
        print_keys_at(x, format(p->c, "%s + number", first));
    tile_copy_close(p, s, row);
}

static const char *features(const TilePrinter *x, int64_t n) { return format(x->p->c, "%lld", (long long)n); }

void tile_stage_queries(TilePrinter *x)
{
    const Tile *t = x->t;
    const char *rows = t->n_queries > 1 ? "64" : format(x->p->c, "(int)(%s - %s)", x->to[0], x->from[0]);
    print_stage(x, (TileCopy){t->q, "q_tile", "64, D", rows, features(x, t->d), NULL}, NULL);
}

void tile_stage_keys(TilePrinter *x, const char *tile, const char *first)
{
    print_stage(x, (TileCopy){x->t->k, tile, "KEYS, D", "rows", features(x, x->t->d), NULL}, first);
}

void tile_stage_values(TilePrinter *x, const char *tile, const char *first)
{
    print_stage(x, (TileCopy){x->t->v, tile, "KEYS, E", "rows", features(x, x->t->e), NULL}, first);
}

/* ---- the output ---- */

/* `TYPE *to = io.o_at(...)` for the query at hand. */
static void print_to(TilePrinter *x)
{
    Printer *p = x->p;
    const Tensor *out = x->t->out;
    Node **at = NEW_ARRAY(p->c, Node *, out->n_dims + 1);
    for (unsigned d = 0; d < out->n_dims; d++) at[d] = node_index(p->c, out->dims[d]);
    LINES(p, "if (!(%s)) continue;", tile_inside_block(x));
    print_line(p, (Span){0});
    text_add(p->out, "%s *to = ", buffer_of(p, out)->element);
    print_address(p, out, at);
}

/* Through shared memory, so that rows leave in chunks. */
static void print_store_chunks(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    const char *access = buffer_of(p, t->out)->access, *stride = tile_stride(p, t->out, t->out->n_dims - 1);
    LINES(p, "put_rows<E>(q_tile, total);\nfor (int n = lane; n < 2 * E; n += 32) {\n"
             "const int number = warp * 16 + n / (E / 8), column = n %% (E / 8) * 8;");
    tile_queries_at(x, NULL, "number", false);
    print_to(x);
    text_add(p->out, " + column * %s;\n", stride);
    LINES(p, "store_chunk(to, q_tile + chunk<E>(number, column / 8), %lld - column, %s_chunks, %s);\n}",
          (long long)t->e, access, stride);
}

/* From registers: neighbouring lanes have neighbouring columns. */
static void print_store_floats(TilePrinter *x)
{
    Printer *p = x->p;
    const Tile *t = x->t;
    const char *access = buffer_of(p, t->out)->access, *stride = tile_stride(p, t->out, t->out->n_dims - 1);
    LINES(p, "#pragma unroll\nfor (int row = 0; row < %u; row++) {", x->layout->rows);
    tile_queries_at(x, NULL, tile_row(x, "row"), false);
    print_to(x);
    text_add(p->out, ";\n");
    LINES(p, "store_row<E>(to, total, row, %lld, %s_chunks, %s);\n}", (long long)t->e, access, stride);
}

void tile_store(TilePrinter *x)
{
    if (x->t->mma && !x->wide)
        print_store_chunks(x);
    else
        print_store_floats(x);
}
