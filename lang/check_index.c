/* Declared indices: extents, origins, blocks, flattened and joined ones. Resolved when first needed. */
#include "check.h"

enum { JOIN_MAX = 64 };

/* ---- extents ---- */

static Node *scalar(Checker *k, Index *index, const Ast *a, const char *what)
{
    Env e = {.k = k, .scope = &k->info[index->id].owner->scope};
    return elaborate_scalar(&e, a, TYPE_INT, E505, what);
}

/* Loops over it would never end, and products of it soon leave 64 bits. */
static void check_size(Checker *k, const Index *index, Span span)
{
    enum { BITS = 47 };
    if (index->extent->op == N_INT && index->extent->integer > (int64_t)1 << BITS)
        report(k->c, E505, span, "the extent of `%s` is %lld, and 2**%d is the most that memory can hold",
               index->name, (long long)index->extent->integer, BITS);
}

static void extent_given(Checker *k, Index *index, const Ast *a)
{
    index->extent = scalar(k, index, a, format(k->c, "the extent of `%s`", index->name));
    if (!index->extent) { index->extent = node_int(k->c, 1); return; } /* reported: goes on with something */
    add_condition(k, node_binary(k->c, N_LE, node_int(k->c, 0), index->extent), a->span, E505,
                  "the extent of `%s` must not be negative", index->name);
    check_size(k, index, a->span);
}

/* The index that a declaration names; NULL after an error. */
static Index *named(Checker *k, Index *index, AstName name)
{
    Env e = {.k = k, .scope = &k->info[index->id].owner->scope};
    Index *other = find_index(&e, name.name, name.span);
    if (other == index) {
        report(k->c, E505, name.span, "`%s` is declared by means of itself", index->name);
        return NULL;
    }
    if (other) resolve_index(k, other);
    return other;
}

static void extent_like(Checker *k, Index *index, const AstStatement *s)
{
    Index *other = named(k, index, s->names.at[0]);
    if (!other) { index->extent = node_int(k->c, 1); return; }
    index->extent = node_size(k->c, other);
    index->origin = other->origin;
    index->root = other->root;
}

static void extent_parts(Checker *k, Index *index, const AstStatement *s)
{
    Compilation *c = k->c;
    IndexInfo *info = &k->info[index->id];
    bool flatten = s->index_kind == AST_INDEX_FLATTEN;
    Node *n = node_int(c, flatten ? 1 : 0);
    bool begun = exact_begin(c);
    bool good = s->names.n <= JOIN_MAX;
    if (!good) report(c, E505, s->span, "more than %d parts", JOIN_MAX);
    for (uint32_t p = 0; p < s->names.n && good; p++) {
        Index *part = named(k, index, s->names.at[p]);
        for (uint32_t q = 0; part && q < info->parts.n; q++)
            if (info->parts.at[q] == part) {
                report(c, E505, s->names.at[p].span, "`%s` stands twice in the parts of `%s`", part->name,
                       index->name);
                part = NULL;
            }
        if (!part) { good = false; break; }
        PUSH(c, &info->parts, part);
        n = node_binary(c, flatten ? N_MUL : N_ADD, n, node_size(c, part));
    }
    bool exact = exact_end(c, begun);
    if (good && !exact) report(c, E122, s->span, "the extent of `%s` leaves 64 bits", index->name);
    if (!good) info->parts.n = 0;
    index->extent = good ? n : node_int(c, 1);
    check_size(k, index, s->span);
    info->flatten = good && flatten;
    info->join = good && !flatten;
}

/* ---- blocks ---- */

static Node *op(Checker *k, Op op, Node *a, Node *b) { return node_binary(k->c, op, a, b); }
static Node *lit(Checker *k, int64_t n) { return node_int(k->c, n); }

static bool data_dependent(Checker *k, const Node *n) { return n && n->free != set_empty(k->c); }

/* Blocks of n positions, counted from position 0. */
static void block_by(Checker *k, Index *block, Index *of, Node *n)
{
    Node *size = node_size(k->c, of), *at = node_index(k->c, of), *number = node_index(k->c, block),
         *origin = of->origin;
    if (!origin) {
        block->extent = op(k, N_FLOORDIV, op(k, N_SUB, op(k, N_ADD, size, n), lit(k, 1)), n);
        block->block_lo = op(k, N_MUL, number, n);
        block->block_hi = op(k, N_MIN, op(k, N_MUL, op(k, N_ADD, number, lit(k, 1)), n), size);
        block->block_at = op(k, N_FLOORDIV, at, n);
        return;
    }
    block->origin = op(k, N_FLOORDIV, origin, n);
    Node *count = op(
        k, N_SUB, op(k, N_FLOORDIV, op(k, N_SUB, op(k, N_ADD, op(k, N_ADD, origin, size), n), lit(k, 1)), n),
        block->origin);
    if (data_dependent(k, origin))
        count = op(k, N_FLOORDIV, op(k, N_SUB, op(k, N_ADD, size, op(k, N_MUL, n, lit(k, 2))), lit(k, 2)), n);
    block->extent = op(k, N_MIN, size, count);
    Node *whole = op(k, N_ADD, block->origin, number);
    Node *lo = op(k, N_SUB, op(k, N_MUL, whole, n), origin);
    Node *hi = op(k, N_SUB, op(k, N_MUL, op(k, N_ADD, whole, lit(k, 1)), n), origin);
    block->block_lo = op(k, N_MAX, lo, lit(k, 0));
    block->block_hi = op(k, N_MIN, hi, size);
    block->block_at = op(k, N_SUB, op(k, N_FLOORDIV, op(k, N_ADD, origin, at), n), block->origin);
}

