/* Printer and verifier of Loops. */
#include "loops.h"

#include <string.h>

const Buffer *kernel_buffer(const Kernel *k, const Tensor *tensor)
{
    for (uint32_t b = 0; b < k->buffers.n; b++)
        if (k->buffers.at[b].tensor == tensor) return &k->buffers.at[b];
    return NULL;
}

/* ---- printing ---- */

static void print_block(Text *out, const Block *block, unsigned indent);

static void print_reference(Text *out, const Tensor *t, Node *const *at)
{
    text_add(out, "%s.%u[", t->name, t->id);
    for (unsigned k = 0; k < t->n_dims; k++) {
        if (k) text_add(out, ", ");
        node_print(out, at[k]);
    }
    text_add(out, "]");
}

static void print_for(Text *out, const Statement *s, unsigned indent)
{
    static const char *const kinds[] = {"for", "for vector", "for jam", "for transpose"};
    text_add(out, "%s %s in ", kinds[s->loop], s->variable->name);
    node_print(out, s->lo);
    text_add(out, "..");
    node_print(out, s->hi);
    if (s->step) {
        text_add(out, " by ");
        node_print(out, s->step);
    }
    text_add(out, "%s:\n", s->down ? " down" : "");
    print_block(out, &s->body, indent + 1);
}

static void print_if(Text *out, const Statement *s, unsigned indent)
{
    text_add(out, "if ");
    node_print(out, s->condition);
    text_add(out, ":\n");
    print_block(out, &s->body, indent + 1);
    if (s->otherwise.n == 0) return;
    text_add(out, "%*selse:\n", (int)(2 * indent), "");
    print_block(out, &s->otherwise, indent + 1);
}

static void print_statement(Text *out, const Statement *s, unsigned indent)
{
    text_add(out, "%*s", (int)(2 * indent), "");
    switch (s->kind) {
    case S_FOR: print_for(out, s, indent); return;
    case S_IF: print_if(out, s, indent); return;
    case S_SET:
        text_add(out, "%s.%u = ", s->local->name, s->local->id);
        node_print(out, s->value);
        break;
    case S_STORE:
        print_reference(out, s->tensor, s->subscripts);
        text_add(out, " = ");
        node_print(out, s->value);
        break;
    case S_PREFETCH:
        text_add(out, "prefetch ");
        print_reference(out, s->tensor, s->subscripts);
        if (s->value) text_add(out, ", elements: ");
        if (s->value) node_print(out, s->value);
        break;
    case S_REQUIRE:
        text_add(out, "require %u: ", s->check);
        node_print(out, s->condition);
        break;
    case S_NOTE: text_add(out, "# %s", s->text); break;
    case S_KINDS: break;
    }
    text_add(out, "\n");
}

static void print_block(Text *out, const Block *block, unsigned indent)
{
    for (uint32_t k = 0; k < block->n; k++) print_statement(out, block->at[k], indent);
}

static void print_buffer(Text *out, const Buffer *b)
{
    static const char *const kinds[] = {"bound", "workspace", "scratch"};
    static const char *const types[] = {"bool", "int", "real"};
    const Tensor *t = b->tensor;
    text_add(out, "  %s %s.%u[", kinds[b->kind], t->name, t->id);
    for (unsigned k = 0; k < t->n_dims; k++) {
        text_add(out, "%s%s", k ? ", " : "", t->dims[k]->name);
        if (b->ring == (int)k) text_add(out, " %% %u", b->ring_depth);
    }
    text_add(out, "]: %s%s\n", types[t->type], b->exact && t->type == TYPE_REAL ? " exact" : "");
}

static void print_check(Text *out, const Check *x, uint32_t number)
{
    static const char *const kinds[] = {"condition", "data", "run"};
    text_add(out, "  %u %s: %s", number, kinds[x->kind], x->text);
    if (x->test) {
        text_add(out, "   # ");
        node_print(out, x->test);
    }
    text_add(out, "\n");
}

static void print_part(Text *out, const char *name, Node *value)
{
    if (!value) return;
    text_add(out, "    %s ", name);
    node_print(out, value);
    text_add(out, "\n");
}

static void print_tile(Text *out, const Tile *t)
{
    text_add(out, "  tiles of");
    for (unsigned k = 0; k < t->n_queries; k++)
        text_add(out, "%s %u %s", k ? " x" : "", t->shape[k], t->query[k]->name);
    text_add(out, " and %u", t->keys);
    for (unsigned k = 0; k < t->n_keys; k++) text_add(out, "%s %s", k ? "," : "", t->key[k]->name);
    text_add(out, "; of keys in\n");
    print_block(out, &t->range, 2);
    text_add(out, "    those at %s\n", t->first->name);
    print_block(out, &t->judge, 3);
    print_part(out, "where", t->where);
    print_part(out, "score", t->score);
    print_part(out, "value", t->value);
    for (unsigned k = 0; k < t->n_riders; k++) print_part(out, t->riders[k].tensor->name, t->riders[k].value);
    text_add(out, "  which is\n");
}

