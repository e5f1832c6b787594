/* Statements of Loops -> statements of C. VECTOR, JAM and TRANSPOSE loops have the meaning of ordinary ones.
 *
 * Ensures: a local is declared in the innermost block that holds all its uses, where it is first set if that
 * can be; names are unique in a kernel, so that nothing is hidden. */
#include <string.h>

#include "codegen/cuda/print.h"
#include "compiler/graph.h"

/* ---- where locals are declared ---- */

/* A block and one of its statements. */
typedef struct Step {
    const Block *block;
    uint32_t statement;
} Step;
/* The innermost block that all uses so far have in common, with the first of its statements that uses it. */
typedef struct Place {
    Step *path;
    unsigned depth;
    bool used;
} Place;

enum { DEPTH_MAX = 256 };
typedef struct Trail {
    Printer *p;
    Step steps[DEPTH_MAX];
    unsigned depth;
} Trail;

static void use_local(Trail *t, const Local *local)
{
    Place *place = &t->p->places[local->id];
    if (!place->used) {
        *place = (Place){NEW_ARRAY(t->p->c, Step, t->depth), t->depth, true};
        memcpy(place->path, t->steps, t->depth * sizeof *t->steps);
        return;
    }
    unsigned same = 0;
    while (same < place->depth && same < t->depth && place->path[same].block == t->steps[same].block) same++;
    place->depth = same;
}

static void use_node(void *context, const Node *n)
{
    if (n->op == N_LOCAL) use_local(context, n->local);
}

static void use_nodes(Trail *t, const Statement *s)
{
    Compilation *c = t->p->c;
    const Node *all[] = {s->lo, s->hi, s->step, s->condition, s->value};
    for (unsigned k = 0; k < sizeof all / sizeof *all; k++)
        if (all[k]) node_visit(c, all[k], use_node, t);
    for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++)
        node_visit(c, s->subscripts[d], use_node, t);
    if (s->kind == S_SET) use_local(t, s->local);
}

static void use_block(Trail *t, const Block *block)
{
    if (t->depth == DEPTH_MAX) BUG(t->p->c, "loops nest too deep");
    t->depth++;
    for (uint32_t k = 0; k < block->n; k++) {
        t->steps[t->depth - 1] = (Step){block, k};
        use_nodes(t, block->at[k]);
        use_block(t, &block->at[k]->body);
        use_block(t, &block->at[k]->otherwise);
    }
    t->depth--;
}

static void place_locals(Printer *p, const Block *block)
{
    p->places = NEW_ARRAY(p->c, Place, p->kernel->n_locals + 1);
    Trail *t = NEW(p->c, Trail);
    t->p = p;
    use_block(t, block);
}

static const char *local_type(const Printer *p, const Local *local)
{
    if (local->type == TYPE_BOOL) return "bool";
    return local->type == TYPE_INT ? "int64" : local->exact ? "double" : p->real;
}

/* `find` is set if the node uses it. */
typedef struct FindLocal {
    const Local *local;
    bool found;
} FindLocal;
static void find_local(void *context, const Node *n)
{
    FindLocal *f = context;
    f->found = f->found || (n->op == N_LOCAL && n->local == f->local);
}

/* Is the local new at this statement, and may the statement declare it? */
static bool declares(const Printer *p, const Statement *s)
{
    FindLocal f = {s->kind == S_SET ? s->local : NULL, false};
    if (s->kind == S_SET) node_visit(p->c, s->value, find_local, &f);
    return s->kind == S_SET && !f.found;
}

typedef struct NewLocals {
    Printer *p;
    const Block *block;
    uint32_t number;
} NewLocals;

static void declare_local(NewLocals *n, const Local *local)
{
    Printer *p = n->p;
    const Place *place = &p->places[local->id];
    const Statement *s = n->block->at[n->number];
    if (p->locals[local->id] || !place->used) return;
    const Step *step = &place->path[place->depth - 1];
    if (step->block != n->block || step->statement != n->number) return;
    p->locals[local->id] = name_new(p->c, &p->own, local->name ? local->name : "x");
    if (s->kind == S_SET && s->local == local && declares(p, s)) return;
    print_line(p, s->span);
    text_add(p->out, "%s %s;\n", local_type(p, local), p->locals[local->id]);
}

