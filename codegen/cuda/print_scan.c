/* Phases with a Recurrence -> kernels: states in registers, step by step.
 *
 * Without rows a thread has a task, as elsewhere. With rows a block has `width` tasks along `column`, or one:
 * `lanes` neighbouring threads share the rows of a task, and a thread has every so many of them for some
 * tasks. Sums over rows go through shuffles. What steps need that more than one thread would read is read and
 * worked out by all threads of the block, some steps ahead, into shared memory: it is fetched to registers
 * while the steps before run. Reads of neighbouring threads are neighbours.
 *
 * Requires: what lower_scan.c ensures. */
#include <string.h>

#include "codegen/cuda/print.h"
#include "compiler/graph.h"
#include "compiler/walk.h"

typedef VEC(Node *) Nodes;
typedef struct ScanPrinter {
    const Recurrence *r;
    const char **kept;  /* names of states, by number */
    const char **early; /* of values ahead, by number, */
    const char **now;   /* and of those of a step that all tasks of a thread share; NULL: not in registers */
    const char **late;  /* of what is stored after some steps, by number; */
    bool late_reads;    /* what is stored then needs values ahead */
    const Node **sum;   /* a local that all else of its value can be made of then, or NULL */
    const char *lane, *group, *task, *column, *round; /* round: number of a row in a thread */
    const char *live;                                 /* the column exists; NULL: all do */
    const char *step, *next;                          /* of the steps at work; first of those ahead */
    const char *row, *axis, *column_index;            /* coordinates */
    const char *at;                                   /* an element of an array */
    bool in_row;
    Nodes reads;          /* of values ahead: fetched, */
    const char **fetched; /* in arrays of these names, by number */
} ScanPrinter;

static const Recurrence *recurrence(const Printer *p) { return p->scan->r; }

/* ---- registers ---- */

static int kept_number(const Printer *p, const Tensor *t)
{
    const Recurrence *r = p->scan ? p->scan->r : NULL;
    for (unsigned k = 0; r && k < r->n_kept; k++)
        if (r->kept[k].tensor == t) return (int)k;
    return -1;
}

static int64_t extent_of(const Printer *p, const Node *n)
{
    if (n->op == N_INT) return n->integer;
    if (n->op == N_SIZE) return p->fixed ? p->fixed[n->index->number] : -1;
    int64_t a = extent_of(p, n->args[0]), b = extent_of(p, n->args[1]);
    return n->op == N_MUL ? a * b : a + b;
}

static bool is_left(const Kept *k, unsigned d) { return (int)d != k->axis && !(k->own >> d & 1); }

static unsigned elements(const Printer *p, const Kept *k)
{
    return k->size * (k->row >= 0 ? recurrence(p)->rows : 1);
}

/* `(r * 2 + g) * 4 + n`: rows, then the other dims. */
static const char *element_number(Printer *p, const Kept *k, Node *const *at)
{
    const char *number = k->row >= 0 && recurrence(p)->rows > 1 ? p->scan->round : NULL;
    for (unsigned d = 0; d < k->tensor->n_dims; d++) {
        int64_t extent = extent_of(p, node_size(p->c, k->tensor->dims[d]));
        if (!is_left(k, d) || (int)d == k->row || extent == 1) continue;
        Text text = {.c = p->c}, *out = p->out;
        p->out = &text;
        if (number)
            text_add(&text, strpbrk(number, "+*") ? "(%s) * %lld + " : "%s * %lld + ", number,
                     (long long)extent);
        print_node(p, at[d], number ? BIND_MULTIPLY : BIND_ANY);
        p->out = out;
        number = text.at;
    }
    return number;
}

/* `S[c][1][r * 2 + g]`. */
static void print_element_of(Printer *p, unsigned number, unsigned back, Node *const *at)
{
    const ScanPrinter *x = p->scan;
    const Kept *k = &x->r->kept[number];
    text_add(p->out, "%s", x->kept[number]);
    if (x->r->columns > 1) text_add(p->out, "[%s]", x->task);
    if (k->depth > 1) text_add(p->out, "[%u]", back);
    if (elements(p, k) > 1) text_add(p->out, "[%s]", element_number(p, k, at));
}

