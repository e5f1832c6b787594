/* The core expressions: the hash-consing table, the makers and what is derived from operands (types, free
 * variables, flags). Folding stands in node_fold.c, substitution and rewriting in node_substitute.c.
 *
 * Ensures: equal expressions of one Compilation are equal pointers; ids grow in order of creation. */
#include "node_private.h"

#include <stdlib.h>
#include <string.h>

static const char *const op_texts[N_OPS] = {
#define NODE(name, text, class) [N_##name] = text,
#include "node_list.h"
#undef NODE
};
enum { LEAF, UNARY, BINARY, TERNARY, BINDER, OTHER };
static const uint8_t op_classes[N_OPS] = {
#define NODE(name, text, class) [N_##name] = class,
#include "node_list.h"
#undef NODE
};

const char *op_name(Op op) { return op_texts[op]; }
bool node_is_binder(const Node *n) { return op_classes[n->op] == BINDER; }
bool node_is_int(const Node *n, int64_t value) { return n->op == N_INT && n->integer == value; }
bool node_is_bool(const Node *n, bool value) { return n->op == N_BOOL && n->integer == (int64_t)value; }
bool node_depends_on(const Node *n, const Index *index) { return set_has(n->free, index->id); }
bool node_is_straight(const Node *n)
{
    return n->op == N_SUB && n->args[1]->op == N_STOP && n->args[1]->args[0] == n->args[0];
}
bool node_keeps_position(const Node *n)
{
    return node_is_binder(n) && n->op != N_REDUCE && n->op != N_TOP_INDEX && n->op != N_POSITIONS;
}

/* ---- sets of indices, interned ---- */

NodeTable *node_table(Compilation *c)
{
    if (!c->nodes) {
        NodeTable *t = NEW(c, NodeTable);
        t->capacity = 1024;
        t->slots = NEW_ARRAY(c, Node *, t->capacity);
        t->set_capacity = 64;
        t->sets = NEW_ARRAY(c, const IndexSet *, t->set_capacity);
        c->nodes = t;
    }
    return c->nodes;
}

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

static uint32_t hash_set(const IndexSet *s)
{
    uint64_t h = 1;
    for (unsigned k = 0; k < MAX_INDICES / 64; k++) h = mix(h, s->words[k]);
    return (uint32_t)(h ^ h >> 32);
}

static void grow_sets(Compilation *c, NodeTable *t)
{
    const IndexSet **old = t->sets;
    uint32_t n = t->set_capacity;
    t->set_capacity *= 2;
    t->sets = NEW_ARRAY(c, const IndexSet *, t->set_capacity);
    for (uint32_t k = 0; k < n; k++) {
        if (!old[k]) continue;
        uint32_t h = hash_set(old[k]);
        while (t->sets[h & (t->set_capacity - 1)]) h++;
        t->sets[h & (t->set_capacity - 1)] = old[k];
    }
}

const IndexSet *set_intern(Compilation *c, const IndexSet *s)
{
    NodeTable *t = node_table(c);
    if (2 * (t->n_sets + 1) > t->set_capacity) grow_sets(c, t);
    uint32_t h = hash_set(s);
    for (;; h++) {
        const IndexSet **slot = &t->sets[h & (t->set_capacity - 1)];
        if (*slot && !memcmp(*slot, s, sizeof *s)) return *slot;
        if (*slot) continue;
        IndexSet *own = NEW(c, IndexSet);
        *own = *s;
        t->n_sets++;
        return *slot = own;
    }
}

const IndexSet *set_empty(Compilation *c)
{
    NodeTable *t = node_table(c);
    if (!t->empty) t->empty = set_intern(c, &(IndexSet){0});
    return t->empty;
}

const IndexSet *set_one(Compilation *c, const Index *index)
{
    IndexSet s = {0};
    set_add(&s, index->id);
    return set_intern(c, &s);
}