/* n blocks, counted from the first position: block a holds a * size // n up to (a + 1) * size // n. */
static void block_into(Checker *k, Index *block, Index *of, Node *n)
{
    Node *size = node_size(k->c, of), *at = node_index(k->c, of), *number = node_index(k->c, block);
    block->extent = n;
    block->block_lo = op(k, N_FLOORDIV, op(k, N_MUL, number, size), n);
    block->block_hi = op(k, N_FLOORDIV, op(k, N_MUL, op(k, N_ADD, number, lit(k, 1)), size), n);
    block->block_at =
        op(k, N_FLOORDIV, op(k, N_SUB, op(k, N_MUL, op(k, N_ADD, at, lit(k, 1)), n), lit(k, 1)), size);
}

static void extent_block(Checker *k, Index *block, const AstStatement *s)
{
    Index *of = named(k, block, s->block_of);
    Node *n = scalar(k, block, s->value, s->block_into ? "the number of blocks" : "the length of a block");
    block->extent = lit(k, 1);
    if (!of || !n) return;
    add_condition(k, op(k, N_LE, lit(k, 1), n), s->value->span, E505, "%s of `%s` must be at least 1",
                  s->block_into ? "the number of blocks" : "the length of a block", block->name);
    block->block_of = of;
    if (s->block_into) block_into(k, block, of, n);
    else block_by(k, block, of, n);
}

/* ---- origins ---- */

static Node *note_tensor(void *context, Compilation *c, Node *n)
{
    (void)c;
    bool given =
        n->op != N_READ || ((n->tensor->role == ROLE_INPUT || n->tensor->role == ROLE_CAPTURE) && !n->data);
    if (!given || n->op == N_RAND) *(bool *)context = true;
    return n;
}

static void origin_given(Checker *k, Index *index, const Ast *a)
{
    Compilation *c = k->c;
    Env e = {.k = k, .scope = &k->info[index->id].owner->scope};
    const char *what = format(c, "the origin of `%s`", index->name);
    bool begun = exact_begin(c);
    Value v = value_convert(&e, elaborate(&e, a), TYPE_INT, a->span, what);
    bool exact = exact_end(c, begun);
    if (v.node && !exact) report(c, E122, a->span, "%s leaves 64 bits", what);
    if (!v.node) return;
    bool computed = node_has_binder(c, v.node);
    node_rewrite(c, v.node, note_tensor, &computed);
    const IndexSet *free = v.free;
    const Instance *own = k->info[index->id].owner;
    for (unsigned id = 0; id < c->next_index; id++) /* what is the caller's is ambient in a callee */
        if (set_has(free, id) && !index_by_id(k, id)->ambient && k->info[id].owner == own) computed = true;
    if (computed) {
        Diag *d =
            report(c, E505, a->span,
                   "the origin of `%s` is more than extents, parameters and int inputs over ambient indices",
                   index->name);
        diag_hint(c, d, "pass it as an input: `with base: int[b]`, `index %s from base[b]`", index->name);
        return;
    }
    index->origin = node_is_int(v.node, 0) ? NULL : v.node;
}

/* ---- resolution ---- */

static void resolve_extent(Checker *k, Index *index)
{
    IndexInfo *info = &k->info[index->id];
    const AstStatement *s = info->extent;
    if (info->selected) extent_given(k, index, info->selected);
    else if (!s && info->outer) index->extent = node_size(k->c, info->outer);
    else if (!s && !info->signature) {
        Diag *d = report(k->c, E504, index->span, "`%s` has no extent", index->name);
        diag_hint(k->c, d, "it stands in no tensor of the signature: declare `index %s: ...`", index->name);
        index->extent = node_int(k->c, 1);
    } else if (!s) return;
    else if (s->kind == AST_BLOCK) extent_block(k, index, s);
    else if (s->index_kind == AST_INDEX_EXTENT) extent_given(k, index, s->value);
    else if (s->index_kind == AST_INDEX_LIKE) extent_like(k, index, s);
    else extent_parts(k, index, s);
    if (index->extent) add_extent_condition(k, index, s ? s->span : index->span);
    if (s && info->outer && info->outer->id < index->id) {
        Node *size = node_size(k->c, info->outer);
        add_condition(k, node_binary(k->c, N_EQ, index->extent, size), index->span, E403,
                      "the extent of `%s%s` must be that of `%s`", info->owner->prefix, index->name,
                      info->outer->name);
    }
}

void resolve_index(Checker *k, Index *index)
{
    IndexInfo *info = &k->info[index->id];
    if (info->resolved || !info->owner) return;
    if (info->resolving) {
        if (!index->extent && !info->signature) {
            Diag *d = report(k->c, E505, index->span, "the extent of `%s` depends on itself", index->name);
            diag_hint(k->c, d, "give one index of the circle an extent of parameters or of other indices");
            index->extent = node_int(k->c, 1);
        }
        return;
    }
    info->resolving = true;
    resolve_extent(k, index);
    if (info->origin) origin_given(k, index, info->origin->value);
    info->resolved = true;
}

void resolve_indices(Instance *in)
{
    Checker *k = in->k;
    for (unsigned id = 0; id < k->c->next_index; id++)
        if (k->info[id].self && k->info[id].owner == in) resolve_index(k, k->info[id].self);
    for (unsigned id = 0; !in->caller && id < k->c->next_index; id++) {
        Index *index = k->info[id].self;
        if (!index || k->info[id].owner != in || index->extent || !k->info[id].signature) continue;
        index->number = k->pattern->indices.n;
        PUSH(k->c, &k->pattern->indices, index);
    }
}
