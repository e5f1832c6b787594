/* Sums of products of rows and columns as tiles of the result: of 16 bits on tensor cores, of f32 without.
 *
 * Requires: a stage of one equation. Ensures: the body of the phase computes the same, one element after the
 * other; its Product says how a block of threads does it. Breaks: nothing; what does not fit is left to
 * lower_equation. */
#include "lower_product.h"

#include <math.h>

#include "lower_strip.h"
#include "lower_tile.h"
#include "tile_model.h"

typedef struct Matching {
    Lower *l;
    const Stage *stage;
    Product *t;
    NodeList binders; /* outermost ones of the body */
    Node *sum, *where;
    Node *scaled;     /* the sum, times what no summed index changes */
    NodeList factors; /* of what is summed then */
    Index *outer[MAX_INDICES];
    unsigned n_outer;
} Matching;

static Node *number(Matching *x, int64_t n) { return node_int(x->l->c, n); }
static Node *combine(Matching *x, Op op, Node *a, Node *b) { return node_binary(x->l->c, op, a, b); }

/* ---- recognising ---- */

static void collect(void *context, Node *n, const Binding *around)
{
    Matching *x = context;
    if (!around->binder && node_is_binder(n)) PUSH(x->l->c, &x->binders, n);
}

static bool is_summed(const Matching *x, const Node *n)
{
    for (unsigned k = 0; k < x->sum->n_vars; k++)
        if (node_depends_on(n, x->sum->vars[k])) return true;
    return false;
}

static void split_factors(Matching *x, Node *n)
{
    bool hides = !node_is_bool(x->where, true); /* 0 absorbs all factors */
    if (!hides && !is_summed(x, n)) {
        x->scaled = combine(x, N_MUL, x->scaled, n);
    } else if (n->op == N_NEG) {
        x->scaled = node_unary(x->l->c, N_NEG, x->scaled);
        split_factors(x, n->args[0]);
    } else if (n->op == N_DIV && !hides && !is_summed(x, n->args[1])) {
        x->scaled = combine(x, N_DIV, x->scaled, n->args[1]);
        split_factors(x, n->args[0]);
    } else if (n->op == N_MUL) {
        split_factors(x, n->args[0]);
        split_factors(x, n->args[1]);
    } else
        PUSH(x->l->c, &x->factors, n);
}

static const char *match_sum(Matching *x)
{
    Compilation *c = x->l->c;
    walk(c, x->stage->equation->body, collect, x);
    for (uint32_t k = 1; k < x->binders.n; k++)
        if (x->binders.at[k] != x->binders.at[0]) return "it holds several sums";
    Node *n = x->binders.n ? x->binders.at[0] : NULL;
    if (!n || n->op != N_REDUCE || n->kind != REDUCE_SUM || n->type != TYPE_REAL || !n->data ||
        n->n_vars > PRODUCT_DIMS)
        return "it is no sum over up to three indices";
    x->sum = x->scaled = n;
    x->where = binder_where(n);
    split_factors(x, binder_body(n));
    Node *rest = node_replace(c, x->stage->equation->body, n, node_real(c, 0));
    if (contains_binder(c, rest) || contains_binder(c, binder_body(n)) || contains_binder(c, x->where))
        return "it holds further reductions";
    return NULL;
}

/* An extent that is not fixed is taken to be no less than this: examples are small, products that take time
 * are not. */
static double extent_of(const Matching *x, Index *index, double least)
{
    int64_t fixed = tile_extent(x->l, node_size(x->l->c, index));
    return fixed >= 0 ? (double)fixed : fmax(plan_example_extent(x->l->plan, index), least);
}

/* Factors with the index, or those without. */
static Node *factors_with(Matching *x, const Index *index, bool with)
{
    Node *product = node_real(x->l->c, 1);
    for (uint32_t k = 0; k < x->factors.n; k++)
        if (node_depends_on(x->factors.at[k], index) == with)
            product = combine(x, N_MUL, product, x->factors.at[k]);
    return product;
}

/* An index of the rows for these columns: the last one that their factors lack. */
static Index *row_beside(Matching *x, const Index *column)
{
    const Tensor *out = x->stage->equation->tensor;
    Node *a = factors_with(x, column, false), *b = factors_with(x, column, true);
    if (!is_summed(x, a) || !is_summed(x, b)) return NULL;
    for (unsigned k = out->n_dims; k-- > 0;) {
        Index *row = out->dims[k];
        if (row->ambient || !node_depends_on(a, row) || node_depends_on(b, row)) continue;
        x->t->a.value = a, x->t->b.value = b;
        return row;
    }
    return NULL;
}