static void declare_in_node(void *context, const Node *n)
{
    if (n->op == N_LOCAL) declare_local(context, n->local);
}

static void declare_in_block(NewLocals *n, const Block *block);

static void declare_in_statement(NewLocals *n, const Statement *s)
{
    Compilation *c = n->p->c;
    const Node *all[] = {s->lo, s->hi, s->step, s->condition, s->value};
    if (s->kind == S_SET) declare_local(n, s->local);
    for (unsigned k = 0; k < sizeof all / sizeof *all; k++)
        if (all[k]) node_visit(c, all[k], declare_in_node, n);
    for (unsigned d = 0; s->tensor && d < s->tensor->n_dims; d++)
        node_visit(c, s->subscripts[d], declare_in_node, n);
    declare_in_block(n, &s->body);
    declare_in_block(n, &s->otherwise);
}

static void declare_in_block(NewLocals *n, const Block *block)
{
    for (uint32_t k = 0; k < block->n; k++) declare_in_statement(n, block->at[k]);
}

/* ---- loops and branches ---- */

void print_head(Printer *p, const Index *variable, Span span)
{
    for (unsigned k = 0; variable->heads && k < p->n_buffers; k++) {
        PrintBuffer *b = &p->buffers[k];
        if (b->head_of != variable) continue;
        b->head = name_new(p->c, &p->own, format(p->c, "%s_head", b->access));
        print_line(p, span);
        text_add(p->out, "const int64 %s = %s / io.%s;\n", b->head, p->indices[variable->id], b->group);
    }
}

static void forget_heads(Printer *p, const Index *variable)
{
    for (unsigned k = 0; variable->heads && k < p->n_buffers; k++)
        if (p->buffers[k].head_of == variable) p->buffers[k].head = NULL;
}

static bool is_fixed_bound(const Printer *p, const Node *n, unsigned *operations)
{
    if (p->memo[n->id]) return true;
    if (n->n_args == 0) return n->op != N_LOCAL;
    if (n->op == N_READ || n->op == N_CHECK || ++*operations > 2) return false;
    for (unsigned k = 0; k < n->n_args; k++)
        if (!is_fixed_bound(p, n->args[k], operations)) return false;
    return true;
}

/* A bound that is more than a few operations is evaluated once, as `NAME_end`. */
static const char *bound(Printer *p, const Statement *s, const Node *n, const char *name)
{
    unsigned operations = 0;
    if (!n || is_fixed_bound(p, n, &operations)) return NULL;
    const char *variable = name_new(p->c, &p->own, name);
    print_line(p, s->span);
    text_add(p->out, "const int64 %s = ", variable);
    print_node(p, n, BIND_ANY);
    text_add(p->out, ";\n");
    return variable;
}

static void print_bound(Printer *p, const Node *n, const char *variable, Strength around)
{
    if (variable)
        text_add(p->out, "%s", variable);
    else
        print_node(p, n, around);
}

static bool holds_loop(const Block *block)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        if (s->kind == S_FOR || holds_loop(&s->body) || holds_loop(&s->otherwise)) return true;
    }
    return false;
}

/* Loops of a constant number of rounds would be unrolled as a whole, and spill. */
static void print_unrolling(Printer *p, const Statement *s)
{
    if (print_scan_unrolls(p, s)) {
        text_add(p->out, "#pragma unroll\n");
        return;
    }
    if (!p->fixed || s->hi->op != N_SIZE || holds_loop(&s->body)) return;
    const Index *index = print_bound_index(s->hi->index);
    if (!index->extent && p->fixed[index->number] >= 0) text_add(p->out, "#pragma unroll 8\n");
}