static void print_product(Text *out, const Product *t)
{
    text_add(out, "  tiles of %u %s x %u %s, %u", t->rows, t->row->name, t->columns, t->column->name,
             t->depth);
    for (unsigned k = 0; k < t->n_along; k++) text_add(out, "%s%s", k ? ", " : " ", t->along[k]->name);
    text_add(out, " at a time, in\n");
    print_block(out, &t->range, 2);
    print_part(out, t->row->name, t->a.value);
    print_part(out, t->column->name, t->b.value);
    print_part(out, "value", t->value);
    text_add(out, "  which is\n");
}

static void print_recurrence(Text *out, const Recurrence *r)
{
    text_add(out, "  along %s%s", r->axis->name, r->down ? ", downwards" : "");
    if (r->row)
        text_add(out, ": %u threads for the rows %s, %u a thread; %u columns, %u steps ahead", r->lanes,
                 r->row->name, r->rows, r->columns, r->steps);
    text_add(out, "; states in registers\n");
    for (unsigned k = 0; k < r->n_kept; k++)
        for (unsigned back = 1; r->kept[k].start && back < r->kept[k].depth; back++) {
            if (!r->kept[k].start[back]) continue;
            text_add(out, "    %s, %u before: ", r->kept[k].tensor->name, back);
            node_print(out, r->kept[k].start[back]);
            text_add(out, "\n");
        }
    for (unsigned k = 0; k < r->n_early; k++) {
        text_add(out, "    early ");
        node_print(out, r->early[k].value);
        text_add(out, "\n");
    }
    text_add(out, "    a step\n");
    print_block(out, &r->step, 3);
    if (r->after.n) text_add(out, "    then\n");
    print_block(out, &r->after, 3);
    text_add(out, "  which is\n");
}

void loops_print(Text *out, const Kernel *k)
{
    text_add(out, "kernel %s\nbuffers\n", k->pattern->name);
    for (uint32_t b = 0; b < k->buffers.n; b++) print_buffer(out, &k->buffers.at[b]);
    if (k->checks.n) text_add(out, "checks\n");
    for (uint32_t x = 0; x < k->checks.n; x++) print_check(out, &k->checks.at[x], x);
    for (uint32_t p = 0; p < k->phases.n; p++) {
        const Phase *phase = &k->phases.at[p];
        text_add(out, "phase %u: %s, tasks [", p, phase->name);
        for (unsigned t = 0; t < phase->n_tasks; t++)
            text_add(out, "%s%s", t ? ", " : "", phase->tasks[t]->name);
        text_add(out, "]\n");
        if (phase->tile) print_tile(out, phase->tile);
        if (phase->product) print_product(out, phase->product);
        if (phase->recurrence) print_recurrence(out, phase->recurrence);
        print_block(out, &phase->body, 1);
    }
}

unsigned loop_lanes(Compilation *c, const Statement *s)
{
    const Node *n = node_binary(c, N_SUB, s->hi, s->lo);
    return n->op == N_INT && n->integer > 0 && n->integer <= UINT16_MAX ? (unsigned)n->integer : 0;
}

/* ---- verifying ---- */

/* What is in scope while walking statements. */
typedef struct Verify {
    Compilation *c;
    const Kernel *k;
    const char *wrong;
    IndexSet bound;
    bool *assigned; /* by Local.id */
} Verify;

static void fail(Verify *v, const char *what, const char *name)
{
    if (!v->wrong) v->wrong = format(v->c, "%s: %s '%s'", v->k->pattern->name, what, name);
}

static void check_reference(Verify *v, const Tensor *t)
{
    if (!kernel_buffer(v->k, t)) fail(v, "no buffer for", t->name);
}

static void check_node(Verify *v, const Node *n)
{
    if (v->wrong) return;
    if (node_is_binder(n)) fail(v, "a binder is left:", op_name(n->op));
    if (n->op == N_INDEX && !set_has(&v->bound, n->index->id)) fail(v, "no loop binds", n->index->name);
    if (n->op == N_LOCAL && (n->local->id >= v->k->n_locals || !v->assigned[n->local->id]))
        fail(v, "read before it is set:", n->local->name);
    if (n->op == N_READ) check_reference(v, n->tensor);
    if (n->op == N_CHECK && n->check >= v->k->checks.n) fail(v, "no check for", "check");
    for (unsigned k = 0; k < n->n_args; k++) check_node(v, n->args[k]);
}

static void check_block(Verify *v, const Block *block);

static void check_for(Verify *v, const Statement *s)
{
    check_node(v, s->lo);
    check_node(v, s->hi);
    if (s->step) check_node(v, s->step);
    if (s->down && s->step) fail(v, "a downward loop has a step:", s->variable->name);
    bool outside = set_has(&v->bound, s->variable->id);
    set_add(&v->bound, s->variable->id);
    check_block(v, &s->body);
    if (!outside) set_remove(&v->bound, s->variable->id);
}