/* Of the step itself, or so many before it; another coordinate is that of the last step. */
static unsigned steps_back(const Recurrence *r, const Kept *k, Node *const *at)
{
    int64_t offset;
    if (k->axis < 0) return 0;
    if (!is_offset_of(at[k->axis], r->axis, &offset)) return 1;
    return (unsigned)(offset < 0 ? -offset : offset);
}

bool print_scan_register(Printer *p, const Tensor *t, Node *const *at)
{
    int number = kept_number(p, t);
    if (number < 0) return false;
    const Recurrence *r = recurrence(p);
    print_element_of(p, (unsigned)number, steps_back(r, &r->kept[number], at), at);
    return true;
}

bool print_scan_is_kept(const Printer *p, const Tensor *t, bool *stored)
{
    int number = kept_number(p, t);
    if (number >= 0) *stored = recurrence(p)->kept[number].stored;
    return number >= 0;
}

static void declare_kept(Printer *p)
{
    const ScanPrinter *x = p->scan;
    for (unsigned k = 0; k < x->r->n_kept; k++) {
        const Kept *kept = &x->r->kept[k];
        print_line(p, (Span){0});
        text_add(p->out, "%s %s", p->buffers[p->buffer_of[kept->tensor->id] - 1].element, x->kept[k]);
        if (x->r->columns > 1) text_add(p->out, "[%u]", x->r->columns);
        if (kept->depth > 1) text_add(p->out, "[%u]", kept->depth);
        if (elements(p, kept) > 1) text_add(p->out, "[%u]", elements(p, kept));
        text_add(p->out, ";%s\n", kept->depth > 1 ? " // of a step, and of those before it" : "");
    }
}

/* The step becomes the one before. */
static void print_shift(Printer *p)
{
    const ScanPrinter *x = p->scan;
    for (unsigned k = 0; k < x->r->n_kept; k++) {
        const Kept *kept = &x->r->kept[k];
        const char *at = elements(p, kept) > 1 ? format(p->c, "[%s]", x->at) : "";
        const char *name = x->r->columns > 1 ? format(p->c, "%s[%s]", x->kept[k], x->task) : x->kept[k];
        if (kept->depth < 2) continue;
        if (*at)
            LINES(p, "#pragma unroll\nfor (int %s = 0; %s < %u; %s++) {", x->at, x->at, elements(p, kept),
                  x->at);
        for (unsigned back = kept->depth - 1; back; back--)
            LINES(p, "%s[%u]%s = %s[%u]%s;", name, back, at, name, back - 1, at);
        if (*at) LINES(p, "}");
    }
}

/* ---- loops ---- */

typedef struct FindVariable {
    const Printer *p;
    const Index *variable;
    bool found;
} FindVariable;

static void find_access(FindVariable *f, const Tensor *t, Node *const *at)
{
    for (unsigned d = 0; kept_number(f->p, t) >= 0 && d < t->n_dims; d++)
        f->found = f->found || node_depends_on(at[d], f->variable);
}

static void find_read(void *context, const Node *n)
{
    if (n->op == N_READ) find_access(context, n->tensor, n->args);
}

static void find_in_block(FindVariable *f, const Block *block)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        if (s->value) node_visit(f->p->c, s->value, find_read, f);
        if (s->condition) node_visit(f->p->c, s->condition, find_read, f);
        if (s->kind == S_STORE) find_access(f, s->tensor, s->subscripts);
        find_in_block(f, &s->body);
        find_in_block(f, &s->otherwise);
    }
}

bool print_scan_unrolls(Printer *p, const Statement *s)
{
    FindVariable f = {p, s->variable, false};
    if (p->scan) find_in_block(&f, &s->body);
    return f.found;
}

/* The rows of a thread: four neighbours at a time, which one load from shared memory brings. */
static void print_rows_open(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    unsigned near = r->rows % 4 == 0 ? 4 : r->rows % 2 == 0 ? 2 : 1;
    LINES(p, "#pragma unroll\nfor (int %s = 0; %s < %u; %s++) {", x->round, x->round, r->rows, x->round);
    if (r->lanes == 1)
        LINES(p, "const int %s = %s;", x->row, x->round);
    else if (near == 1)
        LINES(p, "const int %s = %s * %u + %s;", x->row, x->round, r->lanes, x->lane);
    else
        LINES(p, "const int %s = %s / %u * %u + %s * %u + %s %% %u;", x->row, x->round, near, r->lanes * near,
              x->lane, near, x->round, near);
    if ((int64_t)r->lanes * r->rows != r->n_rows) LINES(p, "if (%s < %lld) {", x->row, (long long)r->n_rows);
}

