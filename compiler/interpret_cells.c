/* Nodes to Cells: operands, data and variables resolved, sizes and parameters constant. A Cell is shared
 * by all places of its Node (values depend on the free variables alone); what is heavy and needed again
 * gets a Memo. */
#include "interpret_cells.h"

#include <string.h>

bool store_init(Interpreter *in, Store *s, const int64_t *extents, unsigned n)
{
    const int64_t most = (int64_t)1 << MAX_ELEMENTS_SHIFT;
    uint64_t count = 1;
    for (unsigned k = 0; k < n; k++)
        if (extents[k] <= 0) count = 0;
    for (unsigned k = 0; k < n && count; k++) {
        count *= (uint64_t)extents[k];
        if (extents[k] > most || count > (uint64_t)most) return false;
    }
    s->n = count;
    s->pages = NEW_ARRAY(&in->memory, Page *, (count >> PAGE_SHIFT) + 1);
    return true;
}

Scalar *store_find(const Store *s, uint64_t at)
{
    Page *p = s->pages[at >> PAGE_SHIFT];
    unsigned k = at & ((1 << PAGE_SHIFT) - 1);
    return p && p->known[k / 64] >> (k % 64) & 1 ? &p->values[k] : NULL;
}

void store_put(Interpreter *in, Store *s, uint64_t at, Scalar value)
{
    Page **p = &s->pages[at >> PAGE_SHIFT];
    if (!*p) {
        uint64_t rest = s->n - (at >> PAGE_SHIFT << PAGE_SHIFT), size = (uint64_t)1 << PAGE_SHIFT;
        *p = arena_alloc(&in->memory, sizeof(Page) + sizeof(Scalar) * (rest < size ? rest : size));
    }
    unsigned k = at & ((1 << PAGE_SHIFT) - 1);
    (*p)->values[k] = value;
    (*p)->known[k / 64] |= (uint64_t)1 << (k % 64);
}

/* `all`: every value is remembered, if there are not too many; else the last one. `binder`: also by where
 * its ranges begin (NULL: not). */
Memo *memo_new(Interpreter *in, const IndexSet *free, bool all, const Cell *binder)
{
    Memo *m = NEW(&in->memory, Memo);
    unsigned size = MAX_BOUND;
    for (unsigned k = 0; k < MAX_INDICES / 64; k++) size += (unsigned)__builtin_popcountll(free->words[k]);
    m->slots = NEW_ARRAY(&in->memory, const int64_t *, size);
    m->extents = NEW_ARRAY(&in->memory, int64_t, size);
    for (unsigned id = 0; id < MAX_INDICES; id++) {
        if (!set_has(free, id)) continue;
        m->extents[m->n] = in->extent[id];
        m->slots[m->n++] = &in->value[id];
    }
    for (unsigned k = 0; binder && k < binder->n_vars; k++) {
        m->extents[m->n] = binder->extents[k] + 1;
        m->slots[m->n++] = &binder->lo[k];
    }
    if (!all || !store_init(in, &m->store, m->extents, m->n))
        m->last = NEW_ARRAY(&in->memory, int64_t, m->n + 1);
    return m;
}

static uint64_t memo_at(const Memo *m)
{
    uint64_t at = 0;
    for (unsigned k = 0; k < m->n; k++) at = at * (uint64_t)m->extents[k] + (uint64_t)*m->slots[k];
    return at;
}

Scalar *memo_find(Memo *m)
{
    if (m->store.pages) return store_find(&m->store, memo_at(m));
    if (!m->valid) return NULL;
    for (unsigned k = 0; k < m->n; k++)
        if (m->last[k] != *m->slots[k]) return NULL;
    return &m->last_value;
}

void memo_put(Interpreter *in, Memo *m, Scalar value)
{
    if (m->store.pages) {
        store_put(in, &m->store, memo_at(m), value);
        return;
    }
    for (unsigned k = 0; k < m->n; k++) m->last[k] = *m->slots[k];
    m->last_value = value;
    m->valid = true;
}