const IndexSet *set_union(Compilation *c, const IndexSet *a, const IndexSet *b)
{
    if (a == b) return a;
    if (a == set_empty(c)) return b;
    if (b == set_empty(c)) return a;
    IndexSet s;
    for (unsigned k = 0; k < MAX_INDICES / 64; k++) s.words[k] = a->words[k] | b->words[k];
    return set_intern(c, &s);
}

const IndexSet *set_without(Compilation *c, const IndexSet *a, const Index *index)
{
    if (!set_has(a, index->id)) return a;
    IndexSet s = *a;
    set_remove(&s, index->id);
    return set_intern(c, &s);
}

bool set_meets(const IndexSet *a, const IndexSet *b)
{
    for (unsigned k = 0; k < MAX_INDICES / 64; k++)
        if (a->words[k] & b->words[k]) return true;
    return false;
}

/* ---- the table ---- */

static uint64_t payload(const Node *n) { return (uint64_t)n->integer; } /* the union, as bits */

static uint32_t hash_node(const Node *n)
{
    uint64_t h = mix((uint64_t)n->op << 8 | n->kind, (uint64_t)n->type << 1 | n->guarded);
    h = mix(mix(h, payload(n)), (uint64_t)n->n_args << 32 | (uint64_t)n->n_vars << 16 | n->check);
    for (unsigned k = 0; k < n->n_args; k++) h = mix(h, n->args[k]->id);
    for (unsigned k = 0; k < n->n_vars; k++) h = mix(h, n->vars[k]->id);
    return (uint32_t)(h ^ h >> 32);
}

static bool same(const Node *a, const Node *b)
{
    return a->op == b->op && a->kind == b->kind && a->type == b->type && a->guarded == b->guarded &&
           a->check == b->check && payload(a) == payload(b) && a->n_args == b->n_args &&
           a->n_vars == b->n_vars && (!a->n_args || !memcmp(a->args, b->args, a->n_args * sizeof *a->args)) &&
           (!a->n_vars || !memcmp(a->vars, b->vars, a->n_vars * sizeof *a->vars));
}

static void grow_nodes(Compilation *c, NodeTable *t)
{
    Node **old = t->slots;
    uint32_t n = t->capacity;
    t->capacity *= 2;
    t->slots = NEW_ARRAY(c, Node *, t->capacity);
    for (uint32_t k = 0; k < n; k++) {
        if (!old[k]) continue;
        uint32_t h = hash_node(old[k]);
        while (t->slots[h & (t->capacity - 1)]) h++;
        t->slots[h & (t->capacity - 1)] = old[k];
    }
}

static const IndexSet *binder_free(Compilation *c, const Node *n)
{
    const IndexSet *inner = set_union(c, binder_where(n)->free, binder_body(n)->free);
    for (unsigned k = 0; k < n->n_vars; k++) inner = set_without(c, inner, n->vars[k]);
    for (unsigned k = 0; k < 2u * n->n_vars; k++) inner = set_union(c, inner, n->args[k]->free);
    if (binder_extra(n)) inner = set_union(c, inner, binder_extra(n)->free);
    for (unsigned k = 0; node_keeps_position(n) && k < n->n_vars; k++)
        inner = set_union(c, inner, set_one(c, n->vars[k]));
    return inner;
}

static void derive(Compilation *c, Node *n)
{
    n->has_binder = node_is_binder(n);
    n->free = set_empty(c);
    for (unsigned k = 0; k < n->n_args; k++) {
        n->data |= n->args[k]->data;
        n->has_binder |= n->args[k]->has_binder;
        if (!node_is_binder(n)) n->free = set_union(c, n->free, n->args[k]->free);
    }
    if (node_is_binder(n)) n->free = binder_free(c, n);
    if (n->op == N_INDEX) n->free = set_one(c, n->index);
    if (n->op == N_LOCAL) n->data = !n->local->exact;
    if (n->op == N_READ) {
        bool equation = n->tensor->role == ROLE_EQUATION || n->tensor->role == ROLE_OUTPUT;
        n->has_binder |= equation;
        n->data |= equation ? n->tensor->data : n->tensor->type == TYPE_REAL;
    }
}