static void print_rows_close(Printer *p)
{
    const Recurrence *r = recurrence(p);
    LINES(p, "}");
    if ((int64_t)r->lanes * r->rows != r->n_rows) LINES(p, "}");
}

/* Sums that all rows add to. */
static void print_sums(Printer *p, const Block *block)
{
    const Recurrence *r = recurrence(p);
    for (uint32_t k = 0; k < block->n && r->lanes > 1; k++) {
        const Statement *s = block->at[k];
        const char *name = s->kind == S_SET ? p->locals[s->local->id] : NULL;
        if (name && s->value->op == N_ADD && s->value->args[0]->op == N_LOCAL &&
            s->value->args[0]->local == s->local) {
            print_want(p, HELP_SUM_LANES);
            LINES(p, "%s = sum_lanes<%u>(%s);", name, r->lanes, name);
        }
        print_sums(p, &s->body);
    }
}

bool print_scan_loop(Printer *p, const Statement *s, uint32_t mark)
{
    ScanPrinter *x = p->scan;
    if (!x || !x->r->row || s->variable != x->r->row || x->in_row) return false;
    x->in_row = true;
    print_rows_open(p);
    p->indent--;
    print_loop_body(p, s, x->row, mark);
    p->indent++;
    print_rows_close(p);
    x->in_row = false;
    print_sums(p, &s->body);
    return true;
}

/* One of the threads that have the value stores it. */
void print_scan_condition(Printer *p)
{
    const ScanPrinter *x = p->scan;
    if (!x) return;
    bool one = !x->in_row && x->r->lanes > 1;
    if (one || x->live)
        text_add(p->out, "if (%s%s%s) ", one ? format(p->c, "%s == 0", x->lane) : "",
                 one && x->live ? " && " : "", x->live ? x->live : "");
}

/* ---- columns ---- */

static void bind(Printer *p, const Index *index, const char *name)
{
    if (!index) return;
    p->indices[index->id] = name;
    set_add(&p->bound, index->id);
    set_add(&p->whole, index->id);
}

/* For every task of a thread. */
static void print_tasks_open(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    if (r->columns > 1)
        LINES(p, "#pragma unroll\nfor (int %s = 0; %s < %u; %s++) {", x->task, x->task, r->columns, x->task);
    else
        LINES(p, "{");
    if (!r->column) return;
    const char *name = p->indices[r->column->id], *size = print_extent(p, r->column);
    const char *more = r->columns > 1 ? format(p->c, " + %s * %u", x->task, r->width / r->columns) : "";
    LINES(p, "const int %s = %s%s;", x->column, x->group, more);
    if (!x->live) {
        LINES(p, "const int64 %s = %s * %u + %s;", name, p->indices[r->block->id], r->width, x->column);
        return;
    }
    print_want(p, HELP_LEAST);
    LINES(p, "const bool %s = %s * %u + %s < %s;\nconst int64 %s = least(%s * %u + %s, %s - 1);", x->live,
          p->indices[r->block->id], r->width, x->column, size, name, p->indices[r->block->id], r->width,
          x->column, size);
}

/* ---- values ahead ---- */

static void declare_ahead(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned k = 0; k < r->n_early; k++) {
        const Early *e = &r->early[k];
        if (!e->axis) continue;
        unsigned n = e->row ? (unsigned)r->n_rows : r->width;
        const char *rows = e->row || e->column ? format(p->c, "[%u]", n) : "";
        LINES(p, "__shared__ __align__(16) %s %s[%u]%s;", print_type(p, e->value), x->early[k], r->steps,
              rows);
    }
}

static bool is_fetched(const ScanPrinter *x, const Node *n)
{
    for (uint32_t k = 0; k < x->reads.n; k++)
        if (x->reads.at[k] == n) return true;
    return false;
}