static bool cheap(const Cell *n) { return n->op == N_INDEX || n->op == CELL_CONSTANT || n->op == CELL_MEMO; }

/* Turns a Cell that others already point to into one that remembers. */
static void remember(Interpreter *in, Cell *n, bool all)
{
    if (cheap(n)) return;
    Cell *inner = NEW(&in->memory, Cell);
    *inner = *n;
    n->op = CELL_MEMO;
    n->args = NEW(&in->memory, Cell *);
    n->args[0] = inner;
    n->n_args = 1;
    n->memo = memo_new(in, n->node->free, all, NULL);
    n->weight = 1;
}

static Cell *constant(Cell *n, Scalar value)
{
    n->op = CELL_CONSTANT;
    n->value = value;
    n->n_args = 0;
    n->weight = 1;
    return n;
}

static Scalar param_value(const Interpreter *in, const Param *p)
{
    if (p->fixed) return p->type == TYPE_REAL ? scalar_real(p->value.real) : scalar_int(p->value.integer);
    return in->arguments->params[p->number];
}

static Cell *build_leaf(Interpreter *in, Cell *n, const Node *from)
{
    switch (from->op) {
    case N_INT: case N_BOOL: return constant(n, scalar_int(from->integer));
    case N_REAL: return constant(n, scalar_real(from->real));
    case N_SIZE: return constant(n, scalar_int(interpret_extent(in, from->index)));
    case N_PARAM: return constant(n, param_value(in, from->param));
    case N_GIVEN: return constant(n, scalar_int(interpret_table(in, from->tensor)->data != NULL));
    case N_INDEX:
        interpret_extent(in, from->index);
        n->slot = &in->value[from->index->id];
        return n;
    default: BUG(&in->memory, "the interpreter met a %s", op_name(from->op));
    }
}

static void build_args(Interpreter *in, Cell *n, const Node *from)
{
    n->n_args = from->n_args;
    n->args = NEW_ARRAY(&in->memory, Cell *, from->n_args + 1);
    for (unsigned k = 0; k < from->n_args; k++) {
        n->args[k] = interpret_build(in, from->args[k]);
        n->weight = n->weight + n->args[k]->weight > 1u << 30 ? 1u << 30 : n->weight + n->args[k]->weight;
    }
}

static Cell *build_read(Interpreter *in, Cell *n, const Node *from)
{
    build_args(in, n, from);
    n->table = interpret_table(in, from->tensor);
    if (!n->table->data) n->op = CELL_EQUATION; /* or an input that is not given, which nobody may reach */
    else n->op = from->type == TYPE_REAL ? CELL_F64 : from->type == TYPE_INT ? CELL_I64 : CELL_U8;
    return n;
}

/* Is there a variable around that this does not depend on? Then it is needed again. */
static bool invariant(const Interpreter *in, const Node *n)
{
    for (unsigned k = 0; k < MAX_INDICES / 64; k++)
        if (in->scope.words[k] & ~n->free->words[k]) return true;
    return false;
}

/* Ranges and what is needed besides stand outside, `where` and the body inside. */
static Cell *build_binder(Interpreter *in, Cell *n, const Node *from)
{
    if (from->n_vars > MAX_BOUND) BUG(&in->memory, "more than %d bound variables", MAX_BOUND);
    IndexSet scope = in->scope;
    bool twice = in->twice;
    n->n_vars = from->n_vars;
    n->n_args = from->n_args;
    n->type = (uint8_t)binder_body(from)->type;
    n->args = NEW_ARRAY(&in->memory, Cell *, from->n_args);
    n->vars = NEW_ARRAY(&in->memory, int64_t *, from->n_vars);
    n->extents = NEW_ARRAY(&in->memory, int64_t, from->n_vars);
    const unsigned inside = 2u * from->n_vars;
    for (unsigned k = 0; k < from->n_args; k++)
        if (k < inside || k > inside + 1) n->args[k] = interpret_build(in, from->args[k]);
    for (unsigned k = 0; k < from->n_vars; k++) {
        n->extents[k] = interpret_extent(in, from->vars[k]);
        n->vars[k] = &in->value[from->vars[k]->id];
        set_add(&in->scope, from->vars[k]->id);
    }
    in->twice = from->op != N_REDUCE && from->op != N_SCAN;
    for (unsigned k = inside; k < inside + 2; k++) n->args[k] = interpret_build(in, from->args[k]);
    in->scope = scope;
    in->twice = twice;
    n->weight = 100;
    return n;
}