Node *node_make(Compilation *c, const Node *key)
{
    NodeTable *t = node_table(c);
    uint32_t h = hash_node(key);
    for (; t->slots[h & (t->capacity - 1)]; h++)
        if (same(t->slots[h & (t->capacity - 1)], key)) return t->slots[h & (t->capacity - 1)];
    Node *n = NEW(c, Node);
    *n = *key;
    n->args = n->n_args ? NEW_ARRAY(c, Node *, n->n_args) : NULL;
    n->vars = n->n_vars ? NEW_ARRAY(c, Index *, n->n_vars) : NULL;
    if (n->n_args) memcpy(n->args, key->args, n->n_args * sizeof *n->args);
    if (n->n_vars) memcpy(n->vars, key->vars, n->n_vars * sizeof *n->vars);
    n->id = c->next_node++;
    n->span = t->span;
    derive(c, n);
    if (2 * (t->n + 1) > t->capacity) grow_nodes(c, t);
    h = hash_node(n);
    while (t->slots[h & (t->capacity - 1)]) h++;
    t->slots[h & (t->capacity - 1)] = n;
    t->n++;
    return n;
}

Span node_set_span(Compilation *c, Span span)
{
    NodeTable *t = node_table(c);
    Span old = t->span;
    t->span = span;
    return old;
}

/* ---- makers ---- */

Node *node_int(Compilation *c, int64_t value)
{
    return node_make(c, &(Node){.op = N_INT, .type = TYPE_INT, .integer = value});
}
Node *node_real(Compilation *c, double value)
{
    return node_make(c, &(Node){.op = N_REAL, .type = TYPE_REAL, .real = value});
}
Node *node_bool(Compilation *c, bool value)
{
    return node_make(c, &(Node){.op = N_BOOL, .type = TYPE_BOOL, .integer = value});
}
Node *node_index(Compilation *c, Index *index)
{
    return node_make(c, &(Node){.op = N_INDEX, .type = TYPE_INT, .index = index});
}
Node *node_size(Compilation *c, Index *index)
{
    if (index->extent) return index->extent;
    return node_make(c, &(Node){.op = N_SIZE, .type = TYPE_INT, .index = index});
}
Node *node_param(Compilation *c, Param *param)
{
    if (!param->fixed) return node_make(c, &(Node){.op = N_PARAM, .type = param->type, .param = param});
    if (param->type == TYPE_REAL) return node_real(c, param->value.real);
    return param->type == TYPE_INT ? node_int(c, param->value.integer)
                                   : node_bool(c, param->value.integer != 0);
}
Node *node_given(Compilation *c, Tensor *tensor)
{
    return node_make(c, &(Node){.op = N_GIVEN, .type = TYPE_BOOL, .tensor = tensor});
}
Node *node_group(Compilation *c, Tensor *tensor)
{
    return node_make(c, &(Node){.op = N_GROUP, .type = TYPE_INT, .tensor = tensor});
}
Node *node_unit(Compilation *c, Tensor *tensor)
{
    return node_make(c, &(Node){.op = N_UNIT, .type = TYPE_BOOL, .tensor = tensor});
}
Node *node_local(Compilation *c, Local *local)
{
    return node_make(c, &(Node){.op = N_LOCAL, .type = local->type, .local = local});
}

Node *node_read(Compilation *c, Tensor *tensor, Node **subscripts, bool guarded)
{
    for (unsigned k = 0; k < tensor->n_dims; k++)
        if (subscripts[k]->type != TYPE_INT) BUG(c, "a subscript of %s is no int", tensor->name);
    return node_make(c, &(Node){.op = N_READ, .type = tensor->type, .guarded = guarded, .args = subscripts,
                                .n_args = (uint16_t)tensor->n_dims, .tensor = tensor});
}

Node *node_rand(Compilation *c, Node **args5)
{
    for (unsigned k = 0; k < 5; k++)
        if (args5[k]->type != TYPE_INT) BUG(c, "an argument of rand is no int");
    return node_make(c, &(Node){.op = N_RAND, .type = TYPE_REAL, .args = args5, .n_args = 5});
}