/* Reads that do not stand in subscripts of others. */
static void collect_reads(Printer *p, Node *n)
{
    ScanPrinter *x = p->scan;
    if (n->op == N_READ && !n->tensor->optional) {
        if (!is_fetched(x, n)) PUSH(p->c, &x->reads, n);
        return;
    }
    for (unsigned k = 0; k < n->n_args; k++) collect_reads(p, n->args[k]);
}

/* Values ahead are over rows, over columns, or over steps alone. */
static unsigned kind_of(const Early *e) { return e->row ? 0 : e->column ? 1 : 2; }

static unsigned count_of(const Recurrence *r, unsigned kind)
{
    return r->steps * (kind == 0 ? (unsigned)r->n_rows : kind == 1 ? r->width : 1);
}

static bool has_kind(const Printer *p, unsigned kind)
{
    const Recurrence *r = recurrence(p);
    for (unsigned k = 0; k < r->n_early; k++)
        if (r->early[k].axis && kind_of(&r->early[k]) == kind) return true;
    return false;
}

typedef struct FindNode {
    const Node *node;
    bool found;
} FindNode;

static void find_node(void *context, const Node *n)
{
    FindNode *f = context;
    f->found = f->found || n == f->node;
}

/* Does a value of the kind need the read? */
static bool is_needed(const Printer *p, const Node *read, unsigned kind)
{
    const Recurrence *r = recurrence(p);
    FindNode f = {read, false};
    for (unsigned k = 0; k < r->n_early; k++)
        if (r->early[k].axis && kind_of(&r->early[k]) == kind)
            node_visit(p->c, r->early[k].value, find_node, &f);
    return f.found;
}

static void declare_fetched(Printer *p)
{
    ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned k = 0; k < r->n_early; k++)
        if (r->early[k].axis) collect_reads(p, r->early[k].value);
    x->fetched = NEW_ARRAY(p->c, const char *, 3 * x->reads.n + 1);
    for (uint32_t k = 0; k < x->reads.n; k++)
        for (unsigned kind = 0; kind < 3; kind++) {
            if (!is_needed(p, x->reads.at[k], kind)) continue;
            unsigned n = (count_of(r, kind) + r->threads - 1) / r->threads;
            const char *name = name_new(p->c, &p->own, format(p->c, "%s_next", x->reads.at[k]->tensor->name));
            x->fetched[3 * k + kind] = n > 1 ? format(p->c, "%s[%s]", name, x->at) : name;
            LINES(p, "%s %s%s;", print_type(p, x->reads.at[k]), name, n > 1 ? format(p->c, "[%u]", n) : "");
        }
}

/* Every thread has some of the elements of the steps from `first` on. */
static void print_ahead_open(Printer *p, unsigned kind, const char *first)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    unsigned count = count_of(r, kind), n = (count + r->threads - 1) / r->threads, wide = count / r->steps;
    const char *place = "threadIdx.x";
    if (n > 1) {
        LINES(p, "#pragma unroll\nfor (int %s = 0; %s < %u; %s++) {", x->at, x->at, n, x->at);
        place = format(p->c, "(threadIdx.x + %s * %u)", x->at, r->threads);
    } else
        LINES(p, "{");
    LINES(p, "const int %s = %s%s;", x->step, place, wide > 1 ? format(p->c, " / %u", wide) : "");
    if (kind == 0) {
        LINES(p, "const int %s = %s %% %u;", x->row, place, wide);
        bind(p, r->row, x->row);
    }
    if (kind == 1) {
        LINES(p, "const int %s = %s %% %u;", x->column, place, wide);
        const char *e = format(p->c, "%s * %u + %s", p->indices[r->block->id], r->width, x->column);
        if (x->live) e = format(p->c, "least(%s, %s - 1)", e, print_extent(p, r->column));
        LINES(p, "const int64 %s = %s;", p->indices[r->column->id], e);
    }
    const char *size = print_extent(p, r->axis);
    LINES(p, "const int64 %s = %s%s + %s;", x->axis, r->down ? format(p->c, "%s - 1 - (", size) : "", first,
          r->down ? format(p->c, "%s)", x->step) : x->step);
    const char *enough = count % r->threads ? format(p->c, "%s < %u && ", x->step, r->steps) : "";
    if (r->down)
        LINES(p, "if (%s%s >= 0) {", enough, x->axis);
    else
        LINES(p, "if (%s%s < %s) {", enough, x->axis, size);
}