/* Columns are the last index of the result that some other tells rows apart for. */
static const char *match_sides(Matching *x)
{
    const Tensor *out = x->stage->equation->tensor;
    Product *t = x->t;
    for (unsigned k = out->n_dims; k-- > 0 && !t->row;)
        if (!out->dims[k]->ambient && (t->row = row_beside(x, out->dims[k]))) t->column = out->dims[k];
    if (!t->row) return "its factors are not those of rows and of columns";
    for (unsigned k = 0; k < out->n_dims; k++)
        if (out->dims[k] != t->row && out->dims[k] != t->column) x->outer[x->n_outer++] = out->dims[k];
    if (node_depends_on(x->where, t->row) || node_depends_on(x->where, t->column))
        return "its condition is about rows or columns";
    return NULL;
}

static bool is_fixed(const Matching *x, const Node *n)
{
    return !is_summed(x, n) && !node_depends_on(n, x->t->row) && !node_depends_on(n, x->t->column) &&
           !contains_binder(x->l->c, n);
}

static const char *match_ranges(Matching *x)
{
    const double few = 8;
    Product *t = x->t;
    double products = 1;
    t->n_along = x->sum->n_vars;
    for (unsigned k = 0; k < t->n_along; k++) {
        t->along[k] = x->sum->vars[k];
        products *= extent_of(x, t->along[k], few);
        if (!is_fixed(x, binder_lo(x->sum, k)) || !is_fixed(x, binder_hi(x->sum, k)))
            return "its range differs from element to element";
    }
    if (products < few || extent_of(x, t->row, few) < few || extent_of(x, t->column, few) < few)
        return "its matrices are small";
    return NULL;
}

/* NULL, or why the stage does not run in tiles. */
static const char *obstacle(Matching *x)
{
    const Equation *e = x->stage->equation;
    StorageType real = x->l->schedule.real, out = tile_storage(x->l, e->tensor);
    if (real == STORAGE_F64) return "tiles are of f32, f16 or bf16";
    if (e->tensor->type != TYPE_REAL || e->tensor->optional || (out != STORAGE_F32 && out != real))
        return "what it computes is no real, kept in f64, or optional";
    if (contains_op(x->l->c, e->body, N_CHECK)) return "a value is checked as it runs";
    const char *why = match_sum(x);
    if (!why) why = match_sides(x);
    return why ? why : match_ranges(x);
}

/* ---- operands ---- */

/* A READ of elements of this type with the index as its last coordinate alone. */
static bool lies_along(const Matching *x, const Node *n, const Index *index, StorageType type)
{
    if (n->op != N_READ || n->guarded || n->n_args == 0 || n->tensor->optional) return false;
    if (n->type != TYPE_REAL || tile_storage(x->l, n->tensor) != type) return false;
    for (unsigned k = 0; k + 1 < n->n_args; k++)
        if (node_depends_on(n->args[k], index)) return false;
    const Node *last = n->args[n->n_args - 1];
    return last->op == N_INDEX && last->index == index;
}

/* Has 16 bits room for its value? */
static bool fits_16(const Matching *x, const Node *n)
{
    switch (n->op) {
    case N_READ: return n->type == TYPE_REAL && tile_storage(x->l, n->tensor) == x->l->schedule.real;
    case N_REAL: return n->real == floor(n->real) && fabs(n->real) <= 256;
    case N_NEG:
    case N_ABS:
    case N_STOP: return fits_16(x, n->args[0]);
    case N_MIN:
    case N_MAX: return fits_16(x, n->args[0]) && fits_16(x, n->args[1]);
    case N_IF: return fits_16(x, n->args[1]) && fits_16(x, n->args[2]);
    default: return false;
    }
}

/* Does the last coordinate of what it reads first follow the index? */
static bool reads_along(const Node *n, const Index *index)
{
    if (n->op == N_READ && n->n_args) return node_depends_on(n->args[n->n_args - 1], index);
    for (unsigned k = 0; k < n->n_args; k++)
        if (reads_along(n->args[k], index)) return true;
    return false;
}

/* How the elements of one side come to shared memory. */
static void place(const Matching *x, ProductSide *side, const Index *own)
{
    const Product *t = x->t;
    unsigned last = t->n_along - 1;
    StorageType type = t->mma ? x->l->schedule.real : STORAGE_F32;
    bool along = node_is_int(binder_lo(x->sum, last), 0) && lies_along(x, side->value, t->along[last], type);
    side->copied = along || lies_along(x, side->value, own, type);
    side->along = side->copied ? along : !reads_along(side->value, own);
}

/* A summand that a condition hides is 0 whatever its factors are. */
static void hide(Matching *x)
{
    Node *zero = node_real(x->l->c, 0);
    x->t->a.value = node_if(x->l->c, x->where, x->t->a.value, zero);
    x->t->b.value = node_if(x->l->c, x->where, x->t->b.value, zero);
}

/* ---- the phase ---- */