static void print_for_head(Printer *p, const Statement *s, const char *name)
{
    const char *lo = s->down ? bound(p, s, s->lo, format(p->c, "%s_first", name)) : NULL;
    const char *hi = s->down ? NULL : bound(p, s, s->hi, format(p->c, "%s_end", name));
    const char *step = bound(p, s, s->step, format(p->c, "%s_step", name));
    print_unrolling(p, s);
    print_line(p, s->span);
    text_add(p->out, "for (int64 %s = ", name);
    if (s->down) {
        print_node(p, s->hi, BIND_ADD);
        text_add(p->out, " - 1; %s >= ", name);
        print_bound(p, s->lo, lo, BIND_SHIFT);
        text_add(p->out, "; %s--) {\n", name);
        return;
    }
    print_node(p, s->lo, BIND_ANY);
    text_add(p->out, "; %s < ", name);
    print_bound(p, s->hi, hi, BIND_SHIFT);
    text_add(p->out, s->step ? "; %s += " : "; %s++", name);
    if (s->step) print_bound(p, s->step, step, BIND_ANY);
    text_add(p->out, ") {\n");
}

/* mark: what is known ahead of the statement; what its head has named may change in the body. */
static void print_body(Printer *p, const Block *block, uint32_t mark)
{
    print_forget(p, mark);
    p->indent++;
    print_invariants(p, block, false, p->span);
    print_block(p, block);
    print_forget(p, mark);
    p->indent--;
}

/* Is n certainly not above the extent of the variable? */
static bool is_below_extent(const Index *variable, const Node *n)
{
    if (n->op == N_MIN) return is_below_extent(variable, n->args[0]) || is_below_extent(variable, n->args[1]);
    return n == variable->extent ||
           (n->op == N_SIZE && print_bound_index(n->index) == print_bound_index(variable));
}

static bool is_not_negative(const Node *n)
{
    if (n->op == N_MAX) return is_not_negative(n->args[0]) || is_not_negative(n->args[1]);
    return n->op == N_INT && n->integer >= 0;
}

/* What is known of an index that a loop hides is not known inside. `hidden`: the names, by their place in the
 * trail. */
static const char **hide(Printer *p, const Index *variable)
{
    const char **hidden = NEW_ARRAY(p->c, const char *, p->trail.n + 1);
    for (uint32_t k = 0; k < p->trail.n; k++) {
        const Node *n = p->trail.at[k];
        if (!node_depends_on(n, variable)) continue;
        hidden[k] = p->memo[n->id];
        p->memo[n->id] = NULL;
    }
    return hidden;
}

static void show(Printer *p, const char **hidden, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        if (hidden[k]) p->memo[p->trail.at[k]->id] = hidden[k];
}

/* What stands between the head of a loop and its `}`; `name` is its variable. */
void print_loop_body(Printer *p, const Statement *s, const char *name, uint32_t mark)
{
    IndexSet bound = p->bound, whole = p->whole;
    const char *outer = p->indices[s->variable->id];
    p->indices[s->variable->id] = name;
    uint32_t names = p->own.taken.n;
    p->indent++;
    print_forget(p, mark);
    const char **hidden = set_has(&bound, s->variable->id) ? hide(p, s->variable) : NULL;
    print_head(p, s->variable, s->span);
    set_add(&p->bound, s->variable->id);
    set_remove(&p->whole, s->variable->id);
    if (is_not_negative(s->lo) && is_below_extent(s->variable, s->hi)) set_add(&p->whole, s->variable->id);
    print_invariants(p, &s->body, false, s->span);
    print_block(p, &s->body);
    print_forget(p, mark);
    p->indent--;
    if (hidden) show(p, hidden, mark);
    p->bound = bound;
    p->whole = whole;
    p->own.taken.n = names;
    p->indices[s->variable->id] = outer;
    forget_heads(p, s->variable);
}

static void print_for(Printer *p, const Statement *s, uint32_t mark)
{
    if (print_scan_loop(p, s, mark)) return;
    const char *name = name_new(p->c, &p->own, s->variable->name);
    print_for_head(p, s, name);
    print_loop_body(p, s, name, mark);
    name_free(&p->own, name);
    print_line(p, (Span){0});
    text_add(p->out, "}\n");
}

static void print_if(Printer *p, const Statement *s, uint32_t mark)
{
    print_line(p, s->span);
    text_add(p->out, "if (");
    print_node(p, s->condition, BIND_ANY);
    text_add(p->out, ") {\n");
    print_body(p, &s->body, mark);
    if (s->otherwise.n) {
        print_line(p, (Span){0});
        text_add(p->out, "} else {\n");
        print_body(p, &s->otherwise, mark);
    }
    print_line(p, (Span){0});
    text_add(p->out, "}\n");
}

