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

#include "codegen/cuda/print_scan.h"
#include "compiler/graph.h"
#include "compiler/walk.h"

/* ---- registers ---- */

static int kept_number(const Printer *p, const Tensor *t)
{
    const Recurrence *r = p->scan ? p->scan->r : NULL;
    for (unsigned k = 0; r && k < r->n_kept; k++)
        if (r->kept[k].tensor == t) return (int)k;
    return -1;
}

static unsigned elements(const Printer *p, const Kept *k)
{
    return k->size * (k->row >= 0 ? p->scan->r->rows : 1);
}

/* `(r * 2 + g) * 4 + n`: rows, then the other dims. */
static const char *element_number(Printer *p, const Kept *k, Node *const *at)
{
    const char *number = k->row >= 0 && p->scan->r->rows > 1 ? p->scan->round : NULL;
    for (unsigned d = 0; d < k->tensor->n_dims; d++) {
        int64_t extent = k->extents[d];
        if (!kept_is_left(k, d) || (int)d == k->row || extent == 1) continue;
        Text text = {.c = p->c}, *out = p->out;
        p->out = &text;
        if (number)
            text_add(&text, strchr(number, ' ') ? "(%s) * %lld + " : "%s * %lld + ", number,
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
    const Recurrence *r = p->scan->r;
    print_element_of(p, (unsigned)number, steps_back(r, &r->kept[number], at), at);
    return true;
}

bool print_scan_is_kept(const Printer *p, const Tensor *t, bool *stored)
{
    int number = kept_number(p, t);
    if (number >= 0) *stored = p->scan->r->kept[number].stored;
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
    const Recurrence *r = p->scan->r;
    LINES(p, "}");
    if ((int64_t)r->lanes * r->rows != r->n_rows) LINES(p, "}");
}

/* Sums that all rows add to: locals of the loop that had a name ahead of it. */
static void collect_sums(Printer *p, const Block *block, Names *sums)
{
    for (uint32_t k = 0; k < block->n; k++) {
        const Statement *s = block->at[k];
        const char *name = s->kind == S_SET ? p->locals[s->local->id] : NULL;
        for (uint32_t i = 0; i < sums->taken.n && name; i++)
            if (sums->taken.at[i] == name) name = NULL;
        if (name) PUSH(p->c, &sums->taken, name);
        collect_sums(p, &s->body, sums);
        collect_sums(p, &s->otherwise, sums);
    }
}

bool print_scan_loop(Printer *p, const Statement *s, uint32_t mark)
{
    ScanPrinter *x = p->scan;
    Names sums = {0};
    if (!x || !x->r->row || s->variable != x->r->row || x->in_row) return false;
    collect_sums(p, &s->body, &sums);
    x->in_row = true;
    print_rows_open(p);
    p->indent--;
    print_loop_body(p, s, x->row, mark);
    p->indent++;
    print_rows_close(p);
    x->in_row = false;
    for (uint32_t k = 0; k < sums.taken.n && x->r->lanes > 1; k++) {
        print_want(p, HELP_SUM_LANES);
        LINES(p, "%s = sum_lanes<%u>(%s);", sums.taken.at[k], x->r->lanes, sums.taken.at[k]);
    }
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

void scan_bind(Printer *p, const Index *index, const char *name)
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
            print_value(p, format(p->c, "%s = ", scan_place_own(p, k)), n, print_type(p, n), ";");
    }
}

/* The value of a state ahead of the first step, at every element of a row. */
static void print_start(Printer *p, unsigned number, unsigned back)
{
    const Kept *k = &p->scan->r->kept[number];
    Node **at = NEW_ARRAY(p->c, Node *, k->tensor->n_dims + 1);
    unsigned loops = 0;
    for (unsigned d = 0; d < k->tensor->n_dims; d++) {
        Index *dim = k->tensor->dims[d];
        if (!kept_is_left(k, d) || (int)d == k->row) continue;
        const char *name = name_new(p->c, &p->own, dim->name);
        LINES(p, "#pragma unroll\nfor (int %s = 0; %s < %lld; %s++) {", name, name, (long long)k->extents[d],
              name);
        scan_bind(p, dim, name);
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
    if (row) print_rows_open(p), scan_bind(p, r->row, x->row);
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
                           !r->early[k].axis ? scan_place_own(p, k)
                           : x->now[k]       ? scan_place_now(p, k)
                                             : scan_place_ahead(p, k));
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
            LINES(p, "const %s %s = %s;", type, x->now[k], scan_place_ahead(p, k));
        rows = rows || r->early[k].row;
    }
    if (!rows) return;
    print_rows_open(p);
    for (unsigned k = 0; k < r->n_early; k++)
        if (x->now[k] && r->early[k].row) LINES(p, "%s = %s;", scan_place_now(p, k), scan_place_ahead(p, k));
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
    scan_bind(p, r->axis, x->axis);
    print_part(p, &r->step);
    print_shift(p);
    LINES(p, "}");
    set_remove(&p->bound, r->axis->id);
}

static void print_plain(Printer *p, const Phase *phase)
{
    const Recurrence *r = p->scan->r;
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
    scan_bind(p, r->axis, x->axis);
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
    scan_declare_fetched(p);
    LINES(p,
          "// While some steps run, what the next ones need is on its way.\n"
          "for (int64 %s = 0; %s < %s + %u; %s += %u) {",
          x->next, x->next, size, r->steps, x->next, r->steps);
    scan_bind(p, r->axis, x->axis);
    scan_fetch(p);
    LINES(p, "if (%s) {", x->next);
    print_steps(p);
    LINES(p, "}\n__syncthreads();");
    scan_bind(p, r->axis, x->axis);
    scan_store_late(p);
    scan_put(p);
    set_remove(&p->bound, r->axis->id);
    LINES(p, "__syncthreads();\n}");
}

static void print_block_of_rows(Printer *p, const Phase *phase)
{
    ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    scan_declare_ahead(p);
    scan_declare_late(p);
    if (r->lanes > 1) LINES(p, "const int %s = threadIdx.x %% %u;", x->lane, r->lanes);
    if (r->column)
        LINES(p, "const int %s = threadIdx.x%s;", x->group,
              r->lanes > 1 ? format(p->c, " / %u", r->lanes) : "");
    print_task_indices(p, phase, "blockIdx.x", "gridDim.x");
    scan_bind(p, r->column, x->column_index);
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
    if (r->column && (r->n_columns < 0 || r->n_columns % r->width)) x.live = name(p, "live");
    for (unsigned k = 0; k < r->n_kept; k++) x.kept[k] = name(p, r->kept[k].tensor->name);
    for (unsigned k = 0; k < r->n_early; k++) {
        const Early *e = &r->early[k];
        const char *like = print_like(e->value);
        x.early[k] = name(p, format(p->c, "%s_%s", like, e->axis ? "steps" : "own"));
        if (e->axis && !e->column && r->columns > 1) x.now[k] = name(p, like);
    }
    for (unsigned k = 0; k < r->n_late; k++) {
        x.late[k] = name(p, format(p->c, "%s_steps", r->late[k]->tensor->name));
        x.sum[k] = scan_sum_of(r, r->late[k], &x.late_reads);
    }
    p->scan = &x;
    if (r->row)
        print_block_of_rows(p, phase);
    else
        print_plain(p, phase);
    p->scan = NULL;
}