static void find_ranges(Matching *x)
{
    Lower *l = x->l;
    Product *t = x->t;
    for (unsigned k = 0; k < t->n_along; k++) {
        const char *name = t->along[k]->name;
        t->begin[k] = local_make(l, format(l->c, "%s_begin", name), TYPE_INT, true);
        t->end[k] = local_make(l, format(l->c, "%s_end", name), TYPE_INT, true);
        set_local(l, t->begin[k], lower_value(l, binder_lo(x->sum, k)));
        set_local(l, t->end[k], lower_value(l, binder_hi(x->sum, k)));
    }
}

static Range block_range(Matching *x, Index *index, Index *block, unsigned extent)
{
    Node *size = node_size(x->l->c, index), *shape = number(x, extent);
    Node *from = combine(x, N_MUL, node_index(x->l->c, block), shape);
    return (Range){from, combine(x, N_MIN, combine(x, N_ADD, from, shape), size), NULL};
}

/* Loops with the same meaning. */
static void make_body(Matching *x, Phase *phase)
{
    Lower *l = x->l;
    const Product *t = x->t;
    Scope root;
    Loop rows, columns;
    IndexSet bound = set_of_dims(x->stage->equation->tensor);
    phase_open(l, &root, phase->n_tasks, phase->tasks);
    loop_open(l, &rows, t->row, block_range(x, t->row, t->row_block, t->rows));
    loop_open(l, &columns, t->column, block_range(x, t->column, t->column_block, t->columns));
    lower_equation(l, x->stage->equation, &bound);
    loop_close(l, &columns);
    loop_close(l, &rows);
    phase_close(l, &root, *phase);
}

static Index *blocks_of(Matching *x, Index *index, unsigned extent)
{
    Node *up = combine(x, N_ADD, node_size(x->l->c, index), number(x, extent - 1));
    const char *name = format(x->l->c, "tile_%s", index->name);
    return strip_index(x->l, name, combine(x, N_FLOORDIV, up, number(x, extent)));
}

static void choose_tile(Matching *x)
{
    const double many = 1024, some = 8;
    Product *t = x->t;
    ProductNeed need = {.mma = t->mma, .batch = 1, .times = 1};
    need.n_rows = extent_of(x, t->row, many);
    need.n_columns = extent_of(x, t->column, many);
    need.along = extent_of(x, t->along[t->n_along - 1], many);
    for (unsigned k = 0; k + 1 < t->n_along; k++) need.times *= extent_of(x, t->along[k], 1);
    for (unsigned k = 0; k < x->n_outer; k++) need.batch *= extent_of(x, x->outer[k], some);
    product_tile(&need, x->l->schedule.arch, x->l->schedule.tile);
    t->rows = need.rows, t->columns = need.columns, t->depth = need.depth;
}

static Phase make_tasks(Matching *x)
{
    Lower *l = x->l;
    Product *t = x->t;
    const char *name = x->stage->equation->tensor->name;
    Phase phase = {.name = format(l->c, "%s %s", stage_name(x->stage->kind), name),
                   .how = "tiles of rows and columns",
                   .tasks = NEW_ARRAY(l->c, Index *, x->n_outer + 2),
                   .product = t};
    for (unsigned k = 0; k < x->n_outer; k++) phase.tasks[phase.n_tasks++] = x->outer[k];
    phase.tasks[phase.n_tasks++] = t->row_block = blocks_of(x, t->row, t->rows);
    phase.tasks[phase.n_tasks++] = t->column_block = blocks_of(x, t->column, t->columns);
    return phase;
}

static void make_product(Matching *x, const Phase *phase)
{
    Lower *l = x->l;
    Product *t = x->t;
    const Equation *e = x->stage->equation;
    Scope root;
    phase_open(l, &root, phase->n_tasks, phase->tasks);
    find_ranges(x);
    t->total = local_new(l, "total", x->sum);
    t->out = e->tensor;
    Node *total = node_replace(l->c, x->scaled, x->sum, local_get(l, t->total));
    for (unsigned k = 0; k < t->n_along && x->scaled != x->sum;
         k++) { /* no sum: 0, whatever its factors are */
        Node *any = combine(x, N_LT, binder_lo(x->sum, k), binder_hi(x->sum, k));
        total = node_if(l->c, any, total, node_real(l->c, 0));
    }
    t->value = node_replace(l->c, e->body, x->sum, total);
    t->range = root.block;
    scope_close(l, &root);
}

bool lower_product(Lower *l, const Stage *stage)
{
    Matching x = {.l = l, .stage = stage, .t = NEW(l->c, Product)};
    Product *t = x.t;
    l->span = stage->equation->tensor->span;
    l->plain = obstacle(&x);
    if (l->plain) return false;
    if (!node_is_bool(x.where, true)) hide(&x);
    t->mma = l->schedule.real != STORAGE_F32 && fits_16(&x, t->a.value) && fits_16(&x, t->b.value);
    place(&x, &t->a, t->row);
    place(&x, &t->b, t->column);
    choose_tile(&x);
    Phase phase = make_tasks(&x);
    make_product(&x, &phase);
    make_body(&x, &phase);
    return true;
}