/* ---- assignments ---- */

/* `x += y` for x = x + y. */
static const Node *addend(const Node *value, const Node *own)
{
    return value->op == N_ADD && value->args[0] == own && value->args[1] != own ? value->args[1] : NULL;
}

static bool is_own(const Statement *s, const Node *n)
{
    if (s->kind == S_SET) return n->op == N_LOCAL && n->local == s->local;
    if (n->op != N_READ || n->tensor != s->tensor || n->guarded || n->tensor->role != ROLE_EQUATION)
        return false;
    for (unsigned d = 0; d < n->n_args; d++)
        if (n->args[d] != s->subscripts[d]) return false;
    return true;
}

void print_assigned(Printer *p, const Statement *s, const char *type)
{
    const Node *v = s->value,
               *more = v->type != TYPE_BOOL && v->n_args == 2 && is_own(s, v->args[0]) && !p->memo[v->id]
                           ? addend(v, v->args[0])
                           : NULL;
    text_add(p->out, more ? " += " : " = ");
    if (more)
        print_as(p, more, type, print_may_fuse(p, more) ? BIND_MULTIPLY : BIND_ANY);
    else
        print_as(p, v, type, print_may_fuse(p, v) ? BIND_MULTIPLY : BIND_ANY);
    text_add(p->out, ";\n");
}

static void print_set(Printer *p, const Statement *s, bool declare)
{
    const char *type = local_type(p, s->local);
    print_line(p, s->span);
    if (declare) text_add(p->out, "%s ", type);
    text_add(p->out, "%s", p->locals[s->local->id]);
    print_assigned(p, s, type);
}

static void print_store(Printer *p, const Statement *s)
{
    const PrintBuffer *b = &p->buffers[p->buffer_of[s->tensor->id] - 1];
    bool narrow = !strcmp(b->element, "f16") || !strcmp(b->element, "bf16"), stored = false;
    bool kept = print_scan_is_kept(p, s->tensor, &stored);
    if (print_scan_late(p, s)) return;
    print_line(p, s->span);
    if (!kept) print_scan_condition(p);
    print_access(p, s->tensor, s->subscripts);
    print_assigned(p, s, narrow ? "float" : b->element);
    if (!stored) return;
    print_line(p, s->span);
    print_scan_condition(p);
    print_in_memory(p, s->tensor, s->subscripts);
    text_add(p->out, " = ");
    print_access(p, s->tensor, s->subscripts);
    text_add(p->out, ";\n");
}

static void print_require(Printer *p, const Statement *s)
{
    print_want(p, HELP_FAIL);
    print_line(p, s->span);
    text_add(p->out, "if (!");
    print_node(p, s->condition, BIND_UNARY);
    text_add(p->out, ") fail(io.%s, %u);\n", p->status, s->check + 1);
}

static void print_statement(Printer *p, const Statement *s, bool declare, uint32_t mark)
{
    switch (s->kind) {
    case S_FOR: print_for(p, s, mark); break;
    case S_IF: print_if(p, s, mark); break;
    case S_SET: print_set(p, s, declare); break;
    case S_STORE: print_store(p, s); break;
    case S_REQUIRE: print_require(p, s); break;
    case S_NOTE:
        print_line(p, (Span){0});
        text_add(p->out, "// %s\n", s->text);
        break;
    case S_PREFETCH: break;
    default: BUG(p->c, "unknown statement");
    }
}

/* The nodes that a statement evaluates itself, once. */
static unsigned roots_of(Printer *p, const Statement *s, Node ***roots)
{
    unsigned n = 0, rank = s->tensor ? s->tensor->n_dims : 0;
    *roots = NEW_ARRAY(p->c, Node *, rank + 5);
    Node *all[] = {s->lo, s->hi, s->step, s->condition, s->value};
    for (unsigned k = 0; k < sizeof all / sizeof *all; k++)
        if (all[k]) (*roots)[n++] = all[k];
    for (unsigned d = 0; d < rank; d++) (*roots)[n++] = s->subscripts[d];
    return n;
}