static void check_store(Verify *v, const Statement *s)
{
    check_reference(v, s->tensor);
    const Buffer *b = kernel_buffer(v->k, s->tensor);
    if (b && b->kind == BUFFER_BOUND && s->tensor->role != ROLE_OUTPUT)
        fail(v, "a store to the input", s->tensor->name);
    for (unsigned k = 0; k < s->tensor->n_dims; k++) check_node(v, s->subscripts[k]);
    check_node(v, s->value);
    if (!v->wrong && s->value->type != s->tensor->type)
        fail(v, "a store of another type to", s->tensor->name);
}

static void check_statement(Verify *v, const Statement *s)
{
    switch (s->kind) {
    case S_FOR: check_for(v, s); break;
    case S_IF:
        check_node(v, s->condition);
        check_block(v, &s->body);
        check_block(v, &s->otherwise);
        break;
    case S_SET:
        check_node(v, s->value);
        if (!v->wrong && s->value->type != s->local->type)
            fail(v, "a value of another type for", s->local->name);
        v->assigned[s->local->id] = true;
        break;
    case S_STORE: check_store(v, s); break;
    case S_PREFETCH:
        check_reference(v, s->tensor);
        for (unsigned k = 0; k < s->tensor->n_dims; k++) check_node(v, s->subscripts[k]);
        if (s->value) check_node(v, s->value);
        break;
    case S_REQUIRE:
        check_node(v, s->condition);
        if (s->check >= v->k->checks.n) fail(v, "no check for", "require");
        break;
    case S_NOTE: break;
    case S_KINDS: fail(v, "unknown statement in", v->k->pattern->name);
    }
}

static void check_block(Verify *v, const Block *block)
{
    for (uint32_t k = 0; k < block->n && !v->wrong; k++) check_statement(v, block->at[k]);
}

static void check_tile(Verify *v, const Tile *t)
{
    IndexSet outside = v->bound;
    check_block(v, &t->range);
    for (unsigned k = 0; k < t->n_keys; k++)
        if (!v->assigned[t->begin[k]->id] || !v->assigned[t->end[k]->id])
            fail(v, "no range of", t->key[k]->name);
    set_add(&v->bound, t->first->id);
    check_block(v, &t->judge);
    for (unsigned k = 0; k < t->n_queries; k++) set_add(&v->bound, t->query[k]->id);
    for (unsigned k = 0; k < t->n_keys; k++) set_add(&v->bound, t->key[k]->id);
    const Local *kept[] = {t->dot, t->total, t->max, t->sum};
    for (unsigned k = 0; k < sizeof kept / sizeof *kept; k++)
        if (kept[k]) v->assigned[kept[k]->id] = true;
    check_node(v, t->where);
    check_node(v, t->score);
    if (t->gain) check_node(v, t->gain);
    if (t->sink) check_node(v, t->sink);
    for (unsigned k = 0; k < t->n_riders; k++) check_node(v, t->riders[k].value);
    if (t->column) set_add(&v->bound, t->column->id);
    if (t->value) check_node(v, t->value);
    v->bound = outside;
}

static void check_product(Verify *v, const Product *t)
{
    IndexSet outside = v->bound;
    check_block(v, &t->range);
    set_add(&v->bound, t->row->id);
    set_add(&v->bound, t->column->id);
    v->assigned[t->total->id] = true;
    check_node(v, t->value);
    for (unsigned k = 0; k < t->n_along; k++) {
        if (!v->assigned[t->begin[k]->id] || !v->assigned[t->end[k]->id])
            fail(v, "no range of", t->along[k]->name);
        set_add(&v->bound, t->along[k]->id);
    }
    check_node(v, t->a.value);
    check_node(v, t->b.value);
    v->bound = outside;
}

static void check_recurrence(Verify *v, const Recurrence *r)
{
    IndexSet outside = v->bound;
    if (r->column) set_add(&v->bound, r->column->id);
    check_block(v, &r->before);
    check_block(v, &r->after);
    set_add(&v->bound, r->axis->id);
    check_block(v, &r->step);
    if (r->row) set_add(&v->bound, r->row->id);
    for (unsigned k = 0; k < r->n_early; k++) check_node(v, r->early[k].value);
    v->bound = outside;
}

const char *loops_verify(Compilation *c, const Kernel *k)
{
    Verify v = {.c = c, .k = k};
    for (uint32_t p = 0; p < k->phases.n && !v.wrong; p++) {
        const Phase *phase = &k->phases.at[p];
        v.bound = (IndexSet){{0}};
        v.assigned = NEW_ARRAY(c, bool, k->n_locals + 1);
        for (unsigned t = 0; t < phase->n_tasks; t++) set_add(&v.bound, phase->tasks[t]->id);
        check_block(&v, &phase->body);
        if (phase->tile) check_tile(&v, phase->tile);
        if (phase->product) check_product(&v, phase->product);
        if (phase->recurrence) check_recurrence(&v, phase->recurrence);
    }
    return v.wrong;
}