Node *node_check(Compilation *c, Node *x, Node *lo, Node *hi, unsigned check)
{
    Node *args[] = {x, lo, hi};
    return node_make(
        c, &(Node){.op = N_CHECK, .type = TYPE_INT, .args = args, .n_args = 3, .check = (uint16_t)check});
}

static Type binder_type(Op op, unsigned kind, const Node *body)
{
    if (op == N_TOPK || op == N_TOPP) return TYPE_BOOL;
    if (op == N_RANK || op == N_TOP_INDEX || op == N_POSITIONS) return TYPE_INT;
    if (op == N_NORMALISE) return TYPE_REAL;
    if (op == N_REDUCE && (kind == REDUCE_ARGMAX || kind == REDUCE_ARGMIN)) return TYPE_INT;
    if (op == N_REDUCE && (kind == REDUCE_MEAN || kind == REDUCE_LOGSUMEXP)) return TYPE_REAL;
    return body->type;
}

static void binder_assert(Compilation *c, Op op, unsigned kind, const Node *where, const Node *body)
{
    bool logical = op == N_POSITIONS || (op == N_REDUCE && (kind == REDUCE_ANY || kind == REDUCE_ALL));
    bool real = op == N_NORMALISE || (op == N_REDUCE && (kind == REDUCE_MEAN || kind == REDUCE_LOGSUMEXP));
    if (where->type != TYPE_BOOL) BUG(c, "`where` of %s is no bool", op_name(op));
    if (logical != (body->type == TYPE_BOOL) || (real && body->type != TYPE_REAL))
        BUG(c, "body of %s has the wrong type", op_name(op));
}

Node *node_binder(Compilation *c, Op op, unsigned kind, unsigned n_vars, Index **vars, Node **lo, Node **hi,
                  Node *where, Node *body, Node *extra)
{
    binder_assert(c, op, kind, where, body);
    unsigned n = 2 * n_vars;
    Node **args = NEW_ARRAY(c, Node *, n + 3);
    for (unsigned k = 0; k < n_vars; k++) {
        args[2 * k] = lo && lo[k] ? lo[k] : node_int(c, 0);
        args[2 * k + 1] = hi && hi[k] ? hi[k] : node_size(c, vars[k]);
    }
    args[n++] = where;
    args[n++] = body;
    if (extra) args[n++] = extra;
    return node_make(c, &(Node){.op = op,
                                .type = binder_type(op, kind, body),
                                .kind = (uint8_t)kind,
                                .n_args = (uint16_t)n,
                                .n_vars = (uint16_t)n_vars,
                                .args = args,
                                .vars = vars});
}

Node *node_copy_with(Compilation *c, const Node *n, Node **args)
{
    switch (op_classes[n->op]) {
    case LEAF: return (Node *)(uintptr_t)n;
    case UNARY: return node_unary(c, n->op, args[0]);
    case BINARY: return node_binary(c, n->op, args[0], args[1]);
    case TERNARY: return node_if(c, args[0], args[1], args[2]);
    default: break;
    }
    Node key = *n;
    key.args = args;
    key.data = false;
    return node_make(c, &key);
}

/* ---- indices ---- */

Index *index_new(Compilation *c, const char *name, Span span)
{
    if (c->next_index >= MAX_INDICES) {
        c->fatal = "a pattern with more than 512 indices (those of the patterns that it calls included)";
        longjmp(c->escape, 1);
    }
    Index *index = NEW(c, Index);
    index->name = name;
    index->id = c->next_index++;
    index->root = index;
    index->span = span;
    return index;
}

Index *index_variant(Compilation *c, Index *like, const IndexSet *avoid)
{
    for (;;) {
        if (!like->variant) {
            Index *fresh = index_new(c, format(c, "%s'", like->name), like->span);
            fresh->extent = node_size(c, like);
            fresh->origin = like->origin;
            fresh->root = like->root;
            like->variant = fresh;
        }
        like = like->variant;
        if (!set_has(avoid, like->id)) return like;
    }
}