static void print_ahead_close(Printer *p)
{
    const Recurrence *r = recurrence(p);
    LINES(p, "}\n}");
    if (r->row) set_remove(&p->bound, r->row->id);
}

static void print_fetch(Printer *p)
{
    const ScanPrinter *x = p->scan;
    for (unsigned kind = 0; kind < 3; kind++) {
        if (!has_kind(p, kind)) continue;
        bool some = false;
        for (uint32_t k = 0; k < x->reads.n; k++) some = some || x->fetched[3 * k + kind];
        if (!some) continue;
        print_ahead_open(p, kind, x->next);
        for (uint32_t k = 0; k < x->reads.n; k++) {
            Node *n = x->reads.at[k];
            if (x->fetched[3 * k + kind])
                print_value(p, format(p->c, "%s = ", x->fetched[3 * k + kind]), n, print_type(p, n), ";");
        }
        print_ahead_close(p);
    }
}

static const char *place_now(Printer *p, unsigned k)
{
    const ScanPrinter *x = p->scan;
    return x->r->early[k].row && x->r->rows > 1 ? format(p->c, "%s[%s]", x->now[k], x->round) : x->now[k];
}

static const char *place_own(Printer *p, unsigned k)
{
    const ScanPrinter *x = p->scan;
    const Early *e = &x->r->early[k];
    const char *name = x->early[k];
    if (e->column && x->r->columns > 1) name = format(p->c, "%s[%s]", name, x->task);
    return e->row && x->r->rows > 1 ? format(p->c, "%s[%s]", name, x->round) : name;
}

static const char *place_ahead(Printer *p, unsigned k)
{
    const ScanPrinter *x = p->scan;
    const Early *e = &x->r->early[k];
    const char *at = e->row ? x->row : e->column ? x->column : NULL;
    return at ? format(p->c, "%s[%s][%s]", x->early[k], x->step, at)
              : format(p->c, "%s[%s]", x->early[k], x->step);
}

static void print_put(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned kind = 0; kind < 3; kind++) {
        if (!has_kind(p, kind)) continue;
        uint32_t mark = p->trail.n;
        print_ahead_open(p, kind, x->next);
        for (uint32_t k = 0; k < x->reads.n; k++)
            if (x->fetched[3 * k + kind]) print_remember(p, x->reads.at[k], x->fetched[3 * k + kind]);
        for (unsigned k = 0; k < r->n_early; k++) {
            Node *n = r->early[k].value;
            if (r->early[k].axis && kind_of(&r->early[k]) == kind)
                print_value(p, format(p->c, "%s = ", place_ahead(p, k)), n, print_type(p, n), ";");
        }
        print_ahead_close(p);
        print_forget(p, mark);
    }
}

/* ---- stores after some steps ---- */

static const char *late_type(const Printer *p, const Statement *s)
{
    const char *element = p->buffers[p->buffer_of[s->tensor->id] - 1].element;
    return strcmp(element, "f16") && strcmp(element, "bf16") ? element : "float";
}

/* The local is all that the value has of a step, but for what lies in shared memory. */
typedef struct FindSum {
    const Recurrence *r;
    const Node *sum;
    bool other, shared; /* shared: it needs values ahead */
} FindSum;

static const Early *find_early(const Recurrence *r, const Node *n)
{
    for (unsigned k = 0; k < r->n_early; k++)
        if (r->early[k].value == n && (r->early[k].axis || !r->early[k].column)) return &r->early[k];
    return NULL;
}

static void find_sum(FindSum *f, const Node *n)
{
    const Early *e = find_early(f->r, n);
    if (e) {
        f->shared = f->shared || e->axis;
        return;
    }
    if (n->op == N_LOCAL) {
        f->other = f->other || (f->sum && f->sum != n);
        f->sum = n;
    }
    f->other = f->other || n->op == N_READ || n->op == N_RAND;
    for (unsigned k = 0; k < n->n_args; k++) find_sum(f, n->args[k]);
}