static void print_statements(Printer *p, const Block *block)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        NewLocals new = {p, block, k};
        uint32_t mark = p->trail.n;
        bool known = s->kind != S_SET || p->locals[s->local->id];
        declare_in_statement(&new, s);
        Node **roots;
        unsigned n = roots_of(p, s, &roots);
        print_shared(p, s->span, n, roots);
        print_statement(p, s, !known && declares(p, s), mark);
        print_forget(p, mark);
    }
}

void print_block(Printer *p, const Block *block)
{
    uint32_t names = p->own.taken.n;
    print_statements(p, block);
    p->own.taken.n = names;
}

void print_part(Printer *p, const Block *block)
{
    place_locals(p, block);
    print_statements(p, block);
}

/* ---- lines of text ---- */

void print_lines(Printer *p, const char *text)
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

void print_value(Printer *p, const char *before, Node *n, const char *type, const char *after)
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

/* ---- a phase ---- */

/* Heads that loops and tasks divide once: of buffers whose coordinate is the variable itself. */
static void note_head(void *context, const Node *n)
{
    Printer *p = context;
    if (n->op != N_READ) return;
    PrintBuffer *b = &p->buffers[p->buffer_of[n->tensor->id] - 1];
    if (b->heads >= 0 && n->args[b->heads]->op == N_INDEX && n->args[b->heads]->index->heads)
        b->head_of = n->args[b->heads]->index;
}

static void note_heads(Printer *p, const Block *block)
{
    for (uint32_t k = 0; k < block->n; k++) {
        Node **roots;
        unsigned n = roots_of(p, block->at[k], &roots);
        for (unsigned i = 0; i < n; i++) node_visit(p->c, roots[i], note_head, p);
        note_heads(p, &block->at[k]->body);
        note_heads(p, &block->at[k]->otherwise);
    }
}

void print_task_indices(Printer *p, const Phase *phase, const char *start, const char *step)
{
    const char *names[MAX_INDICES];
    Span span = {0};
    bool one = phase->n_tasks == 1;
    for (unsigned k = 0; k < phase->n_tasks; k++) {
        names[k] = name_new(p->c, &p->own, phase->tasks[k]->name);
        p->indices[phase->tasks[k]->id] = names[k];
    }
    const char *task = one ? names[0] : "task";
    print_line(p, span);
    text_add(p->out, "for (int64 %s = %s; %s < io.%s; %s += %s) {\n", task, start, task, p->tasks, task,
             step);
    p->indent++;
    for (unsigned k = 0; k < phase->n_tasks && !one; k++) {
        print_line(p, span);
        text_add(p->out, "const int64 %s = task", names[k]);
        for (unsigned i = phase->n_tasks; --i > k;)
            text_add(p->out, " / %s", print_extent(p, phase->tasks[i]));
        text_add(p->out, k ? " %% %s;\n" : ";\n", k ? print_extent(p, phase->tasks[k]) : "");
    }
    for (unsigned k = 0; k < phase->n_tasks; k++) {
        print_head(p, phase->tasks[k], span);
        set_add(&p->bound, phase->tasks[k]->id);
        set_add(&p->whole, phase->tasks[k]->id);
    }
}

void print_phase_body(Printer *p, const Phase *phase)
{
    for (unsigned k = 0; k < p->n_buffers; k++) p->buffers[k].head = NULL, p->buffers[k].head_of = NULL;
    memset(p->locals, 0, sizeof *p->locals * (p->kernel->n_locals + 1));
    note_heads(p, &phase->body);
    p->bound = p->whole = (IndexSet){{0}};
    print_forget(p, 0);
    if (phase->tile || phase->product || phase->recurrence) {
        if (phase->tile)
            print_tile_body(p, phase);
        else if (phase->product)
            print_product_body(p, phase);
        else
            print_scan_body(p, phase);
        print_forget(p, 0);
        return;
    }
    place_locals(p, &phase->body);
    print_invariants(p, &phase->body, true, (Span){0});
    print_task_indices(p, phase, "thread()", "threads()"); /* one thread a task */
    print_invariants(p, &phase->body, false, (Span){0});
    print_block(p, &phase->body);
    print_forget(p, 0);
    p->indent--;
    print_line(p, (Span){0});
    text_add(p->out, "}\n");
}