/* Rows are kept by what `where`, the body and the operand depend on (but for the bound variables), and by
 * where they begin: so all positions of a block share one. The place in the list of a selection is no
 * property of the row. */
static void build_row(Interpreter *in, Cell *n, const Node *from)
{
    IndexSet free = {0};
    bool listed = from->op == N_TOP_INDEX || from->op == N_POSITIONS;
    for (unsigned k = 0; k < MAX_INDICES / 64; k++)
        free.words[k] = binder_where(from)->free->words[k] | binder_body(from)->free->words[k];
    for (unsigned k = 0; k < from->n_vars; k++) set_remove(&free, from->vars[k]->id);
    if (binder_extra(from) && !listed)
        for (unsigned k = 0; k < MAX_INDICES / 64; k++) free.words[k] |= binder_extra(from)->free->words[k];
    bool moving = false;
    for (unsigned k = 0; k < 2u * n->n_vars; k++) moving |= n->args[k]->op != CELL_CONSTANT;
    n->lo = moving ? NEW_ARRAY(&in->memory, int64_t, from->n_vars) : NULL;
    n->memo = memo_new(in, &free, true, moving ? n : NULL);
}

static Cell *fold(Interpreter *in, Cell *n)
{
    for (unsigned k = 0; k < n->n_args; k++)
        if (n->args[k]->op != CELL_CONSTANT) return n;
    if (n->op == N_CHECK) return n;
    return constant(n, interpret_eval(in, n));
}

static Cell *build_new(Interpreter *in, Cell *n, Node *from)
{
    if (from->op == N_READ) return build_read(in, n, from);
    if (node_is_binder(from)) {
        build_binder(in, n, from);
        if (from->op != N_REDUCE) build_row(in, n, from);
        else if (in->twice || invariant(in, from)) remember(in, n, true);
        return n;
    }
    if (from->n_args == 0) return build_leaf(in, n, from);
    n->type = (uint8_t)from->args[0]->type;
    if (node_is_straight(from)) return constant(n, scalar_real(0));
    build_args(in, n, from);
    if (n->op == N_IF && n->args[0]->op == CELL_CONSTANT) return n->args[n->args[0]->value.i ? 1 : 2];
    return fold(in, n);
}

/* Room for Nodes that are younger than the interpreter. */
static void more_cells(Interpreter *in, uint32_t id)
{
    Cell **cells = NEW_ARRAY(&in->memory, Cell *, 2 * (size_t)id);
    memcpy(cells, in->cells, in->n_cells * sizeof *cells);
    in->cells = cells;
    in->n_cells = 2 * id;
}

Cell *interpret_build(Interpreter *in, Node *n)
{
    if (n->id >= in->n_cells) more_cells(in, n->id);
    Cell *known = in->cells[n->id];
    if (known) {
        bool reduce = known->op == N_REDUCE;
        if (reduce || known->weight >= 6) remember(in, known, reduce);
        return known;
    }
    Cell *cell = NEW(&in->memory, Cell);
    cell->op = (uint8_t)n->op;
    cell->kind = n->kind;
    cell->node = n;
    cell->weight = 1;
    return in->cells[n->id] = build_new(in, cell, n);
}