static const Node *sum_of(const Recurrence *r, const Statement *s, bool *shared)
{
    FindSum f = {r, NULL, false, false};
    find_sum(&f, s->value);
    *shared = *shared || (!f.other && f.shared);
    return f.other ? NULL : f.sum;
}

static const char *place_late(Printer *p, unsigned k)
{
    const ScanPrinter *x = p->scan;
    return format(p->c, x->r->column ? "%s[%s][%s]" : "%s[%s]", x->late[k], x->step, x->column);
}

static void declare_late(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned k = 0; k < r->n_late; k++)
        LINES(p, "__shared__ %s %s[%u]%s;", x->sum[k] ? print_type(p, x->sum[k]) : late_type(p, r->late[k]),
              x->late[k], r->steps, r->column ? format(p->c, "[%u]", r->width) : "");
}

bool print_scan_late(Printer *p, const Statement *s)
{
    const ScanPrinter *x = p->scan;
    for (unsigned k = 0; x && k < x->r->n_late; k++) {
        if (x->r->late[k] != s) continue;
        print_line(p, s->span);
        if (x->r->lanes > 1) text_add(p->out, "if (%s == 0) ", x->lane);
        text_add(p->out, "%s", place_late(p, k));
        if (x->sum[k])
            text_add(p->out, " = %s;\n", p->locals[x->sum[k]->local->id]);
        else
            print_assigned(p, s, late_type(p, s));
        return true;
    }
    return false;
}

/* Those of the steps that have just run. */
static void print_late(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    if (!r->n_late) return;
    LINES(p, "if (%s) {", x->next);
    print_ahead_open(p, r->column ? 1 : 2, format(p->c, "%s - %u", x->next, r->steps));
    uint32_t mark = p->trail.n;
    for (unsigned k = 0; k < r->n_early; k++)
        if (find_early(r, r->early[k].value))
            print_remember(p, r->early[k].value, r->early[k].axis ? place_ahead(p, k) : place_own(p, k));
    for (unsigned k = 0; k < r->n_late; k++) {
        const Statement *s = r->late[k];
        if (x->live)
            LINES(p, "if (%s * %u + %s < %s) {", p->indices[r->block->id], r->width, x->column,
                  print_extent(p, r->column));
        Text place = {.c = p->c}, *out = p->out;
        p->out = &place;
        print_in_memory(p, s->tensor, s->subscripts);
        p->out = out;
        if (x->sum[k]) print_remember(p, x->sum[k], place_late(p, k));
        if (x->sum[k])
            print_value(p, format(p->c, "%s = ", place.at), s->value, late_type(p, s), ";");
        else
            LINES(p, "%s = %s;", place.at, place_late(p, k));
        if (x->live) LINES(p, "}");
    }
    print_forget(p, mark);
    print_ahead_close(p);
    LINES(p, "}");
    if (x->late_reads) LINES(p, "__syncthreads();");
}

/* ---- what a thread has of its own ---- */

static void declare_own(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned k = 0; k < r->n_early; k++) {
        const Early *e = &r->early[k];
        if (e->axis) continue;
        LINES(p, "%s %s%s%s;", print_type(p, e->value), x->early[k],
              e->column && r->columns > 1 ? format(p->c, "[%u]", r->columns) : "",
              e->row && r->rows > 1 ? format(p->c, "[%u]", r->rows) : "");
    }
}

static void print_own(Printer *p, bool row)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned k = 0; k < r->n_early; k++) {
        Node *n = r->early[k].value;
        if (!r->early[k].axis && r->early[k].row == row)
            print_value(p, format(p->c, "%s = ", place_own(p, k)), n, print_type(p, n), ";");
    }
}

/* The value of a state ahead of the first step, at every element of a row. */
static void print_start(Printer *p, unsigned number, unsigned back)
{
    const Kept *k = &recurrence(p)->kept[number];
    Node **at = NEW_ARRAY(p->c, Node *, k->tensor->n_dims + 1);
    unsigned loops = 0;
    for (unsigned d = 0; d < k->tensor->n_dims; d++) {
        Index *dim = k->tensor->dims[d];
        if (!is_left(k, d) || (int)d == k->row) continue;
        const char *name = name_new(p->c, &p->own, dim->name);
        LINES(p, "#pragma unroll\nfor (int %s = 0; %s < %lld; %s++) {", name, name,
              (long long)extent_of(p, node_size(p->c, dim)), name);
        bind(p, dim, name);
        at[d] = k->at[d];
        loops++;
    }
    Text place = {.c = p->c}, *out = p->out;
    p->out = &place;
    print_element_of(p, number, back, at);
    p->out = out;
    print_value(p, format(p->c, "%s = ", place.at), k->start[back],
                p->buffers[p->buffer_of[k->tensor->id] - 1].element, ";");
    while (loops--) LINES(p, "}");
}

static bool has_start(const Recurrence *r, bool row)
{
    for (unsigned k = 0; k < r->n_kept; k++)
        if (r->kept[k].start && (r->kept[k].row >= 0) == row) return true;
    for (unsigned k = 0; k < r->n_early; k++)
        if (!r->early[k].axis && r->early[k].row == row) return true;
    return false;
}

static void print_starts(Printer *p, bool row)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    if (!has_start(r, row)) return;
    if (row) print_rows_open(p), bind(p, r->row, x->row);
    print_own(p, row);
    for (unsigned k = 0; k < r->n_kept; k++)
        for (unsigned back = 1; r->kept[k].start && (r->kept[k].row >= 0) == row && back < r->kept[k].depth;
             back++)
            print_start(p, k, back);
    if (row) print_rows_close(p), set_remove(&p->bound, r->row->id);
}

/* ---- the kernel ---- */

/* What stands for values ahead, in steps. */
static void remember_early(Printer *p, bool steps)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned k = 0; k < r->n_early; k++)
        if (r->early[k].axis ? steps : true)
            print_remember(p, r->early[k].value,
                           !r->early[k].axis ? place_own(p, k)
                           : x->now[k]       ? place_now(p, k)
                                             : place_ahead(p, k));
}

/* Several tasks of a thread share what it loads of a step. */
static void print_now(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    bool rows = false;
    for (unsigned k = 0; k < r->n_early; k++) {
        if (!x->now[k]) continue;
        bool row = r->early[k].row && r->rows > 1;
        const char *type = print_type(p, r->early[k].value);
        if (r->early[k].row)
            LINES(p, "%s %s%s;", type, x->now[k], row ? format(p->c, "[%u]", r->rows) : "");
        else
            LINES(p, "const %s %s = %s;", type, x->now[k], place_ahead(p, k));
        rows = rows || r->early[k].row;
    }
    if (!rows) return;
    print_rows_open(p);
    for (unsigned k = 0; k < r->n_early; k++)
        if (x->now[k] && r->early[k].row) LINES(p, "%s = %s;", place_now(p, k), place_ahead(p, k));
    print_rows_close(p);
}

static void print_plain_steps(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    const char *size = print_extent(p, r->axis);
    if (r->down)
        LINES(p, "#pragma unroll 4\nfor (int64 %s = %s - 1; %s >= 0; %s--) {", x->axis, size, x->axis,
              x->axis);
    else
        LINES(p, "#pragma unroll 4\nfor (int64 %s = 0; %s < %s; %s++) {", x->axis, x->axis, size, x->axis);
    bind(p, r->axis, x->axis);
    print_part(p, &r->step);
    print_shift(p);
    LINES(p, "}");
    set_remove(&p->bound, r->axis->id);
}

static void print_plain(Printer *p, const Phase *phase)
{
    const Recurrence *r = recurrence(p);
    print_invariants(p, &r->step, true, (Span){0});
    print_task_indices(p, phase, "thread()", "threads()");
    print_invariants(p, &r->step, true, (Span){0});
    print_part(p, &r->before);
    declare_kept(p);
    print_starts(p, false);
    print_plain_steps(p);
    print_part(p, &r->after);
    LINES(p, "}");
}

static void print_steps(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    const char *size = print_extent(p, r->axis);
    uint32_t mark = p->trail.n;
    print_want(p, HELP_LEAST);
    LINES(p, "for (int %s = 0; %s < least(%s - (%s - %u), %u); %s++) {", x->step, x->step, size, x->next,
          r->steps, r->steps, x->step);
    LINES(p, "const int64 %s = %s%s - %u + %s%s;", x->axis, r->down ? format(p->c, "%s - 1 - (", size) : "",
          x->next, r->steps, x->step, r->down ? ")" : "");
    bind(p, r->axis, x->axis);
    print_now(p);
    remember_early(p, true);
    print_tasks_open(p);
    print_part(p, &r->step);
    print_shift(p);
    LINES(p, "}\n}");
    print_forget(p, mark);
    set_remove(&p->bound, r->axis->id);
}

static void print_shared_steps(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    const char *size = print_extent(p, r->axis);
    declare_fetched(p);
    LINES(p,
          "// While some steps run, what the next ones need is on its way.\n"
          "for (int64 %s = 0; %s < %s + %u; %s += %u) {",
          x->next, x->next, size, r->steps, x->next, r->steps);
    bind(p, r->axis, x->axis);
    print_fetch(p);
    LINES(p, "if (%s) {", x->next);
    print_steps(p);
    LINES(p, "}\n__syncthreads();");
    bind(p, r->axis, x->axis);
    print_late(p);
    print_put(p);
    set_remove(&p->bound, r->axis->id);
    LINES(p, "__syncthreads();\n}");
}

static void print_block_of_rows(Printer *p, const Phase *phase)
{
    ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    declare_ahead(p);
    declare_late(p);
    if (r->lanes > 1) LINES(p, "const int %s = threadIdx.x %% %u;", x->lane, r->lanes);
    if (r->column)
        LINES(p, "const int %s = threadIdx.x%s;", x->group,
              r->lanes > 1 ? format(p->c, " / %u", r->lanes) : "");
    print_task_indices(p, phase, "blockIdx.x", "gridDim.x");
    bind(p, r->column, x->column_index);
    declare_own(p);
    declare_kept(p);
    print_tasks_open(p);
    print_starts(p, false);
    print_starts(p, true);
    LINES(p, "}");
    print_shared_steps(p);
    if (r->after.n) {
        uint32_t mark = p->trail.n;
        remember_early(p, false);
        print_tasks_open(p);
        print_part(p, &r->after);
        LINES(p, "}");
        print_forget(p, mark);
    }
    LINES(p, "}");
}

static const char *name(Printer *p, const char *like) { return name_new(p->c, &p->own, like); }

void print_scan_body(Printer *p, const Phase *phase)
{
    const Recurrence *r = phase->recurrence;
    ScanPrinter x = {.r = r,
                     .kept = NEW_ARRAY(p->c, const char *, r->n_kept + 1),
                     .early = NEW_ARRAY(p->c, const char *, r->n_early + 1),
                     .late = NEW_ARRAY(p->c, const char *, r->n_late + 1),
                     .sum = NEW_ARRAY(p->c, const Node *, r->n_late + 1),
                     .now = NEW_ARRAY(p->c, const char *, r->n_early + 1)};
    x.lane = name(p, "lane"), x.group = name(p, "group"), x.task = name(p, "c"), x.column = name(p, "column");
    x.round = name(p, "r"), x.step = name(p, "step"), x.next = name(p, "next"), x.at = name(p, "n");
    x.axis = name(p, r->axis->name);
    if (r->row) x.row = name(p, r->row->name);
    if (r->column) x.column_index = name(p, r->column->name);
    int64_t columns = r->column ? extent_of(p, node_size(p->c, r->column)) : 0;
    if (r->column && (columns < 0 || columns % r->width)) x.live = name(p, "live");
    for (unsigned k = 0; k < r->n_kept; k++) x.kept[k] = name(p, r->kept[k].tensor->name);
    for (unsigned k = 0; k < r->n_early; k++) {
        const Early *e = &r->early[k];
        const char *like = print_like(e->value);
        x.early[k] = name(p, format(p->c, "%s_%s", like, e->axis ? "steps" : "own"));
        if (e->axis && !e->column && r->columns > 1) x.now[k] = name(p, like);
    }
    for (unsigned k = 0; k < r->n_late; k++) {
        x.late[k] = name(p, format(p->c, "%s_steps", r->late[k]->tensor->name));
        x.sum[k] = sum_of(r, r->late[k], &x.late_reads);
    }
    p->scan = &x;
    if (r->row)
        print_block_of_rows(p, phase);
    else
        print_plain(p, phase);
    p->scan = NULL;
}
